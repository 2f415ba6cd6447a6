"""Step 1, `student: recorded:FILE`: the formats that predictions made elsewhere come in."""

import csv
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import takewhile
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar
from xml.etree.ElementTree import ParseError

import msgspec

from dataengine_lib.core.files import UNDECODABLE, read_json, said_of
from dataengine_lib.core.records import LETTERS, Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import Said
from dataengine_lib.evaluation.recorded.entries import (
    Entries,
    Entry,
    Fault,
    Join,
    clean,
    differs,
    key_of,
    other_answer,
)
from dataengine_lib.evaluation.recorded.lmms_eval import read_samples
from dataengine_lib.questions.reader import Skipped
from dataengine_lib.questions.rows import filled
from dataengine_lib.replies.answer_choice import written_choice

_READ = (
    "an aokvqa_eval.json, A-OKVQA predictions (.json), an lmms-eval *_samples_*.jsonl, or a VLMEvalKit table "
    "(.xlsx, .tsv, .csv) with index, question, A, B, … and prediction"
)
_CELL = 1 << 26  # characters; a table may hold its images
T = TypeVar("T")


def read_entries(file: Path) -> Entries:
    """The rows of a prediction file, its format told by suffix and content.

    Raises DataEngineError when the file cannot be read or has none of the formats.
    """
    suffix, found = file.suffix.lower(), None
    try:
        file.stat()
        if suffix in (".xlsx", ".tsv", ".csv"):
            found = _table(_sheet(file) if suffix == ".xlsx" else _text_table(file, suffix))
        elif suffix == ".jsonl":
            found = read_samples(file)
        elif suffix == ".json":
            content: Any = read_json(file, list[msgspec.Raw] | dict[str, msgspec.Raw])
            found = _answers(content) if isinstance(content, list) else _predictions(content)
    except OSError as error:
        raise DataEngineError(
            f"{file}: cannot be read ({error.strerror or error}); check the path"
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise DataEngineError(f"{file}: cannot be decoded ({error}); give {_READ}") from error
    if found is None or not found.entries:
        raise DataEngineError(f"{file}: holds no predictions in a format that is read; give {_READ}")
    return found


class _Answer(msgspec.Struct):
    """A row of aokvqa_eval.json, ours or the original's."""

    question: str
    choices: list[str | int | float]
    question_id: str | int | None = None
    idx: int | str | None = None  # a place; the original writes the question_id here
    correct_choice_idx: int | None = None
    model_answer: str | int | float | None = None
    predicted_choice_idx: int | None = None
    scores: list[float | None] | None = None
    direct_answer: str | None = None

    def said(self, question: Question) -> Said | Fault:
        choices = [str(choice) for choice in self.choices]
        if fault := differs(question, self.question, choices) or self._other_answer(question):
            return fault
        place = -1 if self.predicted_choice_idx is None else self.predicted_choice_idx
        written = "" if self.model_answer is None else str(self.model_answer)
        if place >= len(question.choices):
            reason = f"predicted_choice_idx {place} is outside the {len(question.choices)} choices"
            return "index outside the choices", reason
        if place < 0 and self.model_answer is None:
            return "no prediction", "has neither predicted_choice_idx nor model_answer"
        scores = [score for score in self.scores or [] if score is not None and isfinite(score)]
        return Said(
            choice=place if place >= 0 else written_choice(written, question.choices),
            scores=scores if len(scores) == len(question.choices) else [],
            written=written or (question.choices[place] if place >= 0 else ""),
            direct_answer=self.direct_answer,
        )

    def _other_answer(self, question: Question) -> Fault | None:
        own = self.correct_choice_idx
        if own is None or own < 0 or own == question.correct_choice_idx:
            return None
        reason = f"correct_choice_idx {own} is {question.correct_choice_idx} in the question file"
        return "another answer", f"{reason}: other questions or another order?"


def _answers(content: list[msgspec.Raw]) -> Entries | None:
    """aokvqa_eval.json: a list of records; None for any other list.

    The original's have no question_id; `idx` is the question_id in the published ones, the place in others.
    """
    rows = [_decoded(raw, _Answer, f"row {number}") for number, raw in enumerate(content)]
    if all(
        isinstance(row, Skipped) or (row.model_answer is None and row.predicted_choice_idx is None)
        for row in rows
    ):
        return None
    entries = [
        row
        if isinstance(row, Skipped)
        else Entry(f"row {n}", {"question_id": key_of(row.question_id), "idx": key_of(row.idx)}, row.said)
        for n, row in enumerate(rows)
    ]
    joins = (Join("question_id", "question_id"), Join("idx", "question_id"), Join("idx", "place"))
    return Entries("aokvqa_eval.json", joins, entries)


class _Prediction(msgspec.Struct):
    """A value of an A-OKVQA leaderboard file."""

    multiple_choice: str | int | float | None = None
    direct_answer: str | int | float | None = None

    def said(self, question: Question) -> Said | Fault:
        if self.multiple_choice is None and self.direct_answer is None:
            return "no prediction", "has neither multiple_choice nor direct_answer"
        written = "" if self.multiple_choice is None else str(self.multiple_choice)
        direct = None if self.direct_answer is None else str(self.direct_answer)
        return Said(written_choice(written, question.choices), written=written, direct_answer=direct)


def _predictions(content: dict[str, msgspec.Raw]) -> Entries | None:
    """A-OKVQA's predictions by question_id; None for any other dict."""
    rows = {key: _decoded(raw, _Prediction, key) for key, raw in content.items()}
    if all(isinstance(row, Skipped) or row == _Prediction() for row in rows.values()):
        return None
    entries = [
        row if isinstance(row, Skipped) else Entry(key, {"question_id": key_of(key)}, row.said)
        for key, row in rows.items()
    ]
    return Entries("A-OKVQA predictions", (Join("question_id", "question_id"),), entries)


def _decoded(raw: msgspec.Raw, type: type[T], row: str) -> T | Skipped:
    try:
        return msgspec.json.decode(raw, type=type, strict=False)
    except UNDECODABLE as error:
        return Skipped(row, said_of(error), "malformed row")


class _Row(msgspec.Struct):
    """A row of a VLMEvalKit table."""

    question: str
    hint: str
    choices: list[str]
    answer: str
    prediction: str

    def said(self, question: Question) -> Said | Fault:
        fault = differs(question, self.question, self.choices, self.hint)
        fault = fault or other_answer(question, "answer", self.answer)
        return fault or Said(written_choice(self.prediction, question.choices), written=self.prediction)


def _table(rows: Iterable[list[str]]) -> Entries | None:
    """VLMEvalKit's columns index, question, [hint,] A, B, …, [answer,] prediction; None for any other table.

    Rows are numbered as a spreadsheet shows them, the heading is row 1.
    """
    lines = iter(rows)
    names = [name.strip() for name in next(lines, [])]
    if not {"index", "question", "prediction"} <= set(names):
        return None
    entries: list[Entry | Skipped] = []
    for number, cells in enumerate(lines, 2):
        if not any(cells):
            continue
        at = dict.fromkeys(names, "") | dict(zip(names, cells, strict=False))
        choices = filled(at[letter].strip() for letter in takewhile(at.__contains__, LETTERS))
        row = _Row(at["question"], at.get("hint", ""), choices, at.get("answer", ""), at["prediction"])
        entries.append(Entry(f"row {number}", {"index": key_of(at["index"])}, row.said))
    return Entries("VLMEvalKit table", (Join("index", "question_id"), Join("index", "place")), entries)


def _text_table(file: Path, suffix: str) -> Iterator[list[str]]:
    """The cells of a .tsv or .csv. Raises DataEngineError naming the line at fault."""
    csv.field_size_limit(_CELL)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter="\t" if suffix == ".tsv" else ",", strict=True)
        try:
            yield from reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataEngineError(
                f"{file}: near line {reader.line_num + 1}: {error}; save it as UTF-8 with cells quoted as pandas does"
            ) from error


def _sheet(file: Path) -> Iterator[list[str]]:
    """The cells of an .xlsx's first sheet, the values of formulas. Raises DataEngineError when it is no workbook."""
    from openpyxl import load_workbook

    try:
        book = load_workbook(file, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some writers state them wrongly
            for cells in sheet.iter_rows(values_only=True):
                yield ["" if cell is None else clean(cell) for cell in cells]
        finally:
            book.close()
    except (
        zipfile.BadZipFile,
        ParseError,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        EOFError,
        zlib.error,
    ) as error:
        raise DataEngineError(f"{file}: is no workbook ({error}); save the table as .xlsx or .tsv") from error
