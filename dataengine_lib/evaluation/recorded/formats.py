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

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.files import UNDECODABLE, decode_fault, read_json
from dataengine_lib.core.records import LETTERS, Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer
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
from dataengine_lib.evaluation.recorded.lmms_eval import read_lmms_eval_samples
from dataengine_lib.questions.rows import filled
from dataengine_lib.replies.answer_choice import written_choice

_SUPPORTED = (
    "an aokvqa_eval.json, A-OKVQA predictions (.json), an lmms-eval *_samples_*.jsonl, or a VLMEvalKit table "
    "(.xlsx, .tsv, .csv) with index, question, A, B, … and prediction"
)
_MAX_CELL = 1 << 26  # characters; a table may hold images as base64 text
_T = TypeVar("_T")


def read_prediction_file(file: Path) -> Entries:
    """The rows of a prediction file; its format is recognised by suffix and content.

    Raises DataEngineError when the file cannot be read or has none of the supported formats.
    """
    suffix, found = file.suffix.lower(), None
    try:
        file.stat()  # raises OSError for a missing file, whatever its suffix
        if suffix in (".xlsx", ".tsv", ".csv"):
            found = _table(_workbook_rows(file) if suffix == ".xlsx" else _text_rows(file, suffix))
        elif suffix == ".jsonl":
            found = read_lmms_eval_samples(file)
        elif suffix == ".json":
            # rows are left undecoded (Raw), so that one malformed row is skipped and not the file
            content: Any = read_json(file, list[msgspec.Raw] | dict[str, msgspec.Raw])
            found = _answers(content) if isinstance(content, list) else _predictions(content)
    except OSError as error:
        raise DataEngineError(
            f"{file}: cannot be read ({error.strerror or error}); check the path"
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise DataEngineError(f"{file}: cannot be decoded ({error}); give {_SUPPORTED}") from error
    if found is None or not found.entries:
        raise DataEngineError(f"{file}: has no predictions in a supported format; give {_SUPPORTED}")
    return found


class _Answer(msgspec.Struct):
    """A row of aokvqa_eval.json, ours or MLLM-DataEngine's."""

    question: str
    choices: list[str | int | float]
    question_id: str | int | None = None
    idx: int | str | None = None  # a place in the question file; MLLM-DataEngine writes the question_id here
    correct_choice_idx: int | None = None
    model_answer: str | int | float | None = None
    predicted_choice_idx: int | None = None
    scores: list[float | None] | None = None
    direct_answer: str | None = None

    def answer_to(self, question: Question) -> StudentAnswer | Mismatch:
        choices = [str(choice) for choice in self.choices]
        if mismatch := text_mismatch(question, self.question, choices) or self._answer_mismatch(question):
            return mismatch
        place = -1 if self.predicted_choice_idx is None else self.predicted_choice_idx
        written = "" if self.model_answer is None else str(self.model_answer)
        if place >= len(question.choices):
            reason = f"predicted_choice_idx {place} is outside the {len(question.choices)} choices"
            return "index outside the choices", reason
        if place < 0 and self.model_answer is None:
            return "no prediction", "has neither predicted_choice_idx nor model_answer"
        # a NaN score is written as null
        scores = [score for score in self.scores or [] if score is not None and isfinite(score)]
        return StudentAnswer(
            choice=place if place >= 0 else written_choice(written, question.choices),
            scores=scores if len(scores) == len(question.choices) else [],
            written=written or (question.choices[place] if place >= 0 else ""),
            direct_answer=self.direct_answer,
        )

    def _answer_mismatch(self, question: Question) -> Mismatch | None:
        own = self.correct_choice_idx
        if own is None or own < 0 or own == question.correct_choice_idx:
            return None
        reason = f"correct_choice_idx {own} is {question.correct_choice_idx} in the question file"
        return "another answer", f"{reason}: other questions or another order?"


def _answers(content: list[msgspec.Raw]) -> Entries | None:
    """aokvqa_eval.json: a list of records; None for any other list.

    MLLM-DataEngine's have no question_id; `idx` is the question_id in the published files, the place in others.
    """
    rows = [_decoded(raw, _Answer, f"row {number}") for number, raw in enumerate(content)]
    # a list of questions without answers, such as a question file, is not this format
    if all(
        isinstance(row, BadRow) or (row.model_answer is None and row.predicted_choice_idx is None)
        for row in rows
    ):
        return None
    entries = [
        row
        if isinstance(row, BadRow)
        else Entry(
            f"row {n}", {"question_id": join_key(row.question_id), "idx": join_key(row.idx)}, row.answer_to
        )
        for n, row in enumerate(rows)
    ]
    joins = (JoinKey("question_id", "question_id"), JoinKey("idx", "question_id"), JoinKey("idx", "place"))
    return Entries("aokvqa_eval.json", joins, entries)


class _Prediction(msgspec.Struct):
    """A value of an A-OKVQA leaderboard file."""

    multiple_choice: str | int | float | None = None
    direct_answer: str | int | float | None = None

    def answer_to(self, question: Question) -> StudentAnswer | Mismatch:
        if self.multiple_choice is None and self.direct_answer is None:
            return "no prediction", "has neither multiple_choice nor direct_answer"
        written = "" if self.multiple_choice is None else str(self.multiple_choice)
        direct = None if self.direct_answer is None else str(self.direct_answer)
        return StudentAnswer(written_choice(written, question.choices), written=written, direct_answer=direct)


def _predictions(content: dict[str, msgspec.Raw]) -> Entries | None:
    """A-OKVQA's predictions by question_id; None for any other dict."""
    rows = {key: _decoded(raw, _Prediction, key) for key, raw in content.items()}
    if all(isinstance(row, BadRow) or row == _Prediction() for row in rows.values()):
        return None
    entries = [
        row if isinstance(row, BadRow) else Entry(key, {"question_id": join_key(key)}, row.answer_to)
        for key, row in rows.items()
    ]
    return Entries("A-OKVQA predictions", (JoinKey("question_id", "question_id"),), entries)


def _decoded(raw: msgspec.Raw, type: type[_T], row: str) -> _T | BadRow:
    try:
        # strict=False takes numbers that were written as text
        return msgspec.json.decode(raw, type=type, strict=False)
    except UNDECODABLE as error:
        return BadRow(row, decode_fault(error), "malformed row")


class _TableRow(msgspec.Struct):
    """A row of a VLMEvalKit table."""

    question: str
    hint: str
    choices: list[str]
    answer: str
    prediction: str

    def answer_to(self, question: Question) -> StudentAnswer | Mismatch:
        mismatch = text_mismatch(question, self.question, self.choices, self.hint)
        mismatch = mismatch or answer_mismatch(question, "answer", self.answer)
        return mismatch or StudentAnswer(
            written_choice(self.prediction, question.choices), written=self.prediction
        )


def _table(rows: Iterable[list[str]]) -> Entries | None:
    """VLMEvalKit's columns index, question, [hint,] A, B, …, [answer,] prediction; None for any other table.

    Rows are numbered as a spreadsheet shows them: the heading is row 1.
    """
    lines = iter(rows)
    names = [name.strip() for name in next(lines, [])]
    if not {"index", "question", "prediction"} <= set(names):
        return None
    entries: list[Entry | BadRow] = []
    for number, cells in enumerate(lines, 2):
        if not any(cells):
            continue
        # a short row lacks its last cells
        at = dict.fromkeys(names, "") | dict(zip(names, cells, strict=False))
        # A, B, C, … up to the first letter without a column; unused last columns are empty
        choices = filled(at[letter].strip() for letter in takewhile(at.__contains__, LETTERS))
        row = _TableRow(at["question"], at.get("hint", ""), choices, at.get("answer", ""), at["prediction"])
        entries.append(Entry(f"row {number}", {"index": join_key(at["index"])}, row.answer_to))
    return Entries("VLMEvalKit table", (JoinKey("index", "question_id"), JoinKey("index", "place")), entries)


def _text_rows(file: Path, suffix: str) -> Iterator[list[str]]:
    """The cells of a .tsv or .csv row by row. Raises DataEngineError naming the line that cannot be read."""
    csv.field_size_limit(_MAX_CELL)  # Python's own limit is 131,072
    # utf-8-sig: Excel writes a byte order mark before the heading; newline="" leaves line breaks inside
    # quoted cells to the csv module
    with file.open(encoding="utf-8-sig", newline="") as stream:
        # strict: a quote that is never closed is an error, and does not swallow the rest of the file
        reader = csv.reader(stream, delimiter="\t" if suffix == ".tsv" else ",", strict=True)
        try:
            yield from reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataEngineError(
                f"{file}: near line {reader.line_num + 1}: {error}; save it as UTF-8 with cells quoted as pandas does"
            ) from error


def _workbook_rows(file: Path) -> Iterator[list[str]]:
    """The cells of an .xlsx's first sheet row by row, with formulas as their values.

    Raises DataEngineError when it is not a workbook.
    """
    from openpyxl import load_workbook

    try:
        book = load_workbook(file, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write wrong ones
            for cells in sheet.iter_rows(values_only=True):
                yield ["" if cell is None else utf8_safe(cell) for cell in cells]
        finally:
            book.close()
    except (  # what openpyxl lets through for damaged or foreign files
        zipfile.BadZipFile,
        ParseError,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        EOFError,
        zlib.error,
    ) as error:
        raise DataEngineError(
            f"{file}: is not a workbook ({error}); save the table as .xlsx or .tsv"
        ) from error
