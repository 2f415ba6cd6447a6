"""Files that are no predictions in a known format are one line each."""

import json
from pathlib import Path

import pytest

from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.questions.reader import QuestionRows

QUESTIONS = [{"question_id": "q-mouth", "question": "?", "choices": ["a", "b"], "correct_choice_idx": 0}]
UNKNOWN: list[tuple[str, bytes]] = [
    ("q.json", json.dumps(QUESTIONS).encode()),
    ("q.json", b"[]"),
    ("q.json", b"{}"),
    ("q.json", b'{"image_scene": [{"question": "?"}]}'),
    ("q.json", b"5"),
    ("q.json", b"{"),
    ("q.json", b'{"\xff": {"multiple_choice": "a"}}'),
    ("q.json", b"[" * 100_000),
    ("q.jsonl", b""),
    ("q.jsonl", b'{"question": "?"}\n'),
    ("q.tsv", b""),
    ("q.tsv", b"index\tquestion\tA\tB\n0\t?\ta\tb\n"),
    ("q.tsv", b"index\tquestion\tA\tB\tprediction\n"),
    ("q.csv", b'index,question,A,B,prediction\n0,"?,a,b,A\n'),
    ("q.csv", "index,question,A,B,prediction\n0,é,a,b,A\n".encode("latin-1")),
    ("q.xlsx", b"no workbook"),
    ("q.xlsx", b"PK\x05\x06" + b"\0" * 18),
    ("q.xls", b"\xd0\xcf\x11\xe0"),
    ("q.txt", b"A\n"),
]


@pytest.mark.parametrize(("name", "content"), UNKNOWN)
def test_an_unknown_format_is_one_line(tmp_path: Path, rows: QuestionRows, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataEngineError) as caught:
        read_recorded(file, rows)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_the_formats_that_are_read_are_named(tmp_path: Path, rows: QuestionRows) -> None:
    file = tmp_path / "q.txt"
    file.write_text("A")
    with pytest.raises(DataEngineError, match=r"aokvqa_eval\.json, A-OKVQA .* lmms-eval .* VLMEvalKit table"):
        read_recorded(file, rows)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".tsv", ".xlsx", ".txt"])
def test_a_missing_file_says_so(tmp_path: Path, rows: QuestionRows, suffix: str) -> None:
    with pytest.raises(
        DataEngineError, match=r"cannot be read \(No such file or directory\); check the path"
    ):
        read_recorded(tmp_path / f"none{suffix}", rows)
