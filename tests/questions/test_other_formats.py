"""Tests of the other question files: SEED-Bench's JSON, our training data, own types and splits, category sets."""

import json
from pathlib import Path
from typing import Any

import pytest
from question_tables import COLUMNS, JPEG, only_reason, read, row, table

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Question, TrainRecord
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.categories import read_categories, type_name
from dataengine_lib.questions.reader import image_of, read_question_file, read_questions
from dataengine_lib.questions.seed_bench import IMAGE_TYPES

SEED: dict[str, Any] = {
    "answer": "B",
    "choice_a": "One",
    "choice_b": "Two",
    "choice_c": "Three",
    "choice_d": "Four",
    "data_id": "1454426_2591111986",
    "data_type": "image",
    "question": "How many towels are in the image?",
    "question_id": "101669",
    "question_type_id": 5,
}
MAP = {"Scene Understanding": 1, "Instances Counting": 5, "Action Recognition": 10}


def test_seed_bench_is_read_with_its_types(tmp_path: Path) -> None:
    file = write_json(tmp_path / "q.json", {"questions": [SEED], "question_type": MAP})
    (found,) = read_questions(file)
    assert found.question_type == "instances_counting"
    assert (found.question_id, found.image_path) == ("101669", "1454426_2591111986")
    assert found.image_id == -1  # the numbers in a SEED-Bench name are no COCO id
    assert (found.choices, found.correct_choice_idx) == (["One", "Two", "Three", "Four"], 1)
    (tmp_path / found.image_path).write_bytes(JPEG)
    assert image_of(found, tmp_path) == found.image_path


def test_seed_bench_rows_that_cannot_be_asked_are_counted(tmp_path: Path) -> None:
    wrong: list[tuple[Any, str]] = [
        ({**SEED, "data_type": "video", "question_type_id": 10}, "not an image"),
        ({**SEED, "answer": "E"}, "index outside the choices"),
        ({**SEED, "answer": "AB"}, "wrong answer letter"),
        ({**SEED, "answer": None}, "no correct choice"),
        ({**SEED, "choice_b": None}, "unusable choices"),
        ({**SEED, "question_type_id": 99}, "unknown question_type_id"),
        ({**SEED, "data_id": None}, "no image"),
        ({key: value for key, value in SEED.items() if key != "question"}, "malformed row"),
        ("text", "malformed row"),
        (SEED, "repeated question_id"),
    ]
    rows = [SEED, *(content for content, _ in wrong), {**SEED, "question_id": 7, "choice_d": None}]
    found = read_question_file(
        write_json(tmp_path / "q.json", {"questions": rows, "question_type": MAP, "info": "v1"})
    )
    assert [(skipped.row, skipped.kind) for skipped in found.skipped] == [
        (f"questions[{number}]", kind) for number, (_, kind) in enumerate(wrong, 1)
    ]
    assert [question.question_id for question in found.questions] == ["101669", "7"]
    assert found.questions[1].choices == ["One", "Two", "Three"]


@pytest.mark.parametrize(
    ("data_type", "kind"),
    [
        ("Single Image", ""),
        ("single image", ""),
        ("IMAGE", ""),
        (None, ""),
        ("Video", "not an image"),
        ("Multiple Images", "several images"),
        ("Interleaved Image", "several images"),
        ("Image Generation", "unknown data_type"),
        (7, "unknown data_type"),
    ],
)
def test_the_media_of_seed_bench_2(tmp_path: Path, data_type: Any, kind: str) -> None:
    content = {"questions": [{**SEED, "data_type": data_type}], "question_type": MAP}
    found = read_question_file(write_json(tmp_path / "q.json", content))
    assert [skipped.kind for skipped in found.skipped] == ([kind] if kind else [])
    assert len(found.questions) == (not kind)


def test_a_list_of_images_is_one_or_too_many(tmp_path: Path) -> None:
    rows = [{**SEED, "question_id": n, "data_id": ["a.png"] * n} for n in (1, 2)]
    found = read_question_file(write_json(tmp_path / "q.json", rows))
    assert [question.image_path for question in found.questions] == ["a.png"]
    assert [skipped.kind for skipped in found.skipped] == ["several images"]


@pytest.mark.parametrize("content", [{"questions": [SEED]}, [SEED]])
def test_seed_bench_without_a_map_has_the_nine_types(tmp_path: Path, content: Any) -> None:
    assert read_questions(write_json(tmp_path / "q.json", content))[0].question_type == "instances_counting"


def test_a_map_of_another_shape_is_an_error(tmp_path: Path) -> None:
    file = write_json(tmp_path / "q.json", {"questions": [SEED], "question_type": ["a"]})
    with pytest.raises(DataEngineError, match=r"q\.json: question_type: .*name: id"):
        read_questions(file)


# our training data, types and splits under the user's own names


