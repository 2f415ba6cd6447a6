"""Step 1, `student: recorded:FILE`: predictions made elsewhere, joined to the questions and never guessed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import Said
from dataengine_lib.evaluation.recorded.entries import Entry, Join, key_of, shown
from dataengine_lib.evaluation.recorded.formats import read_entries
from dataengine_lib.questions.reader import QuestionRows, Skipped


@dataclass
class Recorded:
    """A file's predictions by index into the questions, and what on either side has no partner."""

    said: dict[int, Said]
    unmatched: list[Skipped]  # rows of the file that have a fault or do not agree with their question
    surplus: list[Skipped]  # rows about none of the questions, as of a file for more of them
    missing: list[int]  # questions for which the file holds nothing
    format: str  # the format that was recognised and what its rows were joined on, for the report


@dataclass
class _Joined:
    """What one join key makes of a file; `known` rows name a question, but may not agree with it."""

    join: Join
    said: dict[int, Said]
    unmatched: list[Skipped]
    surplus: list[Skipped]
    known: int


def read_recorded(file: Path, rows: QuestionRows) -> Recorded:
    """The predictions of an aokvqa_eval.json, A-OKVQA predictions, an lmms-eval log or a VLMEvalKit table.

    One file is joined on one key, question_id before the place: see _best.
    Raises DataEngineError when the file cannot be read, has another format or answers none of the questions.
    """
    content = read_entries(Path(file))
    joined = [_joined(content.entries, rows, join) for join in content.joins]
    best = _best(joined)
    if not best.said:
        first, *others = best.unmatched + best.surplus
        raise DataEngineError(
            f"{file}: {first.row}: {first.reason}; none of its {1 + len(others)} rows answers a question of "
            "the question file, give predictions of the same questions"
        )
    return Recorded(
        said=_asked(dict(sorted(best.said.items()))),
        unmatched=best.unmatched,
        surplus=best.surplus,
        missing=[i for i in range(len(rows.questions)) if i not in best.said],
        format=f"{content.format}, joined on {best.join}{_of_others(best.surplus)}",
    )


def _of_others(surplus: Sequence[Skipped]) -> str:
    """What the report says of rows about none of the questions; empty without any."""
    return (
        f"; rows about none of the questions: {len(surplus):,} (first: {surplus[0].row})" if surplus else ""
    )


def _best(joined: Sequence[_Joined]) -> _Joined:
    """The first field that matches half as many rows as any does, in the sense in which it matches most.

    An id in a few rows of which the file has no question is still an id, while a place leads to some question
    whatever the order; but a field that has other ids than the question file must not hide the place.
    Where nothing matches, the join that leads to most questions has the reason worth reading.
    """
    most = max(len(one.said) for one in joined)
    if not most:
        return max(joined, key=lambda one: one.known)
    field = next(one.join.field for one in joined if 2 * len(one.said) >= most)
    return max((one for one in joined if one.join.field == field), key=lambda one: len(one.said))


def _joined(entries: Sequence[Entry | Skipped], rows: QuestionRows, join: Join) -> _Joined:
    """The entries against the questions, by one key."""
    index = _by_key(rows, join)
    result = _Joined(join, {}, [], [], 0)
    for entry in entries:
        if isinstance(entry, Skipped):
            result.unmatched.append(entry)
            continue
        key = entry.keys.get(join.field, "")
        found = index.get(key, [])
        said: Said | tuple[str, str]
        if not key:
            said = "no key", f"has no {join.field}"
        elif not found:
            reason = f"{join.field} {shown(key)} is no usable question's {join.to}"
            result.surplus.append(Skipped(entry.row, reason, "no such question"))
            continue
        elif len(found) > 1:
            said = (
                "several questions",
                f"{join.field} {shown(key)} is the {join.to} of {len(found)} questions",
            )
        else:
            result.known += 1
            question = rows.questions[found[0]]
            if found[0] in result.said:
                said = "answered twice", f"answers question {shown(question.question_id)} a second time"
            else:
                said = entry.said(question)
        if isinstance(said, Said):
            result.said[found[0]] = said
        else:
            kind, reason = said
            result.unmatched.append(Skipped(entry.row, reason, kind))
    return result


def _by_key(rows: QuestionRows, join: Join) -> dict[str, list[int]]:
    """Questions by the key that rows of a file are compared with, written as `key_of` writes a row's."""
    ids = [question.question_id for question in rows.questions]
    index: dict[str, list[int]] = {}
    for i, key in enumerate(ids if join.to == "question_id" else rows.places):
        index.setdefault(key_of(key), []).append(i)
    return index


def _asked(said: dict[int, Said]) -> dict[int, Said]:
    """The same; where no direct answer has a word, none was asked for, else a missing one is an empty answer.

    Source: A-OKVQA's eval_predictions.py counts a question without a prediction as 0.
    """
    asked = any(one.direct_answer for one in said.values())
    return {
        i: msgspec.structs.replace(one, direct_answer=one.direct_answer or "" if asked else None)
        for i, one in said.items()
    }
