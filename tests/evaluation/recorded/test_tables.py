"""Predictions in tables of VLMEvalKit: joined by ids or places, other options and answers named."""

import csv
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from predictions.recorded_questions import ASKED, PLACES, choices_of, question_rows, write_json

from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.questions.reader import QuestionRows, read_question_file

HEAD = ["index", "question", "A", "B", "C", "D", "answer", "category", "prediction", "hit"]


def table(keys: list[Any], predictions: list[Any]) -> list[list[Any]]:
    return [
        [key, text, *choices, "ABCD"[correct], "count", prediction, 1]
        for key, (_, text, choices, correct), prediction in zip(keys, ASKED, predictions, strict=True)
    ]


def write_table(folder: Path, suffix: str, lines: list[list[Any]], head: list[str] = HEAD) -> Path:
    file = folder / f"model_dataset{suffix}"
    if suffix == ".xlsx":
        book = Workbook()
        sheet = book.active
        assert sheet is not None
        for line in [head, *lines]:
            sheet.append(line)
        book.save(file)
    else:
        with file.open("w", encoding="utf-8", newline="") as stream:
            delimiter = "\t" if suffix == ".tsv" else ","
            csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([head, *lines])
    return file


SUFFIXES = pytest.mark.parametrize("suffix", [".tsv", ".csv", ".xlsx"])


@SUFFIXES
def test_a_table_joins_on_the_place(tmp_path: Path, rows: QuestionRows, suffix: str) -> None:
    lines = table(PLACES, ["D", 'It is\nlà-haut, "I\tthink"', "B"])
    found = read_recorded(write_table(tmp_path, suffix, lines[::-1]), rows)
    assert found.answers == {
        0: StudentAnswer(3, [], "D"),
        1: StudentAnswer(None, [], 'It is\nlà-haut, "I\tthink"'),
        2: StudentAnswer(1, [], "B"),
    }
    assert found.format == "VLMEvalKit table, joined on index = place"


@SUFFIXES
def test_a_table_joins_on_ids_before_places(tmp_path: Path, suffix: str) -> None:
    rows = question_rows(tmp_path, [3, 0, 2])
    lines = table([3.0, 0.0, 2.0], ["A", "B", "C"])  # as pandas writes a column with a gap
    found = read_recorded(write_table(tmp_path, suffix, lines), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}
    assert found.format == "VLMEvalKit table, joined on index = question_id"


def test_ids_of_other_questions_do_not_win_over_places(tmp_path: Path) -> None:
    rows = question_rows(tmp_path, [3, 0, 2])
    found = read_recorded(write_table(tmp_path, ".tsv", table(PLACES, ["A", "B", "C"])), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}
    assert found.format == "VLMEvalKit table, joined on index = place"


def test_numbers_and_formulas_of_a_workbook_are_values(tmp_path: Path, rows: QuestionRows) -> None:
    lines = table(PLACES, ["=1+1", "B", 2])
    lines[2][2:6] = [1, 2.0, 3, 4]  # the options as numbers
    found = read_recorded(write_table(tmp_path, ".xlsx", lines), rows)
    assert found.answers[0] == StudentAnswer(None, [], "=1+1")  # a formula that was never computed
    assert found.answers[2] == StudentAnswer(1, [], "2")


def test_options_that_a_table_made_floats_are_the_same(tmp_path: Path, rows: QuestionRows) -> None:
    lines = table(PLACES, ["D", "A", "2"])
    lines[2][2:6] = ["1.0", "2.0", "3.0", "4.0"]
    assert read_recorded(write_table(tmp_path, ".tsv", lines), rows).answers[2] == StudentAnswer(1, [], "2")
    lines[2][2:6] = ["1.0", "2.5", "3.0", "4.0"]
    assert read_recorded(write_table(tmp_path, ".tsv", lines), rows).missing == [2]


@pytest.mark.parametrize(
    ("given", "own", "same"),
    [
        ("1.5", "1.50", True),
        ("1e-05", "0.00001", True),
        ("7", "007", True),
        ("0.5", ".5", True),
        ("", "None", True),
        ("", "nan", True),
        ("None", "", True),
        ("1.5", "1.05", False),
        ("", "no", False),
        ("None", "no", False),
        ("1,5", "15", False),
    ],
)
def test_options_as_pandas_writes_them(
    tmp_path: Path, rows: QuestionRows, given: str, own: str, same: bool
) -> None:
    for place in (1, 3):  # in the middle, and last, where an empty cell is no option
        lines = table(PLACES, ["D", "A", "B"])
        lines[2][2 + place] = given
        rows.questions[2].choices = [own if i == place else choice for i, choice in enumerate(ASKED[2][2])]
        rows.questions[2].choices = (
            [*filter(None, rows.questions[2].choices)] if place == 3 else rows.questions[2].choices
        )
        rows.questions[2].correct_choice_idx = 0
        lines[2][6] = "A"
        found = read_recorded(write_table(tmp_path, ".tsv", lines), rows)
        assert (2 in found.answers) is same


def test_the_answer_in_a_table_must_agree_with_the_question_file(tmp_path: Path, rows: QuestionRows) -> None:
    lines = table(PLACES, ["D", "A", "B"])
    lines[0][6], lines[1][6] = "C", ""
    found = read_recorded(write_table(tmp_path, ".tsv", lines), rows)
    assert choices_of(found.answers) == {1: 0, 2: 1}
    reason = "answer 'C' is not the question file's answer: other questions or another order?"
    assert [(one.row, one.reason) for one in found.unmatched] == [("row 2", reason)]


