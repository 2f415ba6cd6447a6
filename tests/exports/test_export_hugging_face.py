"""The folder for `datasets`: loaded by it, offline, down to the pixels."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports import hugging_face as export_hf
from dataengine_lib.exports.export import export


def record(number: int, **fields: Any) -> TrainRecord:
    known = {
        "image_path": f"{number}.png",
        "rationales": ["It is long-haired.", "Short."] if number % 2 else [],
        "query_id": f"r-{number}",
        "question": f"Which animal is number {number}?",
        "choices": ["dog", "cat", "cow", "pig"],
        "correct_choice_idx": number % 4,
        "question_type": "object_localization",
        "raw_instructions": "",
        "model": "teacher-1",
        "request_key": "k",
        "template": "v2",
        "prompt_sha256": "0" * 64,
        "example_ids": ["a", "b"],
        "round": 2,
    }
    return TrainRecord(image_id=number, **(known | fields))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(7):
        Image.new("RGB", (5, 4), (number, 100, 200)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = pytest.importorskip("datasets")
    monkeypatch.setattr(found.config, "HF_HUB_OFFLINE", True)
    return found


RECORDS = [record(number) for number in range(7)]


def test_datasets_loads_it_with_pixels_and_types(root: Path, tmp_path: Path, datasets: Any) -> None:
    file, card = export("hf", RECORDS, root, tmp_path / "hf")
    assert file == tmp_path / "hf" / "data" / "train-00000-of-00001.parquet"
    assert card == tmp_path / "hf" / "README.md"
    loaded = datasets.load_dataset(str(tmp_path / "hf"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train"}
    rows = loaded["train"]
    assert isinstance(rows.features["image"], datasets.Image)
    assert rows.features["choices"] == datasets.List(datasets.Value("string"))
    assert rows.features["image_id"] == datasets.Value("int64")
    for number, row in enumerate(rows):
        assert row["image"].getpixel((0, 0)) == (number, 100, 200)
        assert row["image"].size == (5, 4)
        assert row["question"] == f"Which animal is number {number}?"
        assert row["choices"][row["correct_choice_idx"]] == row["answer"]
    assert rows[3]["rationales"] == ["It is long-haired.", "Short."]
    assert rows[0]["rationales"] == []
    lineage = ("model", "request_key", "template", "prompt_sha256", "example_ids", "round", "query_id")
    expected = ["teacher-1", "k", "v2", "0" * 64, ["a", "b"], 2, "r-1"]
    assert [rows[1][name] for name in lineage] == expected


def test_same_records_same_bytes(root: Path, tmp_path: Path) -> None:
    digests = {
        hashlib.sha256(export("hf", RECORDS, root, tmp_path / name)[0].read_bytes()).hexdigest()
        for name in ("a", "b", "a")
    }
    assert len(digests) == 1


def test_causes_are_a_column_where_a_record_has_one(root: Path, tmp_path: Path) -> None:
    without = export("hf", RECORDS, root, tmp_path / "without")[0]
    assert "cause" not in pq.read_schema(without).names
    rows = [record(0, cause="asks about left"), *RECORDS[1:]]
    file, card = export("hf", rows, root, tmp_path / "with")
    assert [row["cause"] for row in export_hf.read_hf([file])] == ["asks about left", *[""] * 6]
    assert "Of 7 questions, 1 were made for a cause of wrong answers:" in card.read_text()
    assert "| `asks about left` | 1 |" in card.read_text()


def test_large_sets_are_several_files_of_small_groups(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datasets: Any
) -> None:
    size = (root / "0.png").stat().st_size
    monkeypatch.setattr(export_hf, "_SHARD_BYTES", 3 * size + 2)
    monkeypatch.setattr(export_hf, "_GROUP_ROWS", 2)
    *files, _ = export("hf", RECORDS, root, tmp_path / "hf")
    assert [file.name for file in files] == [f"train-0000{number}-of-00003.parquet" for number in range(3)]
    assert [pq.ParquetFile(file).metadata.num_row_groups for file in files] == [2, 2, 1]
    rows = datasets.load_dataset(str(tmp_path / "hf"), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["image_id"][:] == list(range(7))
    monkeypatch.undo()
    *files, _ = export("hf", RECORDS[:2], root, tmp_path / "hf")  # the second takes the place of the first
    assert sorted((tmp_path / "hf" / "data").iterdir()) == files


def test_other_files_are_not_replaced(root: Path, tmp_path: Path) -> None:
    (tmp_path / "hf" / "data").mkdir(parents=True)
    (tmp_path / "hf" / "data" / "notes.txt").write_text("mine")
    with pytest.raises(DataEngineError, match="holds files that are not an export"):
        export("hf", RECORDS, root, tmp_path / "hf")
    assert [path.name for path in (tmp_path / "hf").rglob("*")] == ["data", "notes.txt"]


def test_a_failed_export_keeps_the_earlier_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = export("hf", RECORDS, root, tmp_path / "hf")[0].read_bytes()

    def breaks(*_: Any) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(export_hf, "_write_shard", breaks)
    with pytest.raises(DataEngineError, match="No space left on device"):
        export("hf", RECORDS[:1], root, tmp_path / "hf")
    assert (tmp_path / "hf" / "data" / "train-00000-of-00001.parquet").read_bytes() == before
    assert not list((tmp_path / "hf").glob(".*"))


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ("data_files: none/*.parquet", r"datasets cannot load it .*README\.md"),
        ("data_files: [{split: test, path: data/*}]", r"README\.md names other files"),
    ],
)
def test_a_card_that_prevents_loading_is_reported(
    root: Path, tmp_path: Path, datasets: Any, configs: str, message: str
) -> None:
    """A README.md of other origin stays, and what is wrong with it is reported at once."""
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  {configs}\n---\n")
    with pytest.raises(DataEngineError, match=message):
        export("hf", RECORDS, root, tmp_path / "hf")


def test_the_verb_ends_without_errors(root: Path, tmp_path: Path) -> None:
    """In a process of its own, whose end shows that no thread of a reader still runs."""
    write_json(tmp_path / "train.json", RECORDS)
    code = "from dataengine_lib.cli import main; main()"
    words = f"export hf --input {tmp_path / 'train.json'} --image-root {root} --output {tmp_path / 'hf'}"
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_memory_does_not_grow_with_the_images(root: Path, tmp_path: Path) -> None:
    """Images are read when their group is written."""
    import tracemalloc

    from dataengine_lib.exports.records import ExportJob, ImageFaults, export_rows

    noise = bytes(range(256)) * 4096  # 1 MiB after the picture, which viewers pass over
    for path in root.iterdir():
        path.write_bytes(path.read_bytes() + noise)
    rows = export_rows([record(number % 7) for number in range(210)], root, ImageFaults())
    output = tmp_path / "hf"
    job = ExportJob(rows, root, output, output, "x", "QM-A", "bare")
    tracemalloc.start()
    export_hf.write_hf(job)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 150 << 20
    assert sum(file.stat().st_size for file in (output / "data").iterdir()) > 200 << 20
