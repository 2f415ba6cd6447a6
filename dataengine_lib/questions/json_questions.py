"""Steps 0, 1, 2 and 5: rows of JSON question files: a list, JSON lines, `{type: [row]}` or `{id: row}`, in any format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.core.json_rows import JsonRow, json_rows_or_object, list_rows
from dataengine_lib.core.records import LETTERS, OPEN
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.answer_kinds import (
    are_letters,
    is_bare,
    is_yes_no,
    own_answers,
    with_own_ids,
    without_options,
)
from dataengine_lib.questions.dataengine_v2 import is_v2, v2_row
from dataengine_lib.questions.rows import FoundRow, OwnFields, RowFault, any_answer_index, filled
from dataengine_lib.questions.seed_bench import is_seed_bench, seed_bench_row, type_names
from dataengine_lib.questions.vqa_files import is_vqa, vqa_rows

_WRAPPERS = ("questions", "data")  # keys that hold all questions of a file and are not the name of a type
_ANSWERS = (
    "answer",
    "correct_answer",
    "label",
)  # keys of the right choice where a row has no correct_choice_idx
_VALUE = msgspec.json.Decoder()
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


def json_question_rows(file: Path, own: OwnFields) -> list[FoundRow]:
    """The rows of a JSON file in A-OKVQA's fields. Raises DataEngineError when it holds no rows."""
    content = json_rows_or_object(file)
    if isinstance(content, dict) and is_vqa(content):
        return vqa_rows(file, content, own)
    parts, types = ({}, None) if isinstance(content, list) else (content, content.get("question_type"))
    if isinstance(content, list):
        rows = [FoundRow(where, _decoded(raw)) for where, raw in content]
    elif _first(content, "question", "instruction") == b'"':  # one row alone, as JSON lines
        rows, types = [FoundRow("line 1", _decoded(msgspec.Raw(msgspec.json.encode(content))))], None
    else:
        types = types if "questions" in parts else None
        rows = _rows_of_parts(file, content, "questions" if types is not None else _whole(content))
    del content, parts  # they hold the file's text
    return of_any_format(file, rows, own, types)


def of_any_format(
    file: Path, rows: list[FoundRow], own: OwnFields, types: msgspec.Raw | None = None
) -> list[FoundRow]:
    """Rows of objects in A-OKVQA's fields, in whichever format they are; `types` are SEED-Bench's names of its types."""
    keys = {key for row in rows if isinstance(row.content, dict) for key in row.content}
    own.check(file, keys)
    if is_v2([row.content for row in rows]):
        return [v2_row(row.row, row.content, own) for row in rows]
    if types is not None or is_seed_bench([row.content for row in rows]):
        names = type_names(file, None if types is None else _decoded(types))
        return [seed_bench_row(row.row, row.content, names, own) for row in rows]
    bare = [row.content if isinstance(row.content, dict) and is_bare(row.content) else None for row in rows]
    answers = [own_answers(content) for content in bare if content is not None]
    if are_letters(answers):
        bare = [None] * len(rows)  # the check names the missing choices
    yes_no = is_yes_no(answers)
    found = [
        _in_own_fields(row, own) if content is None else _bare_row(row, content, yes_no, own)
        for row, content in zip(rows, bare, strict=True)
    ]
    with_own_ids([row.content for row, content in zip(found, bare, strict=True) if content is not None])
    return found


def _bare_row(row: FoundRow, content: dict[str, Any], yes_no: bool, own: OwnFields) -> FoundRow:
    """A row without options, in A-OKVQA's fields: a yes/no question where the file's are, else an open-ended one."""
    fields = without_options(content, yes_no)
    if isinstance(fields, tuple):
        return FoundRow(row.row, content, row.kind, fields)
    return FoundRow(row.row, fields | own.of(content), row.kind)


def _in_own_fields(row: FoundRow, own: OwnFields) -> FoundRow:
    if not isinstance(row.content, dict):
        return row
    fields = _fields(row.content, own)
    if isinstance(fields, tuple):  # the content still names the image
        return FoundRow(row.row, row.content, row.kind, fields)
    return row  # whose content was completed


def _first(parts: Mapping[str, msgspec.Raw], *keys: str) -> bytes:
    """The first byte of the value at the first of `keys`: a list begins with a bracket, a text with a quotation mark."""
    return next((bytes(memoryview(parts[key])[:1]) for key in keys if key in parts), b"")


def _rows_of_parts(file: Path, parts: Mapping[str, msgspec.Raw], whole: str) -> list[FoundRow]:
    """The rows of `{type: [row]}`, of the one list at the key `whole`, or of `{id: row}`."""
    if whole:
        return [FoundRow(row.where, _decoded(row.raw)) for row in _list(file, whole, parts[whole])]
    rows: list[FoundRow] = []
    if parts and all(_first(parts, key) == b"{" for key in parts):
        rows = [FoundRow(key[:40], _decoded(raw)) for key, raw in parts.items()]
    if any(isinstance(row.content, dict) and "question" in row.content for row in rows):
        # the key is the id, unless the row has one of its own
        for key, row in zip(parts, rows, strict=True):
            if isinstance(row.content, dict):
                row.content.setdefault("question_id", key)
        return rows
    return [
        FoundRow(row.where, _decoded(row.raw), kind)
        for kind, part in parts.items()
        for row in _list(file, kind, part)
    ]


def _whole(parts: Mapping[str, msgspec.Raw]) -> str:
    """The one key that holds all questions and is not the name of a type; empty without one."""
    lists = [key for key in parts if _first(parts, key) == b"["]
    return lists[0] if len(lists) == 1 and lists[0] in _WRAPPERS else ""


def _list(file: Path, key: str, part: msgspec.Raw) -> list[JsonRow]:
    try:
        values = json_value(part, _LIST)
        return list_rows(values, key)
    except UNDECODABLE as error:
        raise DataEngineError(
            f"{file}: {key}: {decode_fault(error)}; give a list of questions or {{type: [question]}}; this "
            f"{looks_like(file)}"
        ) from error


def _decoded(raw: msgspec.Raw) -> Any | RowFault:
    try:
        return json_value(raw, _VALUE)
    except UNDECODABLE as error:
        return "malformed row", decode_fault(error)


def _fields(row: dict[str, Any], own: OwnFields) -> dict[str, Any] | RowFault:
    """The row with A-OKVQA's fields, changed in place; other files have choices by letter, an answer as text."""
    row.update(own.of(row))
    image = row.get("image")
    if isinstance(image, str) and row.get("image_path") is None and row.get("image_id") is None:
        row["image_path"] = image
    if row.get("answer_kind") == OPEN:
        if not row.get("direct_answers") and row.get("short_answer"):  # gptvqa_train_data.json
            row["direct_answers"] = [row["short_answer"]]
        return row
    choices = row.get("choices") if "choices" in row else row.get("options")
    if isinstance(choices, dict):  # {"A": "dog", "B": "cat"}
        if sorted(choices) != list(LETTERS[: len(choices)]):
            return "unusable choices", "choices are not named A, B, C, … in turn"
        choices = [choices[letter] for letter in sorted(choices)]
    if isinstance(choices, list):
        if None in choices or "" in choices:
            choices = ["" if choice is None else choice for choice in filled(choices)]
        row["choices"] = choices
    if row.get("correct_choice_idx") is None and isinstance(choices, list):
        given = next((row[key] for key in _ANSWERS if row.get(key) not in (None, "")), None)
        correct = any_answer_index(given, choices)
        if isinstance(correct, tuple):
            return correct
        row["correct_choice_idx"] = correct
    return row
