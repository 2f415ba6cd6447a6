"""The figures of step 6, as `compare_rounds.json` holds them."""

import msgspec

from dataengine_lib.core.records import ImageId
from dataengine_lib.core.statistics import BOOTSTRAP_DRAWS, Gain

_METHOD = (
    f"gain: mean of after - before over the same questions, with its 95 % percentile bootstrap over images "
    f"({BOOTSTRAP_DRAWS:,} draws; exact binomial where nothing changed); "
    "p: exact McNemar; accuracies with Wilson intervals"
)


class Accuracy(msgspec.Struct):
    """Accuracy with its 95 % Wilson interval, in [0, 1]."""

    correct: int
    total: int
    accuracy: float
    low: float
    high: float


class RoundScores(msgspec.Struct):
    """One evaluation's accuracies on the compared questions."""

    name: str
    evaluation: str
    overall: Accuracy
    by_type: dict[str, Accuracy]


class ChangedAnswer(msgspec.Struct):
    """A question that one of two rounds answers right and the other wrong."""

    question_id: str
    question_type: str
    image_id: ImageId
    image_path: str
    question: str
    choices: list[str]
    correct_choice_idx: int
    before: str
    after: str


class PairedScore(msgspec.Struct):
    """A gain with its interval, how many questions were fixed and broken, and McNemar's p-value."""

    gain: Gain
    fixed: int
    broken: int
    p_value: float


class Comparison(msgspec.Struct):
    """Two rounds compared; `weak` is the average gain of the weak types, None where there are none."""

    before: str
    after: str
    overall: PairedScore
    by_type: dict[str, PairedScore]
    weak: Gain | None
    fixed: list[ChangedAnswer]
    broken: list[ChangedAnswer]


class LeftOut(msgspec.Struct):
    """Ids of questions that are not compared: missing in `evaluation`, or changed against the first that has them.

    `repeated` questions are compared by their first row.
    """

    evaluation: str
    repeated: list[str]
    missing: list[str]
    changed: list[str]


class Figures(msgspec.Struct, kw_only=True):
    """`compare_rounds.json`. The first of `comparisons` is first round to last, then each round to the next."""

    split: str
    questions: int
    images: int
    seed: int
    method: str = _METHOD
    rounds: list[RoundScores]
    comparisons: list[Comparison]
    weak_types: list[str]
    weak_note: str
    left_out: list[LeftOut]
