"""The README.md beside an export: true numbers, valid for the Hub, and nothing that data could smuggle in."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.exports.data_card import CARD_MARKER, as_code
from dataengine_lib.exports.export import FORMATS, export
from dataengine_lib.exports.records import ExportOptions

QA = {
    "raw_instructions": "",
    "question": "Which?",
    "choices": ["dog", "cat", "cow", "pig"],
    "correct_choice_idx": 1,
    "image_path": "1.jpg",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "1.jpg")
    return tmp_path / "photos"


def card(root: Path, records: list[TrainRecord], format: str = "llava", **options: Any) -> str:
    place = root.parent / format
    output = place / f"rows{FORMATS[format].suffix}" if FORMATS[format].suffix else place
    return export(format, records, root, output, ExportOptions(**options))[-1].read_text(encoding="utf-8")


def records(count: int = 1, **fields: Any) -> list[TrainRecord]:
    known = {"question_type": "image_scene", "model": "gpt-4.1", "round": 1}
    return [TrainRecord(image_id=1, **(QA | known | fields)) for _ in range(count)]


def front_matter(text: str) -> Any:
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.S)[1])  # type: ignore[index]


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_front_matter_is_what_the_hub_reads(root: Path, format: str) -> None:
    known = front_matter(card(root, records(3), format))
    assert known["task_categories"] == ["visual-question-answering"]
    assert known["size_categories"] == ["n<1K"]
    (config,) = known["configs"]
    assert config["config_name"] == "default"
    assert re.fullmatch("sha256 [0-9a-f]{64}", config["description"])
    if format == "hf":
        assert config["data_files"] == [{"split": "train", "path": "data/train-*"}]
    else:
        assert (root.parent / format / config["data_files"]).is_file()
    from huggingface_hub import DatasetCard

    content = DatasetCard.load(root.parent / format / "README.md")
    assert content.data.task_categories == ["visual-question-answering"]


def test_it_counts_types_teachers_rounds_and_filters(root: Path) -> None:
    counts = {
        "kept": 9,
        "dropped": 1200,
        "by_reason": {"no choices": 1000, "equal choices": 200},
        "by_type": {},
    }
    file = write_json(root.parent / "post_process.json", counts)
    rows = (
        records(3)
        + records(2, question_type="ocr", model="other/model", round=2)
        + records(1, model="", round=0)
    )
    text = card(root, rows, counts=file)
    for line in (
        "6 multiple-choice questions on 1 image, ",
        "| `image_scene` | 4 |",
        "| `ocr` | 2 |",
        "| `gpt-4.1` | 3 |",
        "| `other/model` | 2 |",
        "| `not recorded` | 1 |",
        "9 passed and 1,200 were dropped; this export holds 6 questions.",
        "| `no choices` | 1,000 |",
    ):
        assert line in text
    assert "machine-written" in text
    assert "check the teacher's terms" in text
    assert "Apache-2.0" in text and "Flickr" in text
    assert str(root) not in text and str(root.parent) not in text, (
        "the card must not name folders of this machine"
    )


@pytest.mark.parametrize("format", ["hf", "llava", "trl"])
def test_an_export_is_loaded_as_it_is_and_not_as_an_earlier_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    """`datasets` caches what it has read: test a folder that is written twice, and another one of the same name."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    cards = []
    for place, count in (("one", 5), ("one", 3), ("two", 2), ("two", 2), ("one", 5)):
        folder = tmp_path / place / "x"
        output = folder / f"rows{FORMATS[format].suffix}" if FORMATS[format].suffix else folder
        cards.append(export(format, records(count), root, output)[-1].read_bytes())
        loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
        assert loaded.num_rows == count
    assert cards[0] == cards[4] and cards[2] == cards[3]  # same records, same bytes


def test_it_says_what_people_have_read(root: Path) -> None:
    assert "were checked by rules, not by people. Teachers" in card(root, records(2))
    text = card(root, records(1) + records(3, review="accept") + records(1, review="edit"))
    assert "were checked by rules; a person accepted 3 and edited 1 of the 5 questions. Teachers" in text


@pytest.mark.parametrize(
    "content", [None, "[]", "{", '{"kept": "many"}', '{"kept": 1, "dropped": 2, "by_reason": 3}']
)
def test_counts_may_be_missing_or_of_another_version(root: Path, content: str | None) -> None:
    file = root.parent / "post_process.json"
    if content is not None:
        file.write_text(content)
    text = card(root, records(), counts=file)
    assert "Not recorded" in text or "1 passed and 2 were dropped." in text


def test_names_from_data_are_text_and_nothing_else(root: Path) -> None:
    evil = "x` | <img src=x onerror=alert(1)> [a](http://evil) |\n---\n# Head\x1b[31m\n" + "y" * 500
    text = card(root, records(2, question_type=evil, model=evil))
    rows = [line for line in text.splitlines() if "onerror" in line]
    assert len(rows) == 2
    for row in rows:
        assert re.fullmatch(r"\| `[^`|]{1,80}` \| 2 \|", row)
    assert "\x1b" not in text
    assert text.count("\n# ") == 1
    assert front_matter(text)["configs"]
    assert as_code("``") == "`''`"
    assert as_code("\u202e") == "` `"


def test_long_tables_are_cut(root: Path) -> None:
    rows = [row for number in range(80) for row in records(question_type=f"kind_{number:02d}")]
    text = card(root, rows)
    assert "| 30 others | 30 |" in text


def test_only_our_own_card_is_replaced(root: Path) -> None:
    text = card(root, records())
    assert CARD_MARKER in text
    readme = root.parent / "llava" / "README.md"
    assert "2 multiple-choice" in card(root, records(2))
    readme.write_text("Mine.")
    files = export("llava", records(), root, root.parent / "llava" / "rows.json")
    assert readme not in files
    assert readme.read_text() == "Mine."


@pytest.mark.parametrize("format", [name for name, kind in FORMATS.items() if kind.paths])
@pytest.mark.parametrize("paths", ["absolute", "relative", "bare"])
def test_it_tells_how_images_are_found(root: Path, format: str, paths: Any) -> None:
    if format == "minigpt4" and paths != "absolute":
        return  # refused without a checkout; with one, paths start there
    loading = card(root, records(), format, paths=paths).partition("## Loading")[2].partition("##")[0]
    assert {"absolute": "absolute", "relative": "this folder", "bare": "image folder"}[paths] in loading
