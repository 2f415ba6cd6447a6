"""A study's arms compared: accuracies by round, gains, differences of every pair, and types that fell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dataengine_lib.core.records import RIGHT_SCORE
from dataengine_lib.core.significance.sign_flip import ALPHA, Key, holm
from dataengine_lib.evaluation.studies.answers import StudyAnswers
from dataengine_lib.evaluation.studies.crossed import CrossedMean, SeedMeans, seed_means
from dataengine_lib.evaluation.studies.figures import (
    KNOWN_AT_START,
    OVERALL,
    TYPE_MEAN,
    WEAK,
    WORST,
    ArmFigures,
    Difference,
    MeanScore,
    PairFigures,
    RoundMeans,
    TypeDifferences,
)

_NO_DIAGNOSE = "no evaluation has diagnose questions, on which weak and known types are chosen"


@dataclass(frozen=True)
class ChosenTypes:
    """The types that were weak and known at the start, and a note where there are none.

    Both are chosen on diagnose questions and compared on others: chosen on the same ones, weak types would rise and
    known ones fall by regression to the mean alone.
    """

    weak: list[str]
    known: list[str]
    note: str


def chosen_types(answers: StudyAnswers, weak_types: int) -> ChosenTypes:
    """The `weak_types` types of lowest accuracy in the first evaluations of all runs, and those known then."""
    right: dict[str, int] = {}
    asked: dict[str, int] = {}
    for arm in answers.diagnose:
        for kind, (correct, total) in arm[0].items():
            right[kind] = right.get(kind, 0) + correct
            asked[kind] = asked.get(kind, 0) + total
    if not asked:
        return ChosenTypes([], [], _NO_DIAGNOSE)
    compared = set(answers.types)
    order = sorted(asked, key=lambda kind: (right[kind] / asked[kind], kind))
    # a type without a wrong answer is not weak
    weak = [kind for kind in order if right[kind] < asked[kind]][:weak_types]
    known = [kind for kind in sorted(asked) if right[kind] >= KNOWN_AT_START * asked[kind]]
    lost = sorted({*weak, *known} - compared)
    note = f"not among the compared questions: {', '.join(lost)}" if lost else ""
    return ChosenTypes(
        [kind for kind in weak if kind in compared], [kind for kind in known if kind in compared], note
    )


class ArmMeans:
    """The means of one arm after each round, by measure and by type, from which differences are made."""

    def __init__(self, answers: StudyAnswers, arm: int, chosen: ChosenTypes) -> None:
        self._answers, self._arm, self._chosen = answers, arm, chosen
        # the number of each question's type
        self._kinds, self._type = np.unique(answers.types.astype(str), return_inverse=True)

    @property
    def rounds(self) -> range:
        """The numbers of the evaluations; 0 is the one before."""
        return range(self._answers.scores.shape[2])

    @cached_property
    def measures(self) -> list[dict[str, SeedMeans]]:
        """Of each evaluation: overall, mean of types, of the weak types, and the worst type then.

        Without diagnose questions the first two.
        """
        return [self._measures(number) for number in self.rounds]

    @cached_property
    def by_type(self) -> list[dict[str, SeedMeans]]:
        """Of each evaluation: the means of each type."""
        single = {str(kind): np.where(self._type == place, 0, -1) for place, kind in enumerate(self._kinds)}
        return [
            {kind: self._means(number, group) for kind, group in single.items()} for number in self.rounds
        ]

    def worst_type(self, number: int) -> str:
        """The compared type of lowest diagnose accuracy in evaluation `number`; empty without diagnose questions."""
        counts = self._answers.diagnose[self._arm][number]
        kinds = [kind for kind in counts if kind in self._kinds]
        return min(kinds, key=lambda kind: (counts[kind][0] / counts[kind][1], kind), default="")

    def _measures(self, number: int) -> dict[str, SeedMeans]:
        groups = {TYPE_MEAN: self._type}
        if self._chosen.weak:
            weak = np.isin(self._answers.types.astype(str), self._chosen.weak)
            groups[WEAK] = np.where(weak, self._type, -1)
        if worst := self.worst_type(number):
            groups[WORST] = np.where(self._answers.types == worst, 0, -1)
        overall = self._means(number, self._type, by_size=True)
        return {OVERALL: overall} | {name: self._means(number, group) for name, group in groups.items()}

    def changed(self) -> tuple[float, float]:
        """Questions a seed that were wrong before and are right after the last round, and the other way round."""
        right = self._answers.scores[self._arm] >= RIGHT_SCORE
        before, after = right[:, 0], right[:, -1]
        return float((~before & after).sum(axis=1).mean()), float((before & ~after).sum(axis=1).mean())

    def _means(self, number: int, groups: np.ndarray, by_size: bool = False) -> SeedMeans:
        scores = self._answers.scores[self._arm, :, number]
        return seed_means(scores, groups, self._answers.images, by_size=by_size)


def arm_figures(name: str, changes: Mapping[str, Any], means: ArmMeans, known: Sequence[str]) -> ArmFigures:
    """One arm by itself; its gains are corrected for the number of measures, or of types."""
    measures = means.measures
    rounds = [
        RoundMeans(
            "before" if number == 0 else f"after round {number}",
            {measure: _score(one) for measure, one in measures[number].items()},
            {kind: _score(one) for kind, one in means.by_type[number].items()},
            worst_type=means.worst_type(number),
        )
        for number in means.rounds
    ]
    # the worst type of two rounds may be two types: a difference of these is no gain
    gained = [measure for measure in measures[0] if measure != WORST]
    gains = differences({measure: (measures[-1][measure] - measures[0][measure]).mean for measure in gained})
    for measure in gained:
        steps = {
            number: (measures[number][measure] - measures[number - 1][measure]).mean
            for number in means.rounds[1:]
        }
        for number, step in differences(steps).items():
            rounds[number].gains[measure] = step
    by_type = differences(
        {kind: (means.by_type[-1][kind] - one).mean for kind, one in means.by_type[0].items()}
    )
    fallen = [kind for kind in known if by_type[kind].real and by_type[kind].value < 0]
    fixed, broken = means.changed()
    return ArmFigures(name, dict(changes), rounds, gains, by_type, fallen, fixed, broken)


def pair_figures(means: Mapping[str, ArmMeans], reference: str) -> list[PairFigures]:
    """Every pair of arms after the last round, those with the reference first; corrected measure by measure."""
    others = [name for name in means if name != reference]
    pairs = [(name, reference) for name in others]
    pairs += [(one, two) for place, one in enumerate(others) for two in others[place + 1 :]]
    found = {(one, two): PairFigures(one, two, {}) for one, two in pairs}
    last = {name: one.measures[-1] for name, one in means.items()}
    for measure in next(iter(last.values())):
        compared = {
            (one, two): (last[one][measure] - last[two][measure]).mean
            for one, two in pairs
            if measure in last[one] and measure in last[two]
        }
        for pair, difference in differences(compared).items():
            found[pair].differences[measure] = difference
    return list(found.values())


def type_differences(means: Mapping[str, ArmMeans], reference: str) -> list[TypeDifferences]:
    """Every other arm minus the reference, type by type; corrected for all types of all arms together."""
    compared = {
        (name, kind): (one - means[reference].by_type[-1][kind]).mean
        for name in means
        if name != reference
        for kind, one in means[name].by_type[-1].items()
    }
    found: dict[str, TypeDifferences] = {}
    for (name, kind), difference in differences(compared).items():
        found.setdefault(name, TypeDifferences(name, {})).by_type[kind] = difference
    return list(found.values())


def differences(means: Mapping[Key, CrossedMean]) -> dict[Key, Difference]:
    """The means of one family of tests, with Holm's correction for their number."""
    p_values = {name: mean.p_value for name, mean in means.items()}
    corrected = holm(p_values)
    found = {}
    for name, mean in means.items():
        ends = mean.interval()
        # the level of the first test of the family, before the data are known
        visible = mean.visible(ALPHA / len(means))
        found[name] = Difference(mean.value, ends.low, ends.high, p_values[name], corrected[name], visible)
    return found


def _score(means: SeedMeans) -> MeanScore:
    ends = means.mean.interval()
    return MeanScore(means.mean.value, ends.low, ends.high)
