"""The figures of a study, as `study_results.json` holds them; shares are in [0, 1], differences in [-1, 1]."""

from typing import Any

import msgspec

from dataengine_lib.core.significance.sign_flip import ALPHA

_METHOD = (
    "accuracies and differences: means over seeds and questions with 95 % intervals over both (seeds and images are "
    "crossed: Obuchowski and Rockette 1995, degrees of freedom of Hillis 2007; differences paired by seed and "
    "question); p: t test of the same error; corrected p: Holm 1979"
)
# What is compared; the names of these in a report are in `measure_name`.
OVERALL, TYPE_MEAN, WEAK, WORST = "overall", "type_mean", "weak", "worst"
KNOWN_AT_START = 0.9  # accuracy before from which a type counts as known


class MeanScore(msgspec.Struct, frozen=True):
    """A mean accuracy with its 95 % interval."""

    value: float
    low: float
    high: float


class Difference(msgspec.Struct, frozen=True):
    """A difference of two means with its 95 % interval; `corrected_p` is after Holm.

    `visible` is the smallest difference that would be called real in four of five such studies.
    """

    value: float
    low: float
    high: float
    p_value: float
    corrected_p: float
    visible: float

    @property
    def real(self) -> bool:
        """Whether it is more than chance after correction."""
        return self.corrected_p <= ALPHA


class RunCost(msgspec.Struct):
    """What one run used up to a round: QAs trained on, training steps, the teacher's US dollars, tokens and requests.

    None where no file says it.
    """

    qas: float | None = None
    steps: float | None = None
    usd: float | None = None
    tokens: float | None = None
    requests: float | None = None


class RoundMeans(msgspec.Struct):
    """One arm after one round; `worst_type` is the type of lowest diagnose accuracy then.

    `gains` are against the round before, corrected for the number of rounds; empty before the first.
    """

    name: str
    measures: dict[str, MeanScore]
    by_type: dict[str, MeanScore]
    cost: RunCost = msgspec.field(default_factory=RunCost)
    worst_type: str = ""
    gains: dict[str, Difference] = {}


class ArmFigures(msgspec.Struct):
    """One arm: every round, and the gain from the first evaluation to the last.

    `fixed` and `broken` are questions a seed, `fallen` the types known at the start that fell. `per_point` is what the
    last round's cost makes for each point gained on all questions, None where the gain may be chance, and `per_fixed`
    for each question that was wrong before and is right.
    """

    name: str
    changes: dict[str, Any]
    rounds: list[RoundMeans]
    gains: dict[str, Difference]
    gains_by_type: dict[str, Difference]
    fallen: list[str]
    fixed: float
    broken: float
    per_point: RunCost = msgspec.field(default_factory=RunCost)
    per_fixed: RunCost = msgspec.field(default_factory=RunCost)

    @property
    def last(self) -> RoundMeans:
        """After the last round."""
        return self.rounds[-1]


class PairFigures(msgspec.Struct):
    """Two arms after the last round: `first` minus `second`, by measure."""

    first: str
    second: str
    differences: dict[str, Difference]


class TypeDifferences(msgspec.Struct):
    """An arm minus the reference arm after the last round, type by type."""

    arm: str
    by_type: dict[str, Difference]


class RunLeftOut(msgspec.Struct):
    """A run that is not compared, and the reason."""

    arm: str
    seed: int
    reason: str


class QuestionsLeftOut(msgspec.Struct):
    """How many questions of an evaluation are not compared, and the first of them.

    `missing` there, or `changed` against the first evaluation that has them; `repeated` ones count by their first row.
    """

    evaluation: str
    missing: int
    changed: int
    repeated: int
    first: str


class StudyFigures(msgspec.Struct, kw_only=True):
    """`study_results.json`. `pairs` begins with every arm against `reference`."""

    study: str
    split: str
    rounds: int
    seeds: list[int]
    questions: int
    images: int
    method: str = _METHOD
    reference: str
    arms: list[ArmFigures]
    pairs: list[PairFigures]
    by_type: list[TypeDifferences]
    questions_by_type: dict[str, int]
    weak_types: list[str]
    known_types: list[str]
    types_note: str
    runs_left_out: list[RunLeftOut]
    questions_left_out: list[QuestionsLeftOut]
