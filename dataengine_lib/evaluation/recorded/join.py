"""Step 1, `student: recorded:FILE`: predictions made elsewhere, joined to the questions by a key and never guessed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.evaluation.recorded.entries import Entry, JoinKey, Mismatch, join_key, shortened
from dataengine_lib.evaluation.recorded.formats import read_prediction_file
from dataengine_lib.questions.reader import QuestionRows


@dataclass
class RecordedPredictions:
    """A file's predictions by index into the questions, and what on either side has no partner."""

    answers: dict[int, StudentAnswer]
    unmatched: list[BadRow]  # rows of the file that cannot be read or do not agree with their question
    surplus: list[BadRow]  # rows about none of the questions, as in a file for more of them
    missing: list[int]  # questions for which the file holds nothing
    format: str  # the format that was recognised and the key that its rows were joined on, for the report


@dataclass
class _Joined:
    """The result of joining on one key; `known` rows name a question, but may not agree with it."""

    key: JoinKey
    answers: dict[int, StudentAnswer]
    unmatched: list[BadRow]
    surplus: list[BadRow]
    known: int


def read_recorded(file: Path, rows: QuestionRows, wanted_filter: str = "") -> RecordedPredictions:
    """The predictions in any format of `read_prediction_file`.

    A file is joined on one key, question_id before the place: see _best. `wanted_filter` is the one to take of several
    that lmms-eval logged.
    Raises DataEngineError when the file cannot be read, has another format or answers none of the questions.
    """
    content = read_prediction_file(Path(file), wanted_filter)
    joined = [_join(content.entries, rows, key) for key in content.joins]
    best = _best(joined)
    if not best.answers:
        # without answers every row is in one of these lists, and the reader has refused files without rows
        first, *others = best.unmatched + best.surplus
        raise DataEngineError(
            f"{file}: {first.row}: {first.reason}; none of its {1 + len(others)} rows answers a question of "
            "the question file, give predictions of the same questions"
        )
    return RecordedPredictions(
        answers=_with_empty_direct_answers(dict(sorted(best.answers.items()))),
        unmatched=best.unmatched,
        surplus=best.surplus,
        missing=[i for i in range(len(rows.questions)) if i not in best.answers],
        format=f"{content.format}, joined on {best.key}{_surplus_note(best.surplus)}",
    )


def _surplus_note(surplus: Sequence[BadRow]) -> str:
    """The report's words on rows about none of the questions; empty without any."""
    return (
        f"; rows about none of the questions: {len(surplus):,} (first: {surplus[0].row})" if surplus else ""
    )


def _best(joined: Sequence[_Joined]) -> _Joined:
    """The result of the first field that matches at least half as many rows as any field does.

    A field can be compared in two ways (idx with question_id or place); the one that matches more rows is taken.
    Half is enough, because an id is still an id when the question file lacks some of the rows, while a place always
    names some question, whatever the order; but a field with ids of other data must not win over the place.
    Where nothing matches, the result with the most known rows has the most useful reason.
    """
    most = max(len(one.answers) for one in joined)
    if not most:
        return max(joined, key=lambda one: one.known)
    field = next(one.key.field for one in joined if 2 * len(one.answers) >= most)
    # of equal results max takes the first, so the order of the format's keys decides
    return max((one for one in joined if one.key.field == field), key=lambda one: len(one.answers))


def _join(entries: Sequence[Entry | BadRow], rows: QuestionRows, key: JoinKey) -> _Joined:
    """The entries joined to the questions by one key."""
    index = _questions_by_key(rows, key)
    result = _Joined(key, {}, [], [], 0)
    for entry in entries:
        if isinstance(entry, BadRow):
            result.unmatched.append(entry)
            continue
        value = entry.keys.get(key.field, "")
        found = index.get(value, [])
        answer: StudentAnswer | Mismatch
        if not value:  # not joined on another field instead: see _best
            answer = "no key", f"has no {key.field}"
        elif not found:
            reason = f"{key.field} {shortened(value)} is no usable question's {key.to}"
            # no reason to stop: the file may hold more questions than are asked
            result.surplus.append(BadRow(entry.row, reason, "no such question"))
            continue
        elif len(found) > 1:
            answer = (
                "several questions",
                f"{key.field} {shortened(value)} is the {key.to} of {len(found)} questions",
            )
        else:
            result.known += 1
            question = rows.questions[found[0]]
            if found[0] in result.answers:
                answer = "answered twice", f"answers question {shortened(question.question_id)} a second time"
            else:
                answer = entry.answer_to(question)
        if isinstance(answer, StudentAnswer):
            result.answers[found[0]] = answer
        else:
            kind, reason = answer
            result.unmatched.append(BadRow(entry.row, reason, kind))
    return result


def _questions_by_key(rows: QuestionRows, key: JoinKey) -> dict[str, list[int]]:
    """Indices of questions by the property that the key is compared with, written as `join_key` writes a row's."""
    ids = [question.question_id for question in rows.questions]
    index: dict[str, list[int]] = {}
    for i, value in enumerate(ids if key.to == "question_id" else rows.places):
        index.setdefault(join_key(value), []).append(i)
    return index


def _with_empty_direct_answers(answers: dict[int, StudentAnswer]) -> dict[int, StudentAnswer]:
    """Missing direct answers made empty ones, which are wrong; where the file has none at all, none was asked for.

    Source: A-OKVQA's eval_predictions.py counts a question without a prediction as 0.
    """
    asked = any(answer.direct_answer for answer in answers.values())
    return {
        i: msgspec.structs.replace(answer, direct_answer=answer.direct_answer or "" if asked else None)
        for i, answer in answers.items()
    }
