"""What is written is read back: by our check, and by the trainers' own code."""

import json
from pathlib import Path

import pytest
from export_records import RECORDS, photos
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports import export as exports
from dataengine_lib.exports.check import check_export
from dataengine_lib.exports.export import FORMATS, Format, export
from dataengine_lib.exports.records import ExportJob, ImageFaults, export_rows

TEXTS = ["llava", "llamafactory", "swift", "trl"]
FILES = [*TEXTS, "aokvqa", "dataengine-v2"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photos(tmp_path)


def job_of(format: str, root: Path, output: Path) -> ExportJob:
    rows = export_rows(RECORDS, root, ImageFaults())
    paths = FORMATS[format].paths
    assert paths
    return ExportJob(
        rows, root, output, output if not FORMATS[format].suffix else output.parent, "mine", "QM-A", paths
    )


DAMAGED = [
    ("train2017/1.jpg", "train2017/9.jpg", FILES, "9.jpg cannot be read"),
    ("train2017/1.jpg", "../outside.jpg", FILES, "not the path of an image"),
    ("train2017/1.jpg", "train2017/torn.jpg", FILES, "torn.jpg cannot be read"),
    ("Which?", "<image> Which?", ["llamafactory", "swift", "llava", "trl"], "2 image tokens for 1 images"),
    ("<image>", "", ["llamafactory", "swift", "llava"], "0 image tokens for 1 images"),
    ("The answer is (B) cat.", " ", TEXTS, "an empty text"),
    ("Which?", " ", ["aokvqa", "dataengine-v2"], "an empty text"),
    ('"assistant"', '"user"', ["llamafactory", "swift", "trl"], "user speaks first and user answers"),
    ('"gpt"', '"human"', ["llava"], "human speaks first and human answers"),
    ('"messages"', '"message"', ["swift"], "message"),
    ('"qtype": 4', '"qtype": 10', ["dataengine-v2"], "qtype"),
    ('"choice_answer"', '"choide_answer"', ["dataengine-v2"], "choi"),
]


@pytest.mark.parametrize(
    ("format", "before", "after", "message"),
    [(format, before, after, message) for before, after, formats, message in DAMAGED for format in formats],
)
def test_a_row_that_no_trainer_could_use_is_found(
    root: Path, tmp_path: Path, format: str, before: str, after: str, message: str
) -> None:
    output = tmp_path / f"rows{FORMATS[format].suffix}"
    job = job_of(format, root, output)
    files = FORMATS[format].write(job)
    check_export(format, files, job, ImageFaults())
    text = output.read_text()
    assert before in text
    output.write_text(text.replace(before, after, 1))
    with pytest.raises(DataEngineError, match=rf"rows\.jsonl?: row 0: .*{message}"):
        check_export(format, files, job, ImageFaults())


@pytest.mark.parametrize("format", FILES)
def test_a_row_that_is_missing_is_found(root: Path, tmp_path: Path, format: str) -> None:
    output = tmp_path / f"rows{FORMATS[format].suffix}"
    job = job_of(format, root, output)
    files = FORMATS[format].write(job)
    if output.suffix == ".jsonl":
        output.write_text("\n".join(output.read_text().splitlines()[:-1]))
    else:
        write_json(output, read_json(output)[:-1])
    with pytest.raises(DataEngineError, match="2 rows for 3 records"):
        check_export(format, files, job, ImageFaults())


def test_minigpt4_is_followed_from_its_config(root: Path, tmp_path: Path) -> None:
    job = job_of("minigpt4", root, tmp_path / "o")
    files = FORMATS["minigpt4"].write(job)
    check_export("minigpt4", files, job, ImageFaults())
    listing = tmp_path / "o" / "mine_images.json"
    listing.write_text(listing.read_text().replace("train2017/2.jpg", "train2017/9.jpg"))
    with pytest.raises(DataEngineError, match=r"mine\.json: row 1: .*9\.jpg cannot be read"):
        check_export("minigpt4", files, job, ImageFaults())
    listing.write_text(json.dumps({"images": []}))
    with pytest.raises(DataEngineError, match=r"mine\.json: row 0: image_id 1 is not in .*mine_images\.json"):
        check_export("minigpt4", files, job, ImageFaults())


def test_a_file_that_does_not_pass_names_its_row(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgets(job: ExportJob) -> list[Path]:
        return [write_json(job.output, [{"id": "1", "image": "train2017/1.jpg", "conversations": []}])]

    monkeypatch.setitem(exports.FORMATS, "llava", Format(forgets, ".json", "bare"))
    with pytest.raises(DataEngineError, match=r"o\.json: row 0: .*conversations"):
        export("llava", RECORDS, root, tmp_path / "o.json")


def test_trl_collates_the_rows_itself(root: Path, tmp_path: Path) -> None:
    """Its own loading code, down to the tokens that are learnt."""
    pytest.importorskip("trl")
    from transformers import AutoProcessor
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    processor = AutoProcessor.from_pretrained(PROJECT_ROOT / "data_demo" / "models" / "tiny-llava")
    rows = read_jsonl(export("trl", RECORDS, root, tmp_path / "t.jsonl")[0])
    batch = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)(rows)
    assert batch["pixel_values"].shape[0] == 3
    learnt = batch["labels"][0][batch["labels"][0] != -100]
    assert "The answer is (B) cat." in processor.tokenizer.decode(learnt)


@pytest.mark.parametrize("format", ["llava", "llamafactory", "swift", "trl", "dataengine-v2", "aokvqa"])
def test_datasets_loads_every_file_beside_its_card(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    """By file, as the trainers do, and by folder, as the Hub does."""
    datasets = pytest.importorskip("datasets")
    file = export(format, RECORDS, root, tmp_path / format / f"rows{FORMATS[format].suffix}")[0]
    for where in ({"path": "json", "data_files": str(file)}, {"path": str(file.parent)}):
        loaded = datasets.load_dataset(**where, split="train", cache_dir=str(tmp_path / "cache"))
        assert loaded.num_rows == 3
