"""Tests of image references: how records name images, which file that is, and the images of evaluation files."""

import base64
import hashlib
import json
import logging
from pathlib import Path

import pytest

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import ImageRef, image_ref, locate
from dataengine_lib.questions.evaluation_images import read_image_refs

GIF = base64.b64encode(b"GIF89a-one-pixel-and-more-than-sixty-four-characters-of-base64-in-all").decode()


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("val2017/000000370270.jpg", 370270),
        ("000000370270.jpg", 370270),
        ("val2014/COCO_val2014_000000370270.jpg", 370270),
        ("COCO_test2015_000000000001.png", 1),
        ("scene7.jpg", -1),
        ("123.jpg", -1),
        ("0000123.jpg", -1),
        ("0000000370270.jpg", -1),  # 13 digits
        ("img_000000370270.jpg", -1),
        ("000000370270/crop.jpg", -1),
        ("000000370270", -1),
        ("2024-05-01.jpeg", -1),
        ("", -1),
        (None, -1),
    ],
)
def test_only_cocos_names_hold_an_id(path: str | None, number: int) -> None:
    assert image_ref(None, path) == ImageRef(number, path or "")


def test_a_given_id_counts_whatever_the_name() -> None:
    assert image_ref(7, "scene9.jpg") == ImageRef(7, "scene9.jpg")
    assert image_ref("000000000007", "000000000009.jpg").image_id == 7
    assert image_ref(0, None).image_id == 0
    assert image_ref("COCO_val2014_000000370270", None) == ImageRef(370270)
    assert image_ref("COCO_train2014_000000000009.jpg", "a.png") == ImageRef(9, "a.png")
    assert image_ref("", "123.jpg") == ImageRef(-1, "123.jpg")
    assert image_ref("seven", None) == ImageRef("seven")
    with pytest.raises(ValueError, match="more than 64 bits"):
        image_ref(2**63, None)