def test_our_training_data_is_read_under_its_queries_names(tmp_path: Path) -> None:
    def record(query: str, **given: Any) -> TrainRecord:
        usual: dict[str, Any] = {"question": "?", "choices": ["a", "b"], "correct_choice_idx": 0}
        kept: dict[str, Any] = {
            "image_id": 5,
            "raw_instructions": "Question: ?",
            "question_type": "image_scene",
        }
        return TrainRecord(**{**usual, **kept, "rationales": ["It is."], "query_id": query, **given})

    records = [
        record("q1"),
        record("q2"),
        record("q2"),
        record(""),
        record("q3", image_path="train2017/a.jpg"),
    ]
    found = read_questions(write_json(tmp_path / "train.json", records))
    assert [question.question_id for question in found] == ["q1", "5-row 1", "5-row 2", "5-row 3", "q3"]
    assert found[4] == Question(
        image_id=5,
        question_id="q3",
        question="?",
        choices=["a", "b"],
        correct_choice_idx=0,
        rationales=["It is."],
        question_type="image_scene",
        image_path="train2017/a.jpg",
    )


def test_a_query_named_like_a_question_gives_way(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = [{"question_id": "x", "query_id": "y"}, {"query_id": "x"}, {"query_id": {}}]
    rows = [
        {"question": "?", "choices": ["a", "b"], "correct_choice_idx": 0, "image_id": 5, **ids}
        for ids in given
    ]
    found = read_questions(write_json(tmp_path / "q.json", rows))
    assert [question.question_id for question in found] == ["x", "5-row 1", "5-row 2"]


def test_what_the_teacher_answered_about_a_known_type_is_kept(tmp_path: Path) -> None:
    asked = Question(
        question="?", choices=["a", "b"], correct_choice_idx=0, image_id=1, teacher_type="image_scene"
    )
    assert read_questions(write_json(tmp_path / "q.json", [asked]))[0].teacher_type == "image_scene"


LISTED: dict[str, Any] = {"question": "?", "choices": ["a", "b"], "correct_choice_idx": 0, "image_id": 5}


@pytest.mark.parametrize("shape", ["list", "dict", "seed", "table"])
def test_types_and_splits_under_the_users_names(tmp_path: Path, shape: str) -> None:
    own: list[dict[str, Any]] = [
        {"part": "holdout", "skill": "Image scene"},
        {"part": 2, "skill": 7},
        {"part": None, "skill": None},
    ]
    content: Any = [
        {**LISTED, "question_id": number, "split": "val", **mine} for number, mine in enumerate(own)
    ]
    if shape == "dict":
        content = {"ocr": content}
    if shape == "seed":
        seeds = [{**SEED, "question_id": number, **mine} for number, mine in enumerate(own)]
        content = {"questions": seeds, "question_type": MAP}
    if shape == "table":
        file = table(
            tmp_path, *(row(n, **mine) for n, mine in enumerate(own)), columns=[*COLUMNS, "part", "skill"]
        )
    else:
        file = write_json(tmp_path / "q.json", content)
    found = read(file, type_field="skill", split_field="part")
    assert [question.split for question in found] == ["holdout", "2", ""]
    assert [question.question_type for question in found] == [
        "image_scene",
        "7",
        "ocr" if shape == "dict" else "",
    ]
    for fields, near in (({"split_field": "prt"}, "part"), ({"type_field": "skil"}, "skill")):
        (option,) = fields
        with pytest.raises(DataEngineError, match=rf"{file.name}: no row has .*{option}.*'{near}'") as caught:
            read(file, **fields)
        assert "\n" not in str(caught.value)


def test_a_file_without_splits_needs_none(tmp_path: Path) -> None:
    assert read_questions(write_json(tmp_path / "q.json", [LISTED]))[0].split == ""
    columns = [name for name in COLUMNS if name != "split"]
    assert read(table(tmp_path, row(1), columns=columns))[0].split == ""
    assert read_questions(write_json(tmp_path / "q.json", []), split_field="part") == []


def test_a_split_that_is_no_text_is_a_wrong_row(tmp_path: Path) -> None:
    file = write_json(tmp_path / "q.json", [{**LISTED, "split": ["a"]}])
    assert only_reason(file)[0] == "malformed row"


# category sets

L2 = [
    "attribute_reasoning",
    "coarse_perception",
    "finegrained_perception (cross-instance)",
    "finegrained_perception (instance-level)",
    "logic_reasoning",
    "relation_reasoning",
]
L3 = """image_style image_scene image_emotion image_quality image_topic object_localization attribute_recognition
celebrity_recognition ocr spatial_relationship attribute_comparison action_recognition
physical_property_reasoning function_reasoning identity_reasoning social_relation nature_relation
physical_relation structuralized_imagetext_understanding future_prediction"""


@pytest.mark.parametrize(
    ("name", "published"), [("seed_bench", list(IMAGE_TYPES)), ("mmbench", L2), ("mmbench_l3", L3.split())]
)
def test_category_sets_are_what_the_published_columns_become(name: str, published: list[str]) -> None:
    found = read_categories(name)
    assert (found.name, found.names) == (name, [type_name(kind) for kind in published])
    definitions = [found.definition(kind) for kind in found.names]
    assert all(20 < len(text) < 160 and "\n" not in text for text in definitions)
    assert len(set(definitions)) == len(published)


def test_numbers_of_json_are_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(json.dumps([{**LISTED, "correct_choice_idx": 1.0, "image_id": "0005"}]))
    (found,) = read_questions(tmp_path / "q.json")
    assert (found.correct_choice_idx, found.image_id) == (1, 5)
