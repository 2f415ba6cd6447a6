"""The figures of step 6, as `compare_rounds.json` holds them."""

from typing import Literal

import msgspec

from dataengine_lib.core.records import ImageId
from dataengine_lib.core.significance.sign_flip import ALPHA
from dataengine_lib.core.statistics import BOOTSTRAP_DRAWS, Gain
from dataengine_lib.evaluation.rounds.followed_causes import FollowedCause
from dataengine_lib.evaluation.rounds.verdicts import Verdict

# What a real gain of the student with the picture comes from; tested are its gain without the picture and the difference:
# - also there blind: the blind gain is real, the difference is not
# - in part there blind: both are real
# - by seeing: the difference is real, the blind gain is not
# - cannot tell: neither is real
# - empty: there is no real gain with the picture
Seeing = Literal["also there blind", "in part there blind", "by seeing", "cannot tell", ""]

_METHOD = (
    "gain: mean of after - before over the same questions, with its 95 % percentile bootstrap over images "
    f"({BOOTSTRAP_DRAWS:,} draws; exact binomial where all images changed alike); "
    "p: exact sign-flip test over images, and after Holm's correction over the question types of one comparison "
    "(overall and the weak types' average are one hypothesis each); "
    f"real: that p is at most {ALPHA:g}; accuracies: 95 % Wilson intervals with the effective number of questions, "
    "by images; McNemar's p counts questions as independent"
)


class Accuracy(msgspec.Struct):
    """Mean score with its 95 % interval, in [0, 1], clustered by image; `correct` answers have a score of 0.5 or more.

    `too_few`: about so few images that no change of this accuracy could be shown.
    """

    correct: int
    total: int
    accuracy: float
    low: float
    high: float
    images: int = 0
    too_few: bool = False


class RoundScores(msgspec.Struct):
    """One evaluation's accuracies on the compared questions."""

    name: str
    evaluation: str
    overall: Accuracy
    by_type: dict[str, Accuracy]


class ChangedAnswer(msgspec.Struct, omit_defaults=True):
    """A question that one of two rounds answers right and the other wrong.

    `direct_answers` are the accepted answers to an open-ended question, and left out of the file for others.
    """

    question_id: str
    question_type: str
    image_id: ImageId
    image_path: str
    question: str
    choices: list[str]
    correct_choice_idx: int
    before: str
    after: str
    direct_answers: list[str] = []


class GainVerdict(msgspec.Struct, kw_only=True):
    """A gain with its interval, its p-value over images, the same after Holm's correction, and what that shows."""

    gain: Gain
    p_value: float
    p_holm: float
    verdict: Verdict


class PairedScore(GainVerdict, kw_only=True):
    """A gain, and how many questions were fixed and broken; McNemar's p-value where all scores are 0 or 1."""

    fixed: int
    broken: int
    p_mcnemar: float | None


class Comparison(msgspec.Struct):
    """Two rounds compared; `weak` is the average gain of the weak types, None where there are none."""

    before: str
    after: str
    overall: PairedScore
    by_type: dict[str, PairedScore]
    weak: GainVerdict | None
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


class NextRound(msgspec.Struct, kw_only=True):
    """Whether another round is worth it: `stop` is what the experiment's `until` says, False without one.

    `reason` is a sentence; `gained` are the types that gained in the last round, after Holm's correction; `cost_usd` is
    what that round's teacher and readers cost, `usd_per_point` the same for a point of all questions together, None
    where it is not known or nothing was gained. `weakest` types of the last evaluation would be asked about most.
    """

    stop: bool
    reason: str
    gained: list[str]
    cost_usd: float | None
    usd_per_point: float | None
    weakest: list[str]


class BlindGain(msgspec.Struct, kw_only=True):
    """The gain with and without the picture on the same questions, and `excess`, the first minus the second.

    Each is corrected among the types by Holm; `seeing` is what follows for a real gain, empty where there is none.
    """

    sighted: GainVerdict
    blind: GainVerdict
    excess: GainVerdict
    seeing: Seeing


class BlindComparison(msgspec.Struct, kw_only=True):
    """The first evaluation against the last, where both were also asked without the picture."""

    questions: int
    overall: BlindGain
    by_type: dict[str, BlindGain]


class PanelComparison(msgspec.Struct, kw_only=True):
    """One set of the panel, first evaluation against last; accuracies are mean scores with their intervals by image."""

    questions: int
    images: int
    before: tuple[float, float, float]
    after: tuple[float, float, float]
    gain: GainVerdict
    fixed: int
    broken: int


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
    next_round: NextRound | None = None
    causes: list[FollowedCause] | msgspec.UnsetType = msgspec.UNSET  # absent: step 2 did not look for any
    blind: BlindComparison | msgspec.UnsetType = msgspec.UNSET  # absent where the student was not asked blind
    panel: dict[str, PanelComparison] | msgspec.UnsetType = msgspec.UNSET  # by the set's name
