"""Step 1, `student: recorded:FILE`: answers in aokvqa_eval.json, ours or MLLM-DataEngine's, and A-OKVQA's predictions."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import TypeVar

import msgspec

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.core.json_rows import JsonRow
from dataengine_lib.core.records import NO_ANSWER, OPEN, YES_NO, Question
from dataengine_lib.evaluation.answers import StudentAnswer, read_answer
from dataengine_lib.evaluation.recorded.entries import (
    Entries,
    Entry,
    JoinKey,
    Mismatch,
    join_key,
    text_mismatch,
)


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
    written: str | None = None

    def answer_to(self, question: Question) -> StudentAnswer | Mismatch:
        choices = [str(choice) for choice in self.choices]
        if mismatch := text_mismatch(question, self.question, choices) or self._answer_mismatch(question):
            return mismatch
        place = -1 if self.predicted_choice_idx is None else self.predicted_choice_idx
        written = "" if self.model_answer is None else str(self.model_answer)
        if question.answer_kind == OPEN:
            return StudentAnswer(None, written=self.written or written, text=written.strip())
        if place >= len(question.choices):
            reason = f"predicted_choice_idx {place} is outside the {len(question.choices)} choices"
            return "index outside the choices", reason
        if place < 0 and self.model_answer is None:
            return "no prediction", "has neither predicted_choice_idx nor model_answer"
        # a NaN score is written as null
        scores = [score for score in self.scores or [] if score is not None and isfinite(score)]
        return StudentAnswer(
            choice=place if place >= 0 else read_answer(question, written).choice,
            scores=scores if len(scores) == len(question.choices) else [],
            written=(self.written or written if question.answer_kind == YES_NO else written)
            or (question.choices[place] if place >= 0 else ""),
            direct_answer=self.direct_answer,
        )

    def _answer_mismatch(self, question: Question) -> Mismatch | None:
        own = self.correct_choice_idx
        if own is None or own < 0 or question.correct_choice_idx in (own, NO_ANSWER):
            return None
        reason = f"correct_choice_idx {own} is {question.correct_choice_idx} in the question file"
        return "another answer", f"{reason}: other questions or another order?"


def answer_entries(content: Iterable[JsonRow]) -> Entries | None:
    """aokvqa_eval.json: a list of records, or JSON lines; None for any other list.

    MLLM-DataEngine's have no question_id; `idx` is the question_id in the published files, the place in others.
    """
    rows = [(where, _decoded(raw, _ANSWER, where)) for where, raw in content]
    # a list of questions without answers, such as a question file, is not this format
    if all(
        isinstance(row, BadRow) or (row.model_answer is None and row.predicted_choice_idx is None)
        for _, row in rows
    ):
        return None
    entries = [
        row
        if isinstance(row, BadRow)
        else Entry(where, {"question_id": join_key(row.question_id), "idx": join_key(row.idx)}, row.answer_to)
        for where, row in rows
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
        if question.answer_kind == OPEN:
            return read_answer(question, direct if direct is not None else written)
        return msgspec.structs.replace(read_answer(question, written), direct_answer=direct)


def leaderboard_entries(content: Mapping[str, msgspec.Raw]) -> Entries | None:
    """A-OKVQA's predictions by question_id; None for any other dict."""
    rows = {key: _decoded(raw, _PREDICTION, key) for key, raw in content.items()}
    if all(isinstance(row, BadRow) or row == _Prediction() for row in rows.values()):
        return None
    entries = [
        row if isinstance(row, BadRow) else Entry(key, {"question_id": join_key(key)}, row.answer_to)
        for key, row in rows.items()
    ]
    return Entries("A-OKVQA predictions", (JoinKey("question_id", "question_id"),), entries)


# strict=False takes numbers that were written as text
_ANSWER = msgspec.json.Decoder(_Answer, strict=False)
_PREDICTION = msgspec.json.Decoder(_Prediction, strict=False)
_T = TypeVar("_T", _Answer, _Prediction)


def _decoded(raw: msgspec.Raw, decoder: msgspec.json.Decoder[_T], row: str) -> _T | BadRow:
    try:
        return json_value(raw, decoder)
    except UNDECODABLE as error:
        return BadRow(row, decode_fault(error), "malformed row")
