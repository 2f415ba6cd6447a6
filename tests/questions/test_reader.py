"""Tests of reading question files: both shapes, wrong rows counted, images found."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.reader import image_of, read_question_file, read_question_rows, read_questions

# a row as A-OKVQA publishes it
AOKVQA: dict[str, Any] = {
    "split": "val",
    "image_id": 461751,
    "question_id": "22jbM6gDxdaMaunuzgrsBB",
    "question": "What is in the motorcyclist's mouth?",
    "choices": ["toothpick", "food", "popsicle stick", "cigarette"],
    "correct_choice_idx": 3,
    "direct_answers": ["cigarette"] * 10,
    "difficult_direct_answer": False,
    "rationales": ["He's smoking.", "Smoke.", "It is lit."],
}


def write(folder: Path, content: Any) -> Path:
    file = folder / "questions.json"
    file.write_text(json.dumps(content))
    return file


def test_a_published_row_is_read_whole(tmp_path: Path) -> None:
    (found,) = read_questions(write(tmp_path, [AOKVQA]))
    assert found == Question(**AOKVQA)


def test_a_classified_file_gives_types_and_places(tmp_path: Path) -> None:
    rows = {
        "Image scene": [{**AOKVQA, "question_id": "a"}],
        "image_style": [],
        "image_topic": [
            {**AOKVQA, "question_id": "b", "question_type": "image_topic"},
            {**AOKVQA, "question_id": "c", "image_id": None, "image_path": "val2017/000000370270.jpg"},
        ],
    }
    found = read_question_file(write(tmp_path, rows))
    assert [question.question_type for question in found.questions] == [
        "image_scene",
        "image_topic",
        "image_topic",
    ]
    assert found.rows == ["Image scene[0]", "image_topic[0]", "image_topic[1]"]
    assert found.places == [0, 1, 2]
    assert found.questions[2].image_id == 370270
    assert found.skipped == []


WRONG: list[tuple[Any, str]] = [
    ("text", "malformed row"),
    (None, "malformed row"),
    ({key: value for key, value in AOKVQA.items() if key != "question"}, "malformed row"),
    ({**AOKVQA, "choices": "a, b"}, "malformed row"),
    ({**AOKVQA, "question": "  "}, "empty question"),
    ({**AOKVQA, "choices": ["only"]}, "unusable choices"),
    ({**AOKVQA, "choices": ["a", " ", "c", "d"]}, "unusable choices"),
    ({**AOKVQA, "correct_choice_idx": 4}, "index outside the choices"),
    ({**AOKVQA, "correct_choice_idx": -1}, "index outside the choices"),
    ({**AOKVQA, "correct_choice_idx": None}, "no correct choice"),
    ({**AOKVQA, "image_id": 10**30}, "unusable image_id"),
    ({**AOKVQA, "image_id": None}, "no image"),
    ({**AOKVQA, "question": "Another?"}, "repeated question_id"),
]


def test_every_wrong_row_is_counted_with_its_reason_and_none_stops_the_others(tmp_path: Path) -> None:
    file = write(tmp_path, [AOKVQA, *(row for row, _ in WRONG), {**AOKVQA, "question_id": "last"}])
    found = read_question_file(file)
    assert [(row.row, row.kind) for row in found.skipped] == [
        (f"row {number}", kind) for number, (_, kind) in enumerate(WRONG, 1)
    ]
    assert all(row.reason and "\n" not in row.reason for row in found.skipped)
    assert [question.question_id for question in found.questions] == [AOKVQA["question_id"], "last"]
    assert found.places == [0, len(WRONG) + 1]
    assert read_question_rows(file) == (found.questions, found.skipped)
    with pytest.raises(DataEngineError, match=r"row 1: .*correct or remove that row"):
        read_questions(file)


def test_nulls_strings_and_numbers_of_published_copies_are_read(tmp_path: Path) -> None:
    row = {
        "image_id": "000000461751",
        "question": "How many?",
        "choices": [1, "2", 3.5],
        "correct_choice_idx": 1,
        "question_id": 7,
        "direct_answers": "['two', \"cat's\"]",
        "difficult_direct_answer": None,
        "rationales": None,
        "split": None,
        "extra": {"kept": "out"},
    }
    (found,) = read_questions(write(tmp_path, [row]))
    assert (found.image_id, found.choices, found.question_id) == (461751, ["1", "2", "3.5"], "7")
    assert found.direct_answers == ["two", "cat's"]
    assert (found.rationales, found.split, found.difficult_direct_answer) == ([], "", False)


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        ("[]", []),
        ("", []),
        (None, []),
        ("dog", ["dog"]),
        ("rock 'n' roll", ["rock 'n' roll"]),
        ("it's the dog's", ["it's the dog's"]),
        ("['it\\'s', 'x']", ["it's", "x"]),
        (" [\"it's\", 'x', 2]", ["it's", "x", "2"]),
        ("['two' \"cat's\"\n 'x']", ["two", "cat's", "x"]),  # an array of numpy's
        ("[sic]", ["[sic]"]),
        ("['a', ['b']]", ["['a', ['b']]"]),
        ("[" * 5000, ["[" * 5000]),
        ("['\\d', '", ["['\\d', '"]),
        ("['\0']", ["['\0']"]),
        ("['a', " * 5000, ["['a', " * 5000]),
    ],
)
def test_direct_answers_given_as_text(tmp_path: Path, given: str | None, answers: list[str]) -> None:
    (found,) = read_questions(write(tmp_path, [{**AOKVQA, "direct_answers": given}]))
    assert found.direct_answers == answers


def test_questions_without_ids_get_different_ones_each_time_the_same(tmp_path: Path) -> None:
    row = {key: value for key, value in AOKVQA.items() if key != "question_id"}
    file = write(tmp_path, [row, {**row, "question": "Else?"}])
    ids = [question.question_id for question in read_questions(file)]
    assert len(set(ids)) == 2 and ids == [question.question_id for question in read_questions(file)]


@pytest.mark.parametrize("content", [{"questions": {"a": 1}}, "text", 3])
def test_a_file_of_another_shape_is_an_error(tmp_path: Path, content: Any) -> None:
    with pytest.raises(DataEngineError, match=r"questions\.json"):
        read_question_file(write(tmp_path, content))


@pytest.mark.parametrize("key", ["questions", "data"])
def test_a_list_inside_its_data_set_is_read_as_the_list(tmp_path: Path, key: str) -> None:
    content = {
        "info": {"version": "1.0"},
        key: [AOKVQA, {**AOKVQA, "question_id": "b", "choices": []}],
        "license": "CC",
    }
    found = read_question_file(write(tmp_path, content))
    assert found.questions == [Question(**AOKVQA)]
    assert [(row.row, row.kind) for row in found.skipped] == [(f"{key}[1]", "unusable choices")]
    typed = {key: [AOKVQA], "image_style": [{**AOKVQA, "question_id": "b"}]}  # one type among others
    kinds = [question.question_type for question in read_question_file(write(tmp_path, typed)).questions]
    assert kinds == [key, "image_style"]


def test_a_missing_value_of_pandas_is_its_rows_alone(tmp_path: Path) -> None:
    rows = [
        {**AOKVQA, "question_type": float("nan")},
        {**AOKVQA, "question_id": "b", "question": float("nan")},
    ]
    found = read_question_file(write(tmp_path, rows))  # json.dumps writes NaN
    assert found.questions == [Question(**AOKVQA)]
    assert [(row.row, row.kind) for row in found.skipped] == [("row 1", "malformed row")]


def test_bytes_of_another_encoding_are_their_rows_alone(tmp_path: Path) -> None:
    file = write(tmp_path, [AOKVQA, {**AOKVQA, "caf_": 1}, {**AOKVQA, "question": "caf_?"}])
    file.write_bytes(file.read_bytes().replace(b"caf_", b"caf\xe9"))
    found = read_question_file(file)
    assert len(found.questions) == 1
    assert all("not saved as UTF-8" in row.reason for row in found.skipped) and len(found.skipped) == 2
    file.write_bytes(b'{"caf\xe9": []}')
    with pytest.raises(DataEngineError, match=r"questions\.json: not saved as UTF-8"):
        read_question_file(file)


def test_no_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "questions.json").write_text("[{")
    with pytest.raises(DataEngineError, match=r"questions\.json"):
        read_question_file(tmp_path / "questions.json")
    with pytest.raises(DataEngineError, match="cannot be read"):
        read_question_file(tmp_path / "none.json")


def test_images_are_found_by_path_or_by_cocos_name(tmp_path: Path) -> None:
    def asked(**image: Any) -> Question:
        return Question(question="?", choices=["a", "b"], correct_choice_idx=0, **image)

    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "000000000042.jpg").touch()
    (tmp_path / "own.png").touch()
    assert image_of(asked(image_id=42), tmp_path) == "val2017/000000000042.jpg"
    assert image_of(asked(image_path="own.png"), tmp_path) == "own.png"
    with pytest.raises(DataEngineError, match="image not found") as caught:
        image_of(asked(image_id=43), tmp_path)
    assert "bad_case_image_root" not in str(caught.value)
    with pytest.raises(DataEngineError, match="leads outside"):
        image_of(asked(image_path="../own.png"), tmp_path / "val2017")