def test_ids_that_pandas_made_floats_are_the_same_on_both_sides(tmp_path: Path) -> None:
    """Three equal questions that only their ids tell apart."""
    heading = "index\tquestion\tA\tB\tanswer\timage_path\n"
    file = tmp_path / "questions.tsv"
    file.write_text(heading + "".join(f"{n}.0\tWhich?\tx\ty\tA\t{n}.jpg\n" for n in (2, 0, 1)))
    head = ["index", "question", "A", "B", "answer", "prediction"]
    lines = [[f"{n}.0", "Which?", "x", "y", "A", "AB"[n == 2]] for n in range(3)]
    found = read_recorded(write_table(tmp_path, ".tsv", lines, head), read_question_file(file))
    assert choices_of(found.answers) == {0: 1, 1: 0, 2: 0}
    assert found.format == "VLMEvalKit table, joined on index = question_id"
    predictions = write_json(tmp_path, {"2.0": {"multiple_choice": "y"}})
    assert choices_of(read_recorded(predictions, read_question_file(file)).answers) == {0: 1}
    file.write_text(heading + "5\tWhich?\tx\ty\tA\t1.jpg\n5.0\tWhich?\tx\ty\tA\t2.jpg\n")
    (twice,) = read_question_file(file).skipped
    assert (twice.row, twice.reason) == ("row 3", "index 5 occurs twice, first in row 2")


def test_a_file_for_more_questions_is_allowed(tmp_path: Path, rows: QuestionRows) -> None:
    lines = [
        *table(PLACES, ["D", "A", "B"]),
        *([str(n), *table(PLACES, ["D"] * 3)[0][1:]] for n in range(9, 99)),
    ]
    found = read_recorded(write_table(tmp_path, ".tsv", lines), rows)
    assert len(found.answers) == 3 and not found.unmatched and len(found.surplus) == 90
    assert found.format.endswith(
        "joined on index = place; rows about none of the questions: 90 (first: row 5)"
    )
    with pytest.raises(DataEngineError, match="none of its 90 rows answers a question"):
        read_recorded(write_table(tmp_path, ".tsv", lines[3:]), rows)


def test_a_quote_that_never_ends_does_not_swallow_rows(tmp_path: Path, rows: QuestionRows) -> None:
    file = write_table(tmp_path, ".tsv", table(PLACES, ["A", "B", "C"]))
    file.write_text(file.read_text(encoding="utf-8") + '0\t"never ends\n', encoding="utf-8")
    with pytest.raises(DataEngineError, match=r"row 5: a quotation mark opens a cell"):
        read_recorded(file, rows)


def test_case_white_space_and_composition_do_not_matter(tmp_path: Path, rows: QuestionRows) -> None:
    lines = table(PLACES, ["a", "b", "c"])
    lines[1][1] = "OU\u0300  est le\ncafe\u0301? "
    lines[1][2] = " A\u0300 gauche"
    found = read_recorded(write_table(tmp_path, ".tsv", lines), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize("ours", [True, False])
def test_a_hint_may_stand_before_the_question(tmp_path: Path, rows: QuestionRows, ours: bool) -> None:
    hint = "He is on a motorbike."
    line = [hint, *table(PLACES, ["A", "B", "C"])[0]]
    if ours:
        rows.questions[0].question = f"{hint}\n{ASKED[0][1]}"
    else:
        line[2] = f"{hint} {line[2]}"
    assert choices_of(
        read_recorded(write_table(tmp_path, ".tsv", [line], ["hint", *HEAD]), rows).answers
    ) == {0: 0}
    line[0] = "It is dark."
    with pytest.raises(DataEngineError, match="row 2: question"):
        read_recorded(write_table(tmp_path, ".tsv", [line], ["hint", *HEAD]), rows)


@SUFFIXES
def test_each_fault_of_a_table_is_named(tmp_path: Path, rows: QuestionRows, suffix: str) -> None:
    good = table(PLACES, ["A", "B", "C"])
    other, order, gap, far, none = ([*good[0]] for _ in range(5))
    other[1] = "What is in her mouth?"
    order[2:4] = order[3:1:-1]
    gap[3] = ""
    far[0] = 1000000
    none[0] = ""
    lines = [other, order, gap, far, none, [""] * len(HEAD), *good, [*good[2]]]
    found = read_recorded(write_table(tmp_path, suffix, lines), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}
    assert [(one.row, one.kind) for one in found.unmatched] == [
        ("row 2", "another question"),
        ("row 3", "other choices"),
        ("row 4", "other choices"),
        ("row 6", "no key"),
        ("row 11", "answered twice"),
    ]
    assert [one.row for one in found.surplus] == ["row 5"]


def test_a_table_of_other_questions_is_an_error_with_the_first_reason(
    tmp_path: Path, rows: QuestionRows
) -> None:
    lines = table(PLACES, ["A", "B", "C"])
    for line in lines:
        line[1] = "Another\nquestion? " + "long " * 30
    with pytest.raises(DataEngineError) as caught:
        read_recorded(write_table(tmp_path, ".xlsx", lines), rows)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/model_dataset.xlsx: row 2: question 'Another\\nquestion? long ")
    assert "none of its 3 rows" in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(tmp_path))
