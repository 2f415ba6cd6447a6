"""Steps 0 and 1: question tables, MMBench's and VLMEvalKit's TSV with index, question, A, B, …, answer, image."""

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from dataengine_lib.core.file_content import open_content
from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.table_cells import stray_quote, table_cells, undecoded
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.answer_kinds import accepted_answers, are_letters, is_yes_no, kind_fields
from dataengine_lib.questions.rows import (
    FoundRow,
    OwnFields,
    RowFault,
    answer_index,
    filled,
    found_row,
    integer_text,
    list_in,
)
from dataengine_lib.questions.tables.table_columns import known_columns
from dataengine_lib.questions.tables.table_images import TableImages

_NEEDED = ("index", "question", "A")
_ANSWERS = ("answers", "answer")  # of a table without A, B, …: VizWiz has ten in a list, MME and GQA have one


def is_table(file: Path) -> bool:
    """Whether a file is a table: a workbook, or text that is not JSON and has a table's suffix or headings."""
    with open_content(file) as stream:
        heading = stream.readline(1 << 16).strip()
    if heading.startswith((b"[", b"{")):
        return False
    # headings may be quoted: "index", "question"
    names = {name.strip(b'" ').lower() for name in re.split(rb"[\t,;]", heading)}
    return (
        heading.startswith(b"PK")
        or file.suffix.lower() in (".tsv", ".csv", ".xlsx")
        or {b"index", b"question"} <= names
    )


def table_rows(file: Path, image_root: Path | None, own: OwnFields) -> list[FoundRow]:
    """A table's rows in A-OKVQA's fields, numbered as a spreadsheet shows them; the heading is row 1.

    Images in the table become files under `image_root`/the table's stem.
    Raises DataEngineError when the file is not a question table, or when it holds images and no root is given.
    Source: MMBench's tables and vlmeval/dataset of open-compass/VLMEvalKit.
    """
    lines = table_cells(file)
    heading = [name.strip() for name in next(lines, [])]
    names = known_columns(heading)
    without_options = "A" not in names and any(name in names for name in _ANSWERS)
    needed = _NEEDED[:2] if without_options else _NEEDED
    if missing := [name for name in needed if name not in names]:
        raise _no_column(file, missing[0])
    own.check(file, [*names, *heading])
    rows: list[tuple[str, str, dict[str, Any] | RowFault]] = []
    empty = dict.fromkeys([*heading, *names], "")
    images, seen = TableImages(file, image_root), dict[str, str]()
    for number, cells in enumerate(lines, 2):
        if not any(cells):
            continue
        # csv's strict mode does not see a stray quotation mark that another one closes further down
        if any(_holds_a_row(cell, cells, names) for cell in cells):
            raise stray_quote(file, number)
        where, cleaned = f"row {number}", [_clean(cell) for cell in cells]
        row = empty | dict(zip(names, cleaned, strict=False))
        if heading != names:  # by both names, as type_field and split_field are the file's own
            row |= dict(zip(heading, cleaned, strict=False))
        index, image = integer_text(row["index"]), row.pop("image", "")
        fault = _row_fault(cells, names, index, seen)
        found = row | {"index": index}
        rows.append((where, index, fault or (found if without_options else _fields(found, names, own))))
        if not fault:  # a row whose answer is faulty has an image too
            seen[index] = where
            images.add(index, image, row.get("image_path", ""))
    if without_options:
        rows = _of_kind(file, rows, own)
    # only now, since a row may share the image of a later one
    return [
        found_row(where, _with_image(content, images.path(index)), images.path(index))
        for where, index, content in rows
    ]


def _no_column(file: Path, name: str) -> DataEngineError:
    return DataEngineError(
        f"{file}: has no column {shown(name)}; a question table has index, question, A, B, …, answer, "
        f"image or image_path; this {looks_like(file)}"
    )


def _of_kind(
    file: Path, rows: list[tuple[str, str, dict[str, Any] | RowFault]], own: OwnFields
) -> list[tuple[str, str, dict[str, Any] | RowFault]]:
    """Rows without options in A-OKVQA's fields: the kind of question is that of the whole table.

    Raises DataEngineError where the answers are letters of options that the table does not have.
    """
    given = {index: _accepted(row) for _, index, row in rows if isinstance(row, dict)}
    if are_letters(given.values()):
        raise _no_column(file, "A")
    yes_no = is_yes_no(given.values())
    found: list[tuple[str, str, dict[str, Any] | RowFault]] = []
    for where, index, row in rows:
        fields = row if isinstance(row, tuple) else kind_fields(given[index], yes_no)
        if isinstance(row, dict) and isinstance(fields, dict):
            fields = _shared_fields(row, own) | fields
        found.append((where, index, fields))
    return found


def _accepted(row: Mapping[str, str]) -> list[str] | RowFault:
    text = next((row[name] for name in _ANSWERS if row.get(name)), "")
    listed = list_in(text)
    return accepted_answers(text if listed is None else listed)


def _row_fault(cells: list[str], names: list[str], index: str, seen: Mapping[str, str]) -> RowFault | None:
    if fault := undecoded(cells):
        return "malformed row", fault
    if len(cells) > len(names):
        return "malformed row", f"{len(cells)} cells, but the heading has {len(names)}"
    if not index:
        return "malformed row", "index is empty"
    if index in seen:
        return "repeated question_id", f"index {index} occurs twice, first in {seen[index]}"
    return None


def _fields(row: Mapping[str, str], names: list[str], own: OwnFields) -> dict[str, Any] | RowFault:
    # the columns A, B, … up to the first letter without a column
    choices = filled(row[letter] for letter in takewhile(names.__contains__, LETTERS))
    correct = answer_index(row.get("answer"), choices)
    if isinstance(correct, tuple):
        return correct
    return {"choices": choices, "correct_choice_idx": correct} | _shared_fields(row, own)


def _shared_fields(row: Mapping[str, str], own: OwnFields) -> dict[str, Any]:
    # MMBench's hint is the context that a question needs
    hint, question = row.get("hint", ""), row["question"]
    return {
        "question_id": row["index"],
        "question": f"{hint}\n{question}" if hint and question else question,
        "question_type": row.get("l2-category") or row.get("category", ""),
        **own.of(row),
    }


def _with_image(content: dict[str, Any] | RowFault, image: str | RowFault) -> dict[str, Any] | RowFault:
    if isinstance(content, tuple):
        return content
    return image if isinstance(image, tuple) else {**content, "image_path": image}


def _holds_a_row(cell: str, cells: list[str], names: list[str]) -> bool:
    """Whether a cell holds whole rows, because a stray quotation mark opened it and a later one closed it.

    Pandas also quotes cells with line breaks and tabs, but such a row has all its cells, and a cell rarely has as many
    tabs as a whole row.
    """
    return "\t" in cell and "\n" in cell and (len(cells) != len(names) or cell.count("\t") >= len(names) - 1)


def _clean(cell: str) -> str:
    """A cell's text; pandas writes a missing value as an empty cell or as nan."""
    text = cell.strip()
    return "" if text.lower() == "nan" else text
