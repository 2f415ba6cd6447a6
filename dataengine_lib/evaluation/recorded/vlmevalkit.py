"""Step 1, `student: recorded:FILE`: VLMEvalKit's predictions, a table or the same rows as JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import msgspec

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.records import LETTERS, Question
from dataengine_lib.core.table_cells import undecoded
from dataengine_lib.evaluation.answers import StudentAnswer, read_answer
from dataengine_lib.evaluation.recorded.entries import (
    Entries,
    Entry,
    JoinKey,
    Mismatch,
    answer_mismatch,
    join_key,
    text_mismatch,
    utf8_safe,
)
from dataengine_lib.questions.rows import filled
from dataengine_lib.questions.tables.table_columns import known_columns

_NEEDED = {"index", "question", "prediction"}


def table_entries(rows: Iterable[list[str]]) -> Entries | None:
    """VLMEvalKit's columns index, question, [hint,] A, B, …, [answer,] prediction; None for any other table.

    Rows are numbered as a spreadsheet shows them: the heading is row 1.
    """
    lines = iter(rows)
    names = known_columns(next(lines, []))
    return _entries(_table_rows(lines, names), names) if set(names) >= _NEEDED else None


def row_entries(rows: Sequence[tuple[str, Mapping[str, Any] | BadRow]]) -> Entries | None:
    """The same columns as JSON objects, each with where it stands; None where the first object lacks them."""
    first = next((row for _, row in rows if isinstance(row, Mapping)), {})
    # the name in the file by the name that it is known by
    found = dict(zip(known_columns([*first]), first, strict=True))
    if not set(found) >= _NEEDED:
        return None
    named = (
        (
            where,
            row if isinstance(row, BadRow) else {name: _text(row.get(key)) for name, key in found.items()},
        )
        for where, row in rows
    )
    return _entries(named, list(found))


def _table_rows(
    lines: Iterable[list[str]], names: Sequence[str]
) -> Iterator[tuple[str, dict[str, str] | BadRow]]:
    for number, cells in enumerate(lines, 2):
        if fault := undecoded(cells):
            yield f"row {number}", BadRow(f"row {number}", fault, "malformed row")
        elif any(cells):
            # a short row lacks its last cells
            yield f"row {number}", dict.fromkeys(names, "") | dict(zip(names, cells, strict=False))


def _entries(rows: Iterable[tuple[str, Mapping[str, str] | BadRow]], names: Sequence[str]) -> Entries:
    entries: list[Entry | BadRow] = []
    # A, B, C, … up to the first letter without a column; unused last columns are empty
    letters = list(takewhile(set(names).__contains__, LETTERS))
    for where, at in rows:
        if isinstance(at, BadRow):
            entries.append(at)
            continue
        choices = filled(at[letter].strip() for letter in letters)
        texts = {name: utf8_safe(at.get(name, "")) for name in ("question", "hint", "answer", "prediction")}
        row = _TableRow(**texts, choices=choices)
        entries.append(Entry(where, {"index": join_key(at["index"])}, row.answer_to))
    return Entries("VLMEvalKit table", (JoinKey("index", "question_id"), JoinKey("index", "place")), entries)


def _text(value: Any) -> str:
    return "" if value is None else utf8_safe(value)


class _TableRow(msgspec.Struct):
    """A row of a VLMEvalKit table."""

    question: str
    hint: str
    answer: str
    prediction: str
    choices: list[str]

    def answer_to(self, question: Question) -> StudentAnswer | Mismatch:
        mismatch = text_mismatch(question, self.question, self.choices, self.hint)
        mismatch = mismatch or answer_mismatch(question, "answer", self.answer)
        if mismatch:
            return mismatch
        answer = read_answer(question, self.prediction)
        if answer.choice is None and not answer.text and self.prediction.startswith("="):
            # `=B`, which spreadsheets take for a formula
            unmarked = read_answer(question, self.prediction.lstrip("= "))
            answer = StudentAnswer(unmarked.choice, written=self.prediction)
        return answer
