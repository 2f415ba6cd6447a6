"""Figures of step 1: accuracies per split and type with intervals, and A-OKVQA's direct-answer score."""

from collections.abc import Sequence

import msgspec

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.core.records import NO_TYPE, Answer
from dataengine_lib.core.statistics import wilson
from dataengine_lib.evaluation.answers import counts_directly
from dataengine_lib.evaluation.letter_bias import Consistency, LetterBias, consistency, letter_bias
from dataengine_lib.evaluation.skipped_rows import SkippedRows
from dataengine_lib.evaluation.type_confusion import TypeConfusion, type_confusion
from dataengine_lib.evaluation.weights import Counts, WeightInterval, WeightRule, weight_table
from dataengine_lib.questions.splits import DIAGNOSE, SPLITS


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
    """One split: all its questions, and each type's; types without questions are there with a total of 0.

    `chance` is the share that guessing gets right. `cannot_tell` counts the answers that name no option, which are
    wrong; `both_ways` is None where the options were not asked in reverse as well.
    """

    overall: Score
    per_type: dict[str, Score]
    chance: float
    cannot_tell: int
    letters: LetterBias
    both_ways: Consistency | None
    types: TypeConfusion


class Metrics(msgspec.Struct):
    """`metrics.json`; `weights` are diagnose's by every rule, none without that split.

    `source` says how predictions made elsewhere were read and joined, `usage` what a server's student took.
    """

    splits: dict[str, SplitScore]
    rank: str
    weight_rule: str
    weights: dict[str, dict[WeightRule, WeightInterval]]
    skipped: SkippedRows
    source: str = ""
    usage: StudentUsage | None = None

    def counts(self) -> Counts:
        """(right answers, questions) of every type in the diagnose split; none without it."""
        if DIAGNOSE not in self.splits:
            return {}
        return {kind: (score.correct, score.total) for kind, score in self.splits[DIAGNOSE].per_type.items()}


def measure(
    answers: Sequence[Answer], types: Sequence[str], rank: str, weight_rule: str, skipped: SkippedRows
) -> Metrics:
    """The figures of all splits that occur."""
    splits: dict[str, SplitScore] = {
        split: score_split(part, types)
        for split in SPLITS
        if (part := [answer for answer in answers if answer.split == split])
    }
    metrics = Metrics(splits, rank, weight_rule, {}, skipped)
    if DIAGNOSE in splits:
        metrics.weights = weight_table(metrics.counts())
    return metrics


def score_split(answers: Sequence[Answer], types: Sequence[str]) -> SplitScore:
    """The scores of one split's answers, for `types` and any other type that occurs."""
    by_type: dict[str, list[Answer]] = {name: [] for name in types}
    for answer in answers:
        by_type.setdefault(answer.question_type or NO_TYPE, []).append(answer)
    return SplitScore(
        score(answers),
        {name: score(part) for name, part in by_type.items()},
        round(sum(1 / len(answer.choices) for answer in answers) / max(1, len(answers)), 4),
        sum(answer.predicted_choice_idx < 0 for answer in answers),
        letter_bias(answers),
        consistency(answers),
        type_confusion(answers),
    )


def score(answers: Sequence[Answer]) -> Score:
    """The score of some answers; numbers have four decimals."""
    total, correct = len(answers), sum(answer.correct for answer in answers)
    said = [answer.direct_answer_score for answer in answers if counts_directly(answer)]
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
