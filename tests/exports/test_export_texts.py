"""The targets of v2 in exports of chats: letter alone, and options in a new order in each copy of a record."""

from pathlib import Path

import pytest
from export_records import RECORDS, photos, record

from dataengine_lib import cli
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.export import export, export_all
from dataengine_lib.exports.records import ExportOptions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photos(tmp_path)


LETTER = "Answer with the option's letter from the given choices directly."


def asked_and_answered(file: Path) -> list[tuple[str, str]]:
    return [tuple(turn["value"] for turn in row["conversations"]) for row in read_json(file)]


def test_the_letter_alone(root: Path, tmp_path: Path) -> None:
    file = export("llava", RECORDS, root, tmp_path / "o.json", ExportOptions(text_format="letter"))[0]
    assert asked_and_answered(file)[0] == (f"<image>\nWhich?\nA. dog\nB. cat\nC. cow\nD. pig\n{LETTER}", "B")


def test_the_answer_alone(root: Path, tmp_path: Path) -> None:
    file = export("swift", RECORDS, root, tmp_path / "o.jsonl", ExportOptions(text_format="answer"))[0]
    assert [turn["content"] for turn in read_jsonl(file)[0]["messages"]] == ["<image>Which?", "cat"]


def test_each_copy_has_an_order_of_its_own_and_the_letter_follows(root: Path, tmp_path: Path) -> None:
    options = ExportOptions(text_format="letter", copies=20, shuffle_options=True)
    file = export("llava", RECORDS, root, tmp_path / "o.json", options)[0]
    texts = asked_and_answered(file)
    assert len(texts) == 60 and len(set(texts[::3])) > 10
    for asked, letter in texts:
        lines = dict(line.split(". ") for line in asked.splitlines()[2:6])
        assert lines[letter] == "cat" and sorted(lines.values()) == ["cat", "cow", "dog", "pig"]
    ids = [row["id"] for row in read_json(file)]
    assert ids[:4] == ["r-1-0", "r-2-1", "r-3-2", "r-1-0-copy2"] and len(set(ids)) == 60
    again = export("llava", RECORDS, root, tmp_path / "again.json", options)[0]
    other = export("llava", RECORDS, root, tmp_path / "c.json", ExportOptions(
        text_format="letter", copies=20, shuffle_options=True, seed=1))[0]  # fmt: skip
    assert file.read_bytes() == again.read_bytes() != other.read_bytes()
    card = (tmp_path / "README.md").read_text()
    assert "3 multiple-choice questions on 3 images" in card
    assert "written as letter, each question 20 times, its options in a new order each time." in card


def test_letters_in_a_rationale_follow_the_order(root: Path, tmp_path: Path) -> None:
    rows = [record(1, rationales=["It meows, so (B) is right and (A) is not."])]
    options = ExportOptions(text_format="QM-AE", copies=12, shuffle_options=True)
    texts = asked_and_answered(export("llava", rows, root, tmp_path / "o.json", options)[0])
    assert len(set(texts)) > 6
    for asked, answer in texts:
        letters = {choice: letter for letter, choice in zip("ABCD", asked.split("(")[1:], strict=True)}
        letter = {choice.split(") ")[1].strip(): one for choice, one in letters.items()}
        assert answer == (
            f"The answer is ({letter['cat']}) cat. It meows, so ({letter['cat']}) is right and ({letter['dog']}) is not."
        )


@pytest.mark.parametrize(
    "fields", [{"choices": ["dog", "cat", "cow", "all of the above"]}, {"question": "Both A and B?"}]
)
def test_options_that_are_named_by_place_keep_their_order(
    root: Path, tmp_path: Path, fields: dict[str, str]
) -> None:
    options = ExportOptions(copies=8, shuffle_options=True)
    texts = asked_and_answered(export("llava", [record(1, **fields)], root, tmp_path / "o.json", options)[0])
    assert len(texts) == 8 and len(set(texts)) == 1


@pytest.mark.parametrize("options", [ExportOptions(copies=2), ExportOptions(shuffle_options=True)])
def test_records_have_no_copies(root: Path, tmp_path: Path, options: ExportOptions) -> None:
    with pytest.raises(
        ParameterError, match="aokvqa holds records, not chats; leave shuffle_options and copies out"
    ):
        export("aokvqa", RECORDS, root, tmp_path / "o.json", options)
    done = {one.format: one.rows for one in export_all(RECORDS, root, tmp_path / "all", options)}
    assert done["aokvqa"] == done["minigpt4"] == 3 and done["trl"] == 3 * options.copies
    with pytest.raises(ParameterError, match="copies must be at least 1"):
        ExportOptions(copies=0)


@pytest.mark.parametrize("text_format", ["letter", "answer"])
def test_the_loader_of_v1_knows_only_its_own_formats(root: Path, tmp_path: Path, text_format: str) -> None:
    with pytest.raises(
        DataEngineError, match=f"minigpt4 has no text format {text_format}; choose one of Q-A, QM-A"
    ):
        export("minigpt4", RECORDS, root, tmp_path / "o", ExportOptions(text_format=text_format))  # type: ignore[arg-type]


def test_the_verb(root: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "train.json", RECORDS)
    words = [
        "export",
        "llava",
        "--input",
        str(file),
        "--output",
        str(tmp_path / "o.json"),
        "--image-root",
        str(root),
    ]
    cli.app([*words, "--text-format", "letter", "--copies", "3", "--shuffle-options"], standalone_mode=False)
    assert len(asked_and_answered(tmp_path / "o.json")) == 9
