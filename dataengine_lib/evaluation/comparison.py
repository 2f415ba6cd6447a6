"""The figures of step 6, as `compare_rounds.json` holds them."""

import msgspec

from dataengine_lib.core.statistics import DRAWS, Gain

METHOD = (
    f"gain: mean of after - before over the same questions, with its 95 % percentile bootstrap over images "
    f"({DRAWS:,} draws; exact binomial where nothing changed); "
    "p: exact McNemar; accuracies with Wilson intervals"
)


class Score(msgspec.Struct):
    """Accuracy with its Wilson interval."""

    correct: int
    total: int
    accuracy: float
    low: float
    high: float


class RoundScores(msgspec.Struct):
    """One evaluation's scores on the compared questions."""

    name: str
    evaluation: str
    overall: Score
    by_type: dict[str, Score]


class Change(msgspec.Struct):
    """A question that one round answers right and the other wrong."""

    question_id: str
    question_type: str
    image_id: int
    image_path: str
    question: str
    choices: list[str]
    correct_choice_idx: int
    before: str
    after: str


class PairedScore(msgspec.Struct):
    """A gain with its interval, the questions behind it and McNemar's p-value."""

    gain: Gain
    fixed: int
    broken: int
    p_value: float


class Comparison(msgspec.Struct):
    """Two rounds side by side; `weak` is the average gain of the weak types, None where there are none."""

    before: str
    after: str
    overall: PairedScore
    by_type: dict[str, PairedScore]
    weak: Gain | None
    fixed: list[Change]
    broken: list[Change]


class LeftOut(msgspec.Struct):
    """Questions that are not compared, by id: missing in `evaluation`, or not the same there as in the first.

    Of `repeated` questions the first row counts.
    """

    evaluation: str
    repeated: list[str]
    missing: list[str]
    changed: list[str]


class Figures(msgspec.Struct, kw_only=True):
    """`compare_rounds.json`. `comparisons` holds first to last first, then each round to the next."""

    split: str
    questions: int
    images: int
    seed: int
    method: str = METHOD
    rounds: list[RoundScores]
    comparisons: list[Comparison]
    weak_types: list[str]
    weak_note: str
    left_out: list[LeftOut]
