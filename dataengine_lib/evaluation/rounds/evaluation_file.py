"""Step 6: the rows of an `aokvqa_eval.json`, ours or v1's; rows that cannot be used are left out and counted."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from dataengine_lib.core.bad_rows import MALFORMED, BadRow, BadRows, usable_rows
from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.core.records import KINDS, NO_ANSWER, OPEN, Answer
from dataengine_lib.core.text import choice_key, shown

Warn = Callable[[str], object]  # called with each sentence of what a person should know


class _Answered(Answer, kw_only=True):
    """An answer, with None where the file does not say whether it is right, as in v1's."""

    correct: bool | None = None  # type: ignore[assignment]
    predicted_choice_idx: int | None = None  # type: ignore[assignment]


def usable_answers(file: Path, max_bad_share: float, warn: Warn) -> list[Answer]:
    """The answers in one evaluation's file; what is left out goes to `warn`. Raises DataEngineError as `read_answers`."""
    bad = BadRows(file, max_bad_share, wanted="aokvqa_eval.json of evaluate", keep=20)
    answers = read_answers(file, bad)
    for line in bad.warnings():
        warn(line)
    return answers


def read_answers(file: Path, bad: BadRows) -> list[Answer]:
    """The answers; v1's, which do not say whether they are right, are judged by the text of the answer.

    Raises DataEngineError when the file holds no evaluation, or too many of its rows cannot be used.
    """
    answers = []
    for where, row in usable_rows(json_rows(file), _Answered, bad):
        fault = _judge(row)
        if fault is None:
            answers.append(Answer(**msgspec.structs.asdict(row)))
        else:
            kind, reason = fault
            bad.add(BadRow(where, reason, kind))
    bad.check()
    return answers


def _judge(row: _Answered) -> tuple[str, str] | None:
    """Fill in the choice and whether it is right, or return why the row cannot be used: (kind, reason)."""
    if not 0 <= row.score <= 1:
        return MALFORMED, f"score {row.score:g} is not from 0 to 1"
    if row.answer_kind not in ("", *KINDS):
        return MALFORMED, f"answer_kind {shown(row.answer_kind)} is none of {', '.join(KINDS)}"
    if row.answer_kind == OPEN:
        # no choices: only step 1 can tell whether the answer is right
        row.predicted_choice_idx = NO_ANSWER
        return None if row.correct is not None else (MALFORMED, "does not say whether it is correct")
    right = row.correct_choice_idx
    if not 0 <= right < len(row.choices):
        return "unusable choices", f"correct_choice_idx {right} is outside the {len(row.choices)} choices"
    if row.predicted_choice_idx is None:
        if not row.model_answer.strip() and row.correct is None:
            return MALFORMED, "has no answer of the student (model_answer or predicted_choice_idx)"
        choices, answer = [choice_key(choice) for choice in row.choices], choice_key(row.model_answer)
        row.predicted_choice_idx = choices.index(answer) if answer in choices else -1
    if row.correct is None:
        row.correct = row.predicted_choice_idx == right
        row.score = float(row.correct)
    return None
