"""Questions as Parquet of the Hugging Face hub, in the columns of lmms-lab's POPE, MME and VQAv2."""

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from question_tables import JPEG, picture

from dataengine_lib.core.records import CHOICE, OPEN, YES_NO, TrainRecord
from dataengine_lib.curation.leaks import EvaluationSet
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import coco_number
from dataengine_lib.queries.panel_images import panel_images
from dataengine_lib.questions.companion_files import companion_files
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE, read_image_refs
from dataengine_lib.questions.question_sets import QuestionSet
from dataengine_lib.questions.reader import check_any_question, read_question_file, read_questions
from dataengine_lib.training.held_out_images import HeldOutImages

PNG = picture("PNG")
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # of `datasets`
SOURCE = "COCO_val2014_000000310196"
POPE = {"id": "0", "question_id": "1", "question": "Is there a dog in the image?", "answer": "yes",
        "image_source": SOURCE, "category": "adversarial", "image": {"bytes": JPEG, "path": None}}  # fmt: skip
MME = {"question_id": "color/1.png", "question": "Is it red? Please answer yes or no.", "answer": "Yes",
       "category": "color", "image": {"bytes": PNG, "path": "1.png"}}  # fmt: skip
VQA = {"question_type": "what is", "multiple_choice_answer": "dog", "image_id": 262148, "answer_type": "other",
       "question_id": 262148000, "question": "What is it?", "image": {"bytes": JPEG, "path": None},
       "answers": [{"answer": "dog", "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]}  # fmt: skip


def written(file: Path, *rows: dict[str, Any], image: pa.DataType = IMAGE) -> Path:
    file.parent.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(list(rows))
    if "image" in table.column_names:
        place = table.column_names.index("image")
        images = pa.array([row["image"] for row in rows], image)
        table = table.set_column(place, "image", images)
    pq.write_table(table, file)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def test_pope_mme_and_vqav2_as_lmms_lab_publishes_them(tmp_path: Path, root: Path) -> None:
    (pope,) = read_questions(written(tmp_path / "adversarial.parquet", POPE), root)
    assert (pope.answer_kind, pope.question_type, pope.correct_choice_idx) == (YES_NO, "adversarial", 0)
    assert pope.image_id == 310196  # so that a pool of COCO can leave the image out by its id
    assert (root / pope.image_path).read_bytes() == JPEG and pope.image_path.startswith("adversarial/")
    second = MME | {"question": "Is it blue? Please answer yes or no.", "answer": "No"}
    pair = read_questions(written(tmp_path / "test-00000-of-00001.parquet", MME, second), root)
    assert [(row.question_id, row.correct_choice_idx) for row in pair] == [
        ("color/1.png-1", 0),
        ("color/1.png-2", 1),
    ]
    assert pair[0].image_path == pair[1].image_path and pair[0].image_path.endswith(".png")
    assert (root / pair[0].image_path).read_bytes() == PNG and pair[0].image_path.startswith("test/")
    (vqa,) = read_questions(written(tmp_path / "vqa.parquet", VQA), root)
    assert (vqa.answer_kind, vqa.direct_answers, vqa.question_type) == (OPEN, ["dog"] * 10, "what_is")
    assert (vqa.image_id, vqa.question_id) == (262148, "262148000")
    assert (
        read_questions(tmp_path / "vqa.parquet", root, type_field="answer_type")[0].question_type == "other"
    )
    assert [ref.image_id for ref in read_image_refs(tmp_path / "vqa.parquet", root)] == [262148]


def test_an_image_is_written_once_and_never_outside_the_root(tmp_path: Path, root: Path) -> None:
    named = POPE | {
        "image": {"bytes": JPEG, "path": "../../COCO_val2014_000000000042.jpg"},
        "image_source": None,
    }
    file = written(
        tmp_path / "a.parquet", named, {**named, "question_id": "2", "question": "Is there a cat?"}
    )
    first, second = read_questions(file, root)
    assert first.image_path == second.image_path and first.image_id == 42
    assert first.image_path.startswith("a/") and first.image_path.endswith("/COCO_val2014_000000000042.jpg")
    image = root / first.image_path
    before = image.stat().st_mtime_ns
    assert [path for path in root.rglob("*") if path.is_file()] == [image]
    read_questions(file, root)
    assert image.stat().st_mtime_ns == before
    with pytest.raises(
        DataEngineError, match=r"a\.parquet: row 0: the image is inside the table; give image_root"
    ):
        read_questions(file)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a").symlink_to(tmp_path)
    with pytest.raises(DataEngineError, match="images are only written inside image_root"):
        read_questions(file, other)


@pytest.mark.parametrize("with_id", [True, False])
def test_a_photo_of_coco_is_known_by_its_number_in_every_step(
    tmp_path: Path, root: Path, with_id: bool
) -> None:
    """Also where the row has an id of its own, or a suffix is in the source."""
    row = POPE | ({"image_id": "n7"} if with_id else {"image_source": f"{SOURCE}.jpg"})
    file = written(tmp_path / "adversarial.parquet", row)
    (found,) = read_questions(file, root)
    assert found.image_id == ("n7" if with_id else 310196)
    assert (root / found.image_path).read_bytes() == JPEG
    assert found.image_path.endswith(f"/{SOURCE}.jpg")
    record = TrainRecord(
        image_id=5, image_path="train/000000310196.jpg", question="What?", choices=["a", "b"],
        correct_choice_idx=0, raw_instructions="", question_type="t",
    )  # fmt: skip
    other = msgspec.structs.replace(record, image_path="train/000000310197.jpg")
    assert list(EvaluationSet([file], root).leaks([record, other], tmp_path)) == [EVALUATION_IMAGE, ""]
    held_out = HeldOutImages(file, root)
    (tmp_path / "000000310197.jpg").write_bytes(PNG)
    (tmp_path / "COCO_train2014_000000310196.jpg").write_bytes(PNG)
    assert held_out.has(tmp_path / "COCO_train2014_000000310196.jpg")
    assert not held_out.has(tmp_path / "000000310197.jpg")
    (ref,) = panel_images({"pope": QuestionSet(questions=file, image_root=root)}, tmp_path, 0, pytest.fail)
    assert coco_number(ref.image_path) == 310196


def test_options_in_a_list_and_in_columns(tmp_path: Path, root: Path) -> None:
    listed = {"question_id": "q", "question": "What?", "choices": ["dog", "cat"], "correct_choice_idx": 1,
              "image": {"bytes": JPEG, "path": None}}  # fmt: skip
    (found,) = read_questions(written(tmp_path / "aokvqa.parquet", listed), root)
    assert (found.choices, found.correct_choice_idx, found.answer_kind or CHOICE) == (
        ["dog", "cat"],
        1,
        CHOICE,
    )
    bench = {"index": 7, "question": "What?", "hint": "nan", "answer": "B", "A": "dog", "B": "cat", "C": "nan",
             "D": "nan", "category": "x", "L2-category": "identity", "image": JPEG}  # fmt: skip
    (found,) = read_questions(written(tmp_path / "mmbench.parquet", bench, image=pa.binary()), root)
    assert (found.question_id, found.choices, found.correct_choice_idx) == ("7", ["dog", "cat"], 1)
    assert (found.question, found.question_type) == ("What?", "identity")
    assert (root / found.image_path).read_bytes() == JPEG


def test_none_may_be_an_option_and_a_missing_one_is_left_out(tmp_path: Path) -> None:
    row = {"index": 1, "question": "How many dogs?", "answer": "C", "A": "one", "B": "two", "C": "None", "D": None,
           "image_path": "a.jpg"}  # fmt: skip
    other = row | {"index": 2, "D": "three"}
    found = read_questions(written(tmp_path / "a.parquet", row, other))
    assert [(one.choices, one.correct_choice_idx) for one in found] == [
        (["one", "two", "None"], 2),
        (["one", "two", "None", "three"], 2),
    ]


def test_a_row_without_bytes_names_its_image(tmp_path: Path, root: Path) -> None:
    file = written(tmp_path / "a.parquet", POPE | {"image": {"bytes": None, "path": "dog.jpg"}})
    assert read_questions(file, root)[0].image_path == "dog.jpg"
    file = written(tmp_path / "b.parquet", POPE | {"image": None})
    assert (read_questions(file)[0].image_id, list(root.iterdir())) == (310196, [])


def test_rows_that_cannot_be_used_are_named(tmp_path: Path, root: Path) -> None:
    both = pa.list_(IMAGE)
    one = {"bytes": JPEG, "path": None}
    rows = [
        POPE | {"image": [one]},
        POPE | {"question_id": "2", "image": [one, one]},
        POPE | {"question_id": "3", "image": [{"bytes": b"<html>", "path": "a.jpg"}]},
        POPE | {"question_id": "4", "image": [one], "answer": "maybe"},
        POPE | {"image": [one]},
        *(POPE | {"question_id": str(n), "image": [one]} for n in range(9, 20)),
    ]
    found = read_question_file(written(tmp_path / "a.parquet", *rows, image=both), root)
    assert len(found.questions) == 12
    assert [(bad.row, bad.reason) for bad in found.skipped] == [
        ("row 1", "the question has 2 images, one is needed"),
        ("row 2", "image is not the bytes of a JPEG, PNG, GIF, WebP, BMP or TIFF file"),
        ("row 3", "answer 'maybe' is neither yes nor no"),
        ("row 4", "question_id 1 occurs twice, first in row 0"),
    ]


def test_a_table_in_parts_is_read_whole_whichever_is_given(tmp_path: Path, root: Path) -> None:
    names = [
        "test-00000-of-00003-0a1b.parquet",
        "test-00001-of-00003-77.parquet",
        "test-00002-of-00003-9.parquet",
    ]
    files = [written(tmp_path / name, POPE | {"question_id": str(n)}) for n, name in enumerate(names)]
    written(tmp_path / "train-00000-of-00003.parquet", POPE | {"question_id": "other"})
    for file in files:
        assert [row.question_id for row in read_questions(file, root)] == ["0", "1", "2"]
        assert companion_files(file) == [part for part in files if part != file]
    written(files[1], POPE | {"question_id": "0"}, {"question": "", "image": None})
    skipped = read_question_file(files[0], root).skipped
    assert [bad.row for bad in skipped] == [f"{files[1].name}: row {n}" for n in (0, 1)]
    again = written(tmp_path / "test-00001-of-00003-88.parquet", POPE)
    with pytest.raises(DataEngineError, match=r"88\.parquet: is the same part of a table as test-00001"):
        read_questions(files[0], root)
    again.unlink()
    files[1].unlink()
    with pytest.raises(DataEngineError, match="one of 3 parts of a table, of which 00001 is not beside it"):
        read_questions(files[0], root)
    assert companion_files(files[0]) == [files[2]]


@pytest.mark.parametrize("damage", ["cut", "magic alone", "no question"])
def test_a_damaged_table_is_one_line(tmp_path: Path, root: Path, damage: str) -> None:
    file = written(tmp_path / "a.parquet", POPE if damage != "no question" else {"text": "words"})
    content = file.read_bytes()
    file.write_bytes({"cut": content[: len(content) // 2], "magic alone": b"PAR1"}.get(damage, content))
    with pytest.raises(DataEngineError, match=r"^[^\n]*a\.parquet: [^\n]*Parquet[^\n]*$"):
        check_any_question(file, read_question_file(file, root))