def test_images_named_by_plain_numbers_are_not_mixed_up(tmp_path: Path) -> None:
    """`a/1.jpg` and `b/1.jpg` are two images, and neither is COCO's number 1."""
    for name in ("a/1.jpg", "val2017/000000000001.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert locate(image_ref(None, "a/1.jpg"), tmp_path) == "a/1.jpg"
    with pytest.raises(DataEngineError, match=r"b/1\.jpg: image not found"):
        locate(image_ref(None, "b/1.jpg"), tmp_path)


def made(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("path", "image_id"), [("VG_100K/7.jpg", 7), ("batch2/3.png", None), ("7.jpg", 7), ("gqa/x7.jpg", 7)]
)
def test_a_missing_image_is_not_replaced_by_another(tmp_path: Path, path: str, image_id: int | None) -> None:
    made(tmp_path, "train2017/000000000007.jpg", "3.png", "images/7.jpg", "val2017/x7.jpg")
    with pytest.raises(DataEngineError, match="image not found"):
        locate(image_ref(image_id, path), tmp_path)


@pytest.mark.parametrize(
    "path", ["val2017/000000370270.jpg", "COCO_val2014_000000370270.jpg", "000000370270.jpg"]
)
@pytest.mark.parametrize("place", ["", "train2017/", "images/", "val2014/"])
def test_cocos_names_are_found_in_all_its_folders(tmp_path: Path, path: str, place: str) -> None:
    made(tmp_path, f"{place}000000370270.jpg")
    assert locate(image_ref(None, path), tmp_path) == f"{place}000000370270.jpg"
    assert locate(image_ref(7, path), tmp_path) == f"{place}000000370270.jpg"  # the name tells, not the id


def test_a_path_below_another_root_counts_by_its_file_name(tmp_path: Path) -> None:
    root = made(tmp_path / "coco", "val2017/000000370270.jpg")
    made(tmp_path / "other", "val2017/000000370270.jpg", "val2017/000000000002.jpg", "a.jpg")
    for path in (str(tmp_path / "other/val2017/000000370270.jpg"), "../other/val2017/000000370270.jpg"):
        assert locate(image_ref(None, path), root) == "val2017/000000370270.jpg"
        with pytest.raises(DataEngineError, match="image not found"):
            locate(image_ref(None, path.replace("370270", "000002")), root)
    for path in (str(tmp_path / "other/a.jpg"), "../other/a.jpg", "val2017/../../other/a.jpg"):
        with pytest.raises(DataEngineError, match="leads outside"):
            locate(image_ref(7, path), root)


def test_a_link_below_the_root_is_the_users_own(tmp_path: Path) -> None:
    """But a `..` never follows a link: the folder beside the link's target was not given by the user."""
    root = made(tmp_path / "root", "own.jpg")
    made(tmp_path / "disk", "coco/000000000111.jpg", "secret.jpg")
    (root / "val2017").symlink_to(tmp_path / "disk/coco")
    for ref in (image_ref(111, None), image_ref(None, "val2017/000000000111.jpg")):
        assert locate(ref, root) == "val2017/000000000111.jpg"
    assert locate(image_ref(None, "val2017/../own.jpg"), root) == "own.jpg"
    with pytest.raises(DataEngineError, match="image not found"):
        locate(image_ref(None, "val2017/../secret.jpg"), root)


@pytest.mark.parametrize("path", ["x" * 300, "a\0.png", "x/" * 5000, "a\nb.png"])
def test_a_path_that_no_file_can_have_is_not_found(tmp_path: Path, path: str) -> None:
    with pytest.raises(DataEngineError, match="image not found") as caught:
        locate(image_ref(None, path), tmp_path)
    message = str(caught.value)
    assert len(message) < 300 + len(str(tmp_path)) and message.isprintable()


def written(folder: Path, content: object) -> Path:
    file = folder / "questions.json"
    file.write_text(json.dumps(content))
    return file


def asked(**fields: object) -> dict[str, object]:
    return {"question": "?", "choices": ["a", "b"], "correct_choice_idx": 0, **fields}


def test_images_of_a_list_and_of_types_each_once(tmp_path: Path) -> None:
    rows = [asked(image_id=3), asked(image_path="x.jpg"), asked(image_id="3")]
    expected = [ImageRef(3), ImageRef(-1, "x.jpg")]
    assert read_image_refs(written(tmp_path, rows)) == expected
    assert read_image_refs(written(tmp_path, {"a": rows[:1], "b": rows[1:], "c": []})) == expected


def test_rows_that_cannot_be_scored_count_too(tmp_path: Path) -> None:
    """A-OKVQA's test split has no answers; its images are evaluation images all the same."""
    rows = [asked(image_id=1), asked(image_id=2, correct_choice_idx=None), {"image_id": 3}, asked(image_id=1)]
    assert [ref.image_id for ref in read_image_refs(written(tmp_path, rows))] == [1, 2, 3]


def test_images_of_seed_bench(tmp_path: Path) -> None:
    row = {
        "question": "?",
        "choice_a": "x",
        "choice_b": "y",
        "answer": "A",
        "data_id": "1454426_25",
        "question_id": 1,
    }
    file = written(tmp_path, {"questions": [row], "question_type": {"Scene Understanding": 1}})
    assert read_image_refs(file) == [ImageRef(-1, "1454426_25")]


def test_images_of_a_table_lie_where_step_1_unpacked_them(tmp_path: Path) -> None:
    file = tmp_path / "bench.tsv"
    file.write_text(f"index\tquestion\tA\tB\tanswer\timage\n7\t?\tx\ty\tA\t{GIF}\n8\t?\tx\ty\tA\t7\n")
    name = f"bench/{hashlib.sha256(base64.b64decode(GIF)).hexdigest()[:20]}.gif"
    assert read_image_refs(file, tmp_path / "images") == [ImageRef(-1, name)]
    assert (tmp_path / "images" / name).read_bytes().startswith(b"GIF89a")


def test_rows_without_an_image_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert read_image_refs(written(tmp_path, [asked(image_id=1), asked(), "text"])) == [ImageRef(1)]
    assert "2 of 3 rows name no image" in caplog.text and "row 1" in caplog.text


@pytest.mark.parametrize("row", [asked(image_id=2**70), asked(image_id=[1]), asked(image_path=5)])
def test_an_unusable_image_is_counted_and_the_others_are_kept_out(
    tmp_path: Path, row: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = read_image_refs(written(tmp_path, [asked(image_id=1), row, asked(image_id=3)]))
    assert found == [ImageRef(1), ImageRef(3)]
    assert "1 of 3 rows name no image" in caplog.text and "first: row 1: " in caplog.text


@pytest.mark.parametrize(
    "row",
    [
        {"question": "?", "choices": ["a", "b"], "answer": "fox", "image": "a.jpg"},
        {"question": "?", "choices": {"A": "a", "C": "c"}, "answer": "A", "image_path": "a.jpg"},
        {"instruction": "?", "options": ["a", "b"], "choice_answer": "Z", "image": "a.jpg", "qtype": 1},
        {
            "question": "?",
            "choice_a": "a",
            "choice_b": "b",
            "answer": "Z",
            "data_id": "a.jpg",
            "question_type_id": 1,
        },
    ],
)
def test_the_image_of_a_row_without_a_usable_answer_is_an_evaluation_image(
    tmp_path: Path, row: dict[str, object]
) -> None:
    assert read_image_refs(written(tmp_path, [row])) == [ImageRef(-1, "a.jpg")]
    table = tmp_path / "q.tsv"
    table.write_text("index\tquestion\tA\tB\tanswer\timage_path\n1\t?\tx\ty\tfox\ta.jpg\n")
    assert read_image_refs(table) == [ImageRef(-1, "a.jpg")]


@pytest.mark.parametrize(
    "name",
    [
        "val2014/COCO_val2014_000000370270.jpg",
        "COCO_train2014_000000370270.jpg",
        "test2015/COCO_test2015_000000370270.jpg",
    ],
)
def test_an_id_alone_finds_the_names_of_coco_2014_as_vqa_needs_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert locate(ImageRef(370270), tmp_path) == name
