"""Question files as other versions and programs write them, each read with the right answers; odd rows are counted."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from question_tables import row, table

from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.reader import read_question_file, read_questions

ROWS: list[dict[str, Any]] = [
    {
        "image_id": 9,
        "question_id": f"q{n}",
        "question": f"What is {n}?",
        "choices": ["dog", "cat"],
        "correct_choice_idx": n,
    }
    for n in range(2)
]
V2 = {"instruction": "Which?", "options": ["dog", "cat"], "choice_answer": "B", "image": "a.jpg", "qtype": 2}
SEED = {
    "question": "Which?",
    "choice_a": "dog",
    "choice_b": "cat",
    "answer": "B",
    "data_id": "a",
    "question_type_id": 1,
}


def lines(content: list[Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in content)


def write(folder: Path, text: str | bytes, name: str = "q.json") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_list_lines_and_types_are_read_in_every_encoding(tmp_path: Path, encoding: str, pack: Any) -> None:
    by_type = {"ocr": ROWS[:1], "image_scene": ROWS[1:]}
    by_id = {
        f"q{n}": {key: value for key, value in one.items() if key != "question_id"}
        for n, one in enumerate(ROWS)
    }
    for content in (
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        lines(ROWS),
        json.dumps(by_type),
        json.dumps(by_id),
    ):
        file = write(tmp_path, pack(content.replace("\n", "\r\n").encode(encoding)))
        assert [(one.question_id, one.correct_choice_idx) for one in read_questions(file)] == [
            ("q0", 0),
            ("q1", 1),
        ]


@pytest.mark.parametrize("content", [ROWS[1], V2, SEED])
def test_one_row_of_json_lines(tmp_path: Path, content: dict[str, Any]) -> None:
    for text in (lines([content]), json.dumps([content]), lines([content, {**content, "question_id": "b"}])):
        found = read_questions(write(tmp_path, text, "q.jsonl"))
        assert [one.correct_choice_idx for one in found] == [1] * (2 if text.count("\n") == 2 else 1)


def test_odd_lines_are_counted_and_stop_no_other(tmp_path: Path) -> None:
    odd = [
        '{"question": "cut',
        "null",
        "[]",
        '{"question": "\\ud800?"}',
        "{" * 5000,
        '{"image_id": ' + "9" * 5000 + "}",
    ]
    content = lines(ROWS[:1]) + "\n".join(odd) + "\n" + lines(ROWS[1:]) + '{"question_id": "cut o'
    found = read_question_file(write(tmp_path, content))
    assert [one.question_id for one in found.questions] == ["q0", "q1"]
    assert [(one.row, one.kind) for one in found.skipped] == [
        (f"line {n}", "malformed row") for n in (2, 3, 4, 5, 6, 7, 9)
    ]
    assert all(one.reason and "\n" not in one.reason for one in found.skipped)


ANSWERS: list[tuple[dict[str, Any], int | str]] = [
    ({"choices": {"A": "dog", "B": "cat", "C": "cow"}, "answer": "C"}, 2),
    ({"options": {"B": "cat", "A": "dog"}, "answer": "cat"}, 1),
    ({"options": ["dog", "cat"], "answer": "B"}, 1),
    ({"choices": ["dog", "cat"], "answer": "The Cat"}, "wrong answer letter"),
    ({"choices": ["dog", "cat"], "answer": "CAT"}, 1),
    ({"choices": ["dog", "cat"], "answer": "(B) cat"}, 1),
    ({"choices": ["dog", "cat"], "answer": "(B) dog"}, "wrong answer letter"),
    ({"choices": ["dog", "cat"], "answer": 1}, 1),
    ({"choices": ["dog", "cat"], "answer": "1.0"}, 1),
    ({"choices": ["dog", "cat"], "label": 0}, 0),
    ({"choices": ["dog", "cat"], "answer": 2}, "wrong answer letter"),
    ({"choices": ["1", "2"], "answer": 1}, "wrong answer letter"),  # the text 1, or the second choice
    ({"choices": ["B", "A"], "answer": "A"}, "wrong answer letter"),  # the text A, or the first choice
    ({"choices": ["dog", "cat"], "answer": ["cat"]}, 1),
    ({"choices": ["dog", "cat"], "answer": True}, "wrong answer letter"),
    ({"choices": ["dog", "cat", None, ""], "answer": "B"}, 1),
    ({"choices": {"A": "dog", "C": "cow"}, "answer": "A"}, "unusable choices"),
    (
        {"choices": ["dog", "cat"], "correct_choice_idx": 0, "answer": "B"},
        0,
    ),  # our own field is never overruled
]


@pytest.mark.parametrize(("fields", "expected"), ANSWERS)
def test_choices_and_answers_in_other_forms(
    tmp_path: Path, fields: dict[str, Any], expected: int | str
) -> None:
    found = read_question_file(
        write(tmp_path, json.dumps([{"question": "Which?", "image": "a.jpg", **fields}]))
    )
    got = [one.correct_choice_idx for one in found.questions] or [one.kind for one in found.skipped]
    assert got == [expected]
    assert all(one.image_path == "a.jpg" for one in found.questions)


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["q.tsv", "q.csv", "q.txt"])
def test_tables_that_spreadsheets_saved(tmp_path: Path, delimiter: str, encoding: str, name: str) -> None:
    head = ["", "Index", "Question", *"abcd", "Answer", "L2-Category", "image_path"]
    made = [
        [str(n), f"{n}.0", f"What; is, {n}?", "x", "y", "NaN", "", "B", "Ocr", f"{n}.jpg"] for n in range(2)
    ]
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in cells) for cells in (head, *made))
    found = read_questions(write(tmp_path, text.encode(encoding), name), type_field="L2-Category")
    assert [(one.question_id, one.question) for one in found] == [
        ("0", "What; is, 0?"),
        ("1", "What; is, 1?"),
    ]
    assert [(one.choices, one.correct_choice_idx, one.question_type) for one in found] == [
        (["x", "y"], 1, "ocr")
    ] * 2


def test_a_workbook_of_questions(tmp_path: Path) -> None:
    book = Workbook()
    assert book.active is not None
    for cells in (
        ["index", "question", "A", "B", "answer", "image_path"],
        [7, "Which?", 1, 2.5, "B", "a.jpg"],
    ):
        book.active.append(cells)
    book.save(tmp_path / "q.xlsx")
    (found,) = read_questions(tmp_path / "q.xlsx")
    assert (found.question_id, found.choices, found.correct_choice_idx) == ("7", ["1", "2.5"], 1)


def test_an_index_without_a_name_and_rows_of_another_encoding(tmp_path: Path) -> None:
    content = (
        b",question,A,B,answer,image_path\n0,Which?,x,y,A,a.jpg\n1,caf\xe9?,x,y,A,a.jpg\n2,Who?,x,y,y,a.jpg\n"
    )
    found = read_question_file(write(tmp_path, content, "q.csv"))
    assert [(one.question_id, one.correct_choice_idx) for one in found.questions] == [("0", 0), ("2", 1)]
    assert [(one.row, one.kind) for one in found.skipped] == [("row 3", "malformed row")]


def test_the_turned_rows_of_mmbench_are_questions_of_their_own(tmp_path: Path) -> None:
    turned = {"A": "cat", "B": "cow", "C": "pig", "D": "dog", "answer": "A", "image": "1"}
    file = table(tmp_path, row(1), row(1000001, **turned), row("2000001.0", image="1.0"))
    found = read_question_file(file, tmp_path / "images")
    assert [(one.question_id, one.correct_choice_idx) for one in found.questions] == [
        ("1", 1),
        ("1000001", 0),
        ("2000001", 1),
    ]
    assert len({one.image_path for one in found.questions}) == 1


def test_a_type_that_is_there_twice_loses_no_rows(tmp_path: Path) -> None:
    one, two = (json.dumps([content]) for content in ROWS)
    file = write(tmp_path, f'{{"ocr": {one}, "ocr": {two}}}')
    with pytest.raises(DataEngineError, match=r"q\.json: the key 'ocr' is there twice"):
        read_questions(file)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "Git LFS"),
        (b"PAR1" + bytes(40), "Parquet"),
        (b"\x80\x04\x95" + bytes(40), "pickle"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "PNG"),
        (b'{"cells": [], "metadata": {}, "nbformat": 4}', "notebook"),
        (b"questions:\n  - a\n", "YAML"),
        (b'{"images": [{"id": 1}], "annotations": [{"bbox": []}], "info": {}}', "COCO"),
        (b"", "empty"),
    ],
)
def test_what_a_file_is_instead_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    for name in ("q.json", "q.jsonl", "q.tsv"):
        with pytest.raises(DataEngineError, match=rf"(?s){name}: .*{kind}") as caught:
            read_questions(write(tmp_path, content, name))
        assert "\n" not in str(caught.value)
