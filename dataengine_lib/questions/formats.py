"""Before a run: the format of a question file in words, by the rules with which steps 0 and 1 read it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.files import UNDECODABLE, json_value
from dataengine_lib.core.json_rows import json_rows_or_object
from dataengine_lib.questions.answer_kinds import is_bare
from dataengine_lib.questions.dataengine_v2 import is_v2
from dataengine_lib.questions.seed_bench import is_seed_bench
from dataengine_lib.questions.tables.parquet_files import is_parquet
from dataengine_lib.questions.tables.tsv_table import is_table
from dataengine_lib.questions.vqa_files import is_vqa

_ROWS = 20  # rows that are looked at
_VALUE = msgspec.json.Decoder()
_WITH_OPTIONS = "questions with options, as A-OKVQA's"


def question_format(file: Path) -> str:
    """`SEED-Bench`, `a table, as MMBench's`, …: the format of a file that holds questions.

    Raises DataEngineError when the file cannot be read or is no JSON and no table.
    """
    if is_parquet(file):
        return "a Parquet table of the hub"
    if is_table(file):
        return "a table, as MMBench's and VLMEvalKit's"
    content = json_rows_or_object(file)
    if not isinstance(content, dict):
        return _rows_format(_decoded(row.raw for row in content[:_ROWS]))
    if is_vqa(content):
        return "VQA's questions and annotations"
    if any(bytes(content.get(key, b""))[:1] == b'"' for key in ("question", "instruction")):
        return _rows_format(_decoded([msgspec.Raw(msgspec.json.encode(content))]))  # one question alone
    parts = _decoded(content.values())
    rows = [row for part in parts if isinstance(part, list) for row in part[:_ROWS]]
    if not rows:  # {id: question}
        return _rows_format(parts)
    by_type = not {"questions", "data"} & set(content)
    return f"{{type: [question]}}, {_rows_format(rows)}" if by_type else _rows_format(rows)


def _rows_format(rows: list[Any]) -> str:
    if is_v2(rows):
        return "records of MLLM-DataEngine v2"
    if is_seed_bench(rows):
        return "SEED-Bench"
    first = next((row for row in rows if isinstance(row, dict)), {})
    return "questions without options, as POPE's and GQA's" if is_bare(first) else _WITH_OPTIONS


def _decoded(values: Iterable[msgspec.Raw]) -> list[Any]:
    """The values that can be decoded; the reader leaves out and counts the others."""
    found = []
    for value in values:
        try:
            found.append(json_value(value, _VALUE))
        except UNDECODABLE:
            continue
    return found
