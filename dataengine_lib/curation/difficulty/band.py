"""Step 4: the student's probability of the right option, the band of it that is kept, and figures of both.

Why a band: examples that a model has mastered, or that are too hard for it now, teach it least. Sources: PROGRESS, Chandhok
et al. 2025 (arXiv 2506.01085); Bae et al. 2025 (arXiv 2504.03380).
"""

from collections.abc import Sequence
from math import exp
from typing import Literal, NamedTuple

import msgspec

from dataengine_lib.core.records import TrainRecord

BINS = 20  # of the histogram, each of 5 points
# Of a question: the student knows it, it is in the band that is worth training on, or it is too hard.
Difficulty = Literal["known", "kept", "too_hard"]


class StudentView(NamedTuple):
    """What the student makes of a record: the index of its choice, and its probability of the right one."""

    choice: int
    probability: float


def probabilities(scores: Sequence[float]) -> list[float]:
    """The softmax of the options' scores, which are mean log-probabilities of their tokens.

    A probability by options, as a rank rule compares them: lengths do not count, and the options add up to one. It is
    flatter than that of the whole texts: brackets and other tokens that the options share count in the means as well.
    """
    highest = max(scores)
    weights = [exp(score - highest) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def view_of(rows: Sequence[Sequence[float]], right: int) -> StudentView:
    """The view by the scores of each time that the options were asked, all in the record's order of options.

    Probabilities are averaged over the times, so that a preferred letter counts less; of equal ones the first is chosen.
    """
    each = [probabilities(row) for row in rows]
    # rounded, so that two options that are equal but for the last bit count as equal
    mean = [round(sum(column) / len(each), 4) for column in zip(*each, strict=True)]
    return StudentView(mean.index(max(mean)), mean[right])


def outcome(view: StudentView, right: int, low: float, high: float) -> Difficulty:
    """`known`: answered right with a probability above `high`; `too_hard`: the right option has less than `low`."""
    if view.choice == right and view.probability > high:
        return "known"
    return "too_hard" if view.probability < low else "kept"


def both_wrong(record: TrainRecord) -> bool | None:
    """Whether neither the student nor the second readers answer like the teacher; None where one was not asked."""
    if record.student_answer is None or record.second_answer is None:
        return None
    return record.correct_choice_idx not in (record.student_answer, record.second_answer)


class DifficultyCount(msgspec.Struct):
    """Questions of one type by their outcome, and how many the student answers wrongly (`missed`)."""

    known: int = 0
    kept: int = 0
    too_hard: int = 0
    missed: int = 0


class DifficultyFigures(msgspec.Struct, kw_only=True):
    """How the student answers the new questions, before any is dropped for it.

    `bins` maps an outcome to the number of questions by the probability of the right option, in BINS equal steps from 0
    to 1. `low` and `high` are the ends of the band; `blind` says that the student saw no image, `dropped` that questions
    outside the band are dropped.
    """

    blind: bool
    dropped: bool
    low: float
    high: float
    bins: dict[Difficulty, list[int]] = msgspec.field(
        default_factory=lambda: {"known": [0] * BINS, "kept": [0] * BINS, "too_hard": [0] * BINS}
    )
    by_type: dict[str, DifficultyCount] = {}

    def add(self, kind: str, right: int, view: StudentView) -> Difficulty:
        """Count one question of the type `kind`."""
        found = outcome(view, right, self.low, self.high)
        # 1.0 itself belongs to the last bin
        self.bins[found][min(BINS - 1, int(view.probability * BINS))] += 1
        count = self.by_type.setdefault(kind, DifficultyCount())
        setattr(count, found, getattr(count, found) + 1)
        count.missed += view.choice != right
        return found

    @property
    def total(self) -> int:
        """The questions that the student answered."""
        return sum(map(sum, self.bins.values()))
