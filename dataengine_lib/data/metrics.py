"""Figures of step 1: accuracies per split and type with intervals, and A-OKVQA's direct-answer score."""

import re
from collections.abc import Sequence

import msgspec

from dataengine_lib.data.intervals import wilson
from dataengine_lib.data.questions import Skipped
from dataengine_lib.data.records import Answer

NO_TYPE = "unclassified"  # where questions that step 0 has not seen are counted
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


class Score(msgspec.Struct):
    """Multiple-choice accuracy with its 95 % Wilson interval, and the direct-answer score.

    `direct_total` questions count for the latter. Accuracies are None where nothing was asked.
    """

    total: int
    correct: int
    accuracy: float | None
    low: float
    high: float
    direct_total: int
    direct_answer: float | None


class SplitScore(msgspec.Struct):
    """One split: all its questions, and each type's; types without questions are there with a total of 0."""

    overall: Score
    per_type: dict[str, Score]


class SkippedRows(msgspec.Struct):
    """Rows that could not be used, of how many, by reason and one by one."""

    total: int
    of: int
    by_reason: dict[str, int]
    rows: list[Skipped]


class Metrics(msgspec.Struct):
    """`metrics.json`."""

    splits: dict[str, SplitScore]
    rank: str
    weight_rule: str
    skipped: SkippedRows


def score_split(answers: Sequence[Answer], types: Sequence[str], *, direct: bool = True) -> SplitScore:
    """The scores of one split's answers, for `types` and any other type that occurs.

    Without `direct`, the student was not asked for direct answers.
    """
    by_type: dict[str, list[Answer]] = {name: [] for name in types}
    for answer in answers:
        by_type.setdefault(answer.question_type or NO_TYPE, []).append(answer)
    return SplitScore(score(answers, direct), {name: score(part, direct) for name, part in by_type.items()})


def score(answers: Sequence[Answer], direct: bool = True) -> Score:
    """The score of some answers; numbers have four decimals."""
    total, correct = len(answers), sum(answer.correct for answer in answers)
    said = [answer.direct_answer_score for answer in answers if direct and counts_directly(answer)]
    interval = wilson(correct, total)
    return Score(
        total=total,
        correct=correct,
        accuracy=round(correct / total, 4) if total else None,
        low=round(interval.low, 4),
        high=round(interval.high, 4),
        direct_total=len(said),
        direct_answer=round(sum(said) / len(said), 4) if said else None,
    )


def counts_directly(answer: Answer) -> bool:
    """Whether A-OKVQA's direct-answer score takes this question in: difficult ones are left out."""
    return bool(answer.direct_answers) and not answer.difficult_direct_answer


def direct_answer_score(said: str, answers: Sequence[str]) -> float:
    """min(1, matches / 3) over the people's answers, without regard to case and punctuation at the ends.

    Source: A-OKVQA's eval_predictions.py.
    """
    matches = sum(plain_answer(answer) == plain_answer(said) for answer in answers)
    return min(1.0, matches / 3)


def plain_answer(text: str) -> str:
    """The text by which answers are compared."""
    return _EDGES.sub("", " ".join(text.casefold().split()))


def first_answer(written: str) -> str:
    """The answer in what the student wrote behind `The answer is`: up to the first line's or sentence's end.

    An option's letter before it is not part of it.
    """
    line = written.strip().split("\n")[0]
    sentence = re.split(r"(?<=[a-z0-9])\.(?:\s|$)", line)[0]  # not behind the capitals of an abbreviation
    return re.sub(r"^\(?[A-Z]\)[:.]?\s*", "", sentence.strip()).strip(" :")
