"""Predictions as other versions and programs write them: JSON rows, older logs, filters, cells of spreadsheets."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.recorded.join import RecordedPredictions, read_recorded
from dataengine_lib.questions.reader import QuestionRows, read_question_file

CHOICES = ["dog", "cat", "cow", "pig"]
HEAD = ["index", "question", *"ABCD", "answer", "prediction"]


@pytest.fixture
def rows(tmp_path: Path) -> QuestionRows:
    asked = [
        {
            "image_id": 9,
            "question_id": f"q{n}",
            "question": f"What is {n}?",
            "choices": CHOICES,
            "correct_choice_idx": 1,
        }
        for n in range(3)
    ]
    (tmp_path / "questions.json").write_text(json.dumps(asked))
    return read_question_file(tmp_path / "questions.json")


def row(n: int, prediction: Any, **more: Any) -> dict[str, Any]:
    usual = dict(zip(HEAD, [n, f"What is {n}?", *CHOICES, "B", prediction], strict=True))
    return {**usual, **more}


def sample(n: int, response: Any, **more: Any) -> dict[str, Any]:
    return {"doc_id": n, "target": "B", "resps": [["?"]], "filtered_resps": response, **more}


def chosen(found: RecordedPredictions) -> list[int | None]:
    return [found.answers[i].choice if i in found.answers else -1 for i in range(3)]


def lines(content: list[Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in content)


@pytest.mark.parametrize("write", [json.dumps, lines])
@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.json.gz"])
def test_vlmevalkits_rows_as_json(tmp_path: Path, rows: QuestionRows, write: Any, name: str) -> None:
    content = [row(0, "B"), row(1, "The answer is (C).", index=1.0, hit=None), row(2, None, D=float("nan"))]
    text = write(content).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    found = read_recorded(tmp_path / name, rows)
    assert chosen(found) == [1, 2, -1]
    assert found.format == "VLMEvalKit table, joined on index = place"
    assert [(one.row, one.kind) for one in found.unmatched] == [
        ("row 2" if write is json.dumps else "line 3", "other choices")
    ]


def test_one_row_of_json_lines_and_other_spellings_of_the_columns(tmp_path: Path, rows: QuestionRows) -> None:
    (tmp_path / "p.jsonl").write_text(lines([row(1, "D")]))
    assert chosen(read_recorded(tmp_path / "p.jsonl", rows)) == [-1, 3, -1]
    upper = {name.upper() if len(name) > 1 else name.lower(): value for name, value in row(1, "D").items()}
    (tmp_path / "p.jsonl").write_text(lines([upper]))
    assert chosen(read_recorded(tmp_path / "p.jsonl", rows)) == [-1, 3, -1]


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "log"])
def test_our_answers_and_logs_are_read_as_a_list_and_as_lines(
    tmp_path: Path, rows: QuestionRows, name: str
) -> None:
    own = [
        {"question_id": f"q{n}", "question": f"What is {n}?", "choices": CHOICES, "model_answer": CHOICES[n]}
        for n in range(3)
    ]
    logged = [sample(n, ["(D)"]) for n in range(3)]
    for content, expected in ((own, [0, 1, 2]), (logged, [3, 3, 3])):
        for text in (json.dumps(content), lines(content), json.dumps(content, indent=1)):
            (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
            assert chosen(read_recorded(tmp_path / name, rows)) == expected
    (tmp_path / name).write_text(lines(own[:1]))
    assert chosen(read_recorded(tmp_path / name, rows)) == [0, -1, -1]


def test_an_older_log_of_lmms_eval(tmp_path: Path, rows: QuestionRows) -> None:
    log = [
        sample(0, ["A"]),
        sample(1, [[["0.4", "False"]], [["1.9", "False"]], [["3", "False"]], [["2", "False"]]]),
    ]
    content = {"args": {"model": "llava"}, "model_configs": {}, "logs": [*log, {"doc": 1}], "time": "0101"}
    for indent in (None, 2):
        (tmp_path / "aokvqa.json").write_text(json.dumps(content, indent=indent))
        found = read_recorded(tmp_path / "aokvqa.json", rows)
        assert chosen(found) == [0, 0, -1]
        assert [(one.row, one.kind) for one in found.unmatched] == [("logs[2]", "malformed row")]
    (tmp_path / "aokvqa.json").write_text(json.dumps({**content, "logs": []}))
    with pytest.raises(
        DataEngineError, match=r"no predictions in a supported format \(looks like samples of lmms-eval"
    ):
        read_recorded(tmp_path / "aokvqa.json", rows)


NAMED = [
    sample(n, [answer], filter=name)
    for name, answer in (("strict", "A"), ("flexible", "C"))
    for n in range(3)
]
UNNAMED = [sample(n, [answer]) for answer in "AC" for n in range(3)]
IN_A_ROW = [sample(n, {"strict": ["A"], "flexible": ["C"]}) for n in range(3)]


@pytest.mark.parametrize(
    ("content", "names"),
    [(NAMED, ("strict", "flexible")), (IN_A_ROW, ("strict", "flexible")), (UNNAMED, ("1", "2"))],
)
def test_of_two_filters_the_named_one_counts(
    tmp_path: Path, rows: QuestionRows, content: list[Any], names: tuple[str, str]
) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text(lines(content))
    one, two = names
    for name, choice in zip(names, (0, 2), strict=True):
        found = read_recorded(file, rows, name)
        assert chosen(found) == [choice] * 3 and not found.unmatched
        assert found.format == f"lmms-eval samples (written answers, filter {name}), joined on doc_id = place"
    message = (
        rf"samples\.jsonl: holds the responses of 2 filters; set recorded_filter to one of '{one}', '{two}'"
    )
    with pytest.raises(DataEngineError, match=message):
        read_recorded(file, rows)
    with pytest.raises(
        DataEngineError, match=rf"has no filter 'x' \(recorded_filter\); its filters: '{one}', '{two}'"
    ):
        read_recorded(file, rows, "x")


def test_one_filter_needs_no_name(tmp_path: Path, rows: QuestionRows) -> None:
    (tmp_path / "s.jsonl").write_text(lines(NAMED[:3]))
    assert chosen(read_recorded(tmp_path / "s.jsonl", rows)) == [0, 0, 0]
    (tmp_path / "s.jsonl").write_text(lines([sample(0, {"none": ["D"]})]))
    assert chosen(read_recorded(tmp_path / "s.jsonl", rows)) == [3, -1, -1]


def test_a_cell_that_looks_like_a_formula_is_an_answer(tmp_path: Path, rows: QuestionRows) -> None:
    book = Workbook()
    assert book.active is not None
    for cells in (HEAD, *([*row(n, text).values()] for n, text in enumerate(("=B", "=cat", "=1+1")))):
        book.active.append(cells)
    book.save(tmp_path / "p.xlsx")
    found = read_recorded(tmp_path / "p.xlsx", rows)
    assert chosen(found) == [1, 1, None]
    assert [answer.written for answer in found.answers.values()] == ["=B", "=cat", "=1+1"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_tables_that_spreadsheets_saved(
    tmp_path: Path, rows: QuestionRows, delimiter: str, encoding: str
) -> None:
    head = ["", "Index", "Question", *"abcd", "Answer", "Prediction", "Hit"]
    made = [[str(n), f"{n}.0", f"What is {n}?", *CHOICES, "B", "B) cat", "1"] for n in range(3)]
    made[2][9] = "café"
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in cells) for cells in (head, *made))
    (tmp_path / "p.csv").write_bytes(text.encode(encoding))
    found = read_recorded(tmp_path / "p.csv", rows)
    damaged = encoding == "latin-1"
    assert chosen(found) == [1, 1, -1 if damaged else 1]
    assert [(one.row, one.kind) for one in found.unmatched] == [("row 4", "malformed row")] * damaged


def test_what_a_file_is_instead_is_named(tmp_path: Path, rows: QuestionRows) -> None:
    wrong = {
        "a.json": (b"<!DOCTYPE html><html>", "web page"),
        "b.jsonl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "Git LFS"),
        "c.xlsx": (b"PAR1" + bytes(50), "Parquet"),
        "d.json": (b'{"messages": [], "images": []}\n' * 2, "LLaMA-Factory"),
    }
    for name, (content, kind) in wrong.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataEngineError, match=f"{name}: .*{kind}") as caught:
            read_recorded(tmp_path / name, rows)
        assert "\n" not in str(caught.value)
