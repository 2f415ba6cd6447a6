"""The format of a question file in words, before a run."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project import PROJECT_ROOT
from question_tables import row, table

from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.formats import question_format

OPTIONS = "questions with options, as A-OKVQA's"
BARE = "questions without options, as POPE's and GQA's"
CHOICE = {"image_id": 1, "question": "Which?", "choices": ["a", "b"], "correct_choice_idx": 0}
POPE = {"question_id": 1, "image": "1.jpg", "text": "Is there a cat?", "label": "no"}
SEED = {
    "question": "Which?",
    "choice_a": "a",
    "choice_b": "b",
    "answer": "A",
    "question_type_id": 1,
    "data_id": "1",
}
V2 = {"image": "1.jpg", "instruction": "Which?", "options": ["a", "b"], "choice_answer": "A", "qtype": 1}
VQA = {"question_id": 1, "question": "What?", "image_id": 1}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([CHOICE], OPTIONS),
        ({"questions": [CHOICE]}, OPTIONS),
        ({"image_scene": [CHOICE], "image_style": []}, f"{{type: [question]}}, {OPTIONS}"),
        (CHOICE, OPTIONS),
        ({"image": "1.jpg", "question": "Is it?", "answers": [{"answer": "no"}]}, BARE),
        ({"questions": [SEED], "question_type": {"Scene Understanding": 1}}, "SEED-Bench"),
        ([V2], "records of MLLM-DataEngine v2"),
        ([POPE], BARE),
        ({"201": {"question": "What?", "imageId": "1", "answer": "cat"}}, BARE),
        ({"questions": [VQA], "data_subtype": "val2014"}, "VQA's questions and annotations"),
    ],
)
def test_json_files(content: object, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    file.write_text(json.dumps(content))
    assert question_format(file) == expected


def test_lines_tables_and_parquet(tmp_path: Path) -> None:
    lines = tmp_path / "pope.json"
    lines.write_text("\n".join(json.dumps(POPE | {"question_id": number}) for number in range(3)))
    assert question_format(lines) == BARE
    assert question_format(table(tmp_path, row(1))) == "a table, as MMBench's and VLMEvalKit's"
    pq.write_table(pa.Table.from_pylist([{"question": "Which?", "answer": "yes"}]), tmp_path / "q.parquet")
    assert question_format(tmp_path / "q.parquet") == "a Parquet table of the hub"
    example = PROJECT_ROOT / "data_demo" / "aokvqa_v1p0_val_classified.json"
    assert question_format(example) == f"{{type: [question]}}, {OPTIONS}"


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("some words\nand more")
    for name in ("notes.txt", "missing.json"):
        with pytest.raises(DataEngineError, match=name) as raised:
            question_format(tmp_path / name)
        assert len(str(raised.value).splitlines()) == 1
