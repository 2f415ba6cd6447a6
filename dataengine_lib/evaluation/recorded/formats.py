"""Step 1, `student: recorded:FILE`: which format a file of predictions made elsewhere has."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.file_content import open_content
from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import UNDECODABLE, json_value
from dataengine_lib.core.json_rows import JsonRow, json_rows_or_object, list_rows
from dataengine_lib.core.table_cells import table_cells
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.recorded.aokvqa_files import answer_entries, leaderboard_entries
from dataengine_lib.evaluation.recorded.entries import Entries
from dataengine_lib.evaluation.recorded.llava_answers import answer_file_entries
from dataengine_lib.evaluation.recorded.lmms_eval import is_sample, sample_entries
from dataengine_lib.evaluation.recorded.vlmevalkit import row_entries, table_entries

_SUPPORTED = (
    "an aokvqa_eval.json, A-OKVQA predictions (.json), an lmms-eval *_samples_*.jsonl, LLaVA's answers (.jsonl with "
    "question_id and text), VQA's results (question_id and answer), "
    "or a VLMEvalKit table (.xlsx, .tsv, .csv, .json) with index, question, A, B, … and prediction"
)
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


def read_prediction_file(file: Path, wanted_filter: str = "") -> Entries:
    """The rows of a prediction file; its format is recognised by the content.

    `wanted_filter` is the one to take where lmms-eval logged several.
    Raises DataEngineError when the file cannot be read or has none of the supported formats.
    """
    with open_content(file) as stream:
        head = stream.read(1 << 12).lstrip()[:1]
    if head in (b"[", b"{"):
        found = _json_entries(file, json_rows_or_object(file), wanted_filter)
    else:
        found = table_entries(table_cells(file))
    if found is None or not found.entries:
        raise DataEngineError(
            f"{file}: has no predictions in a supported format ({looks_like(file)}); give {_SUPPORTED}"
        )
    return found


def _json_entries(
    file: Path, content: list[JsonRow] | dict[str, msgspec.Raw], wanted_filter: str
) -> Entries | None:
    if isinstance(content, dict):
        # lmms-eval before its logs were JSON lines: {"args": …, "model_configs": …, "logs": [sample]}
        if "logs" in content:
            return sample_entries(file, _decoded(list_rows(_listed(content["logs"]), "logs")), wanted_filter)
        if found := leaderboard_entries(content):
            return found
        # one row as JSON lines
        content = [JsonRow("line 1", msgspec.Raw(msgspec.json.encode(content)))]
    if any(b'"doc_id"' in bytes(raw) for _, raw in content[:100]):
        rows = _decoded(content)
        if any(is_sample(row) for _, row in rows):
            return sample_entries(file, rows, wanted_filter)
    heads = [bytes(raw).lower() for _, raw in content[:100]]
    if any(b'"prediction"' in head for head in heads) and (found := row_entries(_decoded(content))):
        return found
    if any(b'"text"' in head and b'"question_id"' in head for head in heads):
        return answer_file_entries(_decoded(content)) or answer_entries(content)
    return answer_entries(content) or answer_file_entries(_decoded(content))


def _listed(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return json_value(raw, _LIST)
    except UNDECODABLE:
        return []


def _decoded(content: Sequence[JsonRow]) -> list[tuple[str, Mapping[str, Any] | BadRow]]:
    """The objects, and the rows that are none."""
    rows: list[tuple[str, Mapping[str, Any] | BadRow]] = []
    for where, raw in content:
        try:
            row = json.loads(bytes(raw))  # and not msgspec, as NaN among likelihoods is no missing number
        except (ValueError, RecursionError) as error:
            row = BadRow(where, f"no JSON: {error}", "malformed row")
        usable = isinstance(row, dict | BadRow)
        rows.append((where, row if usable else BadRow(where, "is not an object", "malformed row")))
    return rows
