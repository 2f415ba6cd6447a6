"""Learning curves of a study: accuracy by number of QAs, within an arm and across arms that differ only in that."""

from typing import Any, NamedTuple

from dataengine_lib.evaluation.studies.figures import ArmFigures, MeanScore, StudyFigures

_BUDGET = ("construct_queries", "maxnum")  # the parameter that sets the number of queries of a round


class CurvePoint(NamedTuple):
    """One arm after one round: the QAs it was trained on, a mean over seeds, and its accuracy."""

    arm: str
    place: str
    qas: float
    score: MeanScore


class Curve(NamedTuple):
    """The points of one curve by number of QAs; the first is the evaluation before, at 0."""

    arms: list[str]
    points: list[CurvePoint]


def learning_curves(figures: StudyFigures, measure: str) -> list[Curve]:
    """One curve an arm over its rounds, then one for arms that differ in `maxnum` alone, over these arms' last rounds.

    Arms whose number of QAs no file says are left out.
    """
    known = [arm for arm in figures.arms if all(one.cost.qas is not None for one in arm.rounds)]
    curves = [
        Curve([arm.name], [_point(arm, number, measure) for number in range(len(arm.rounds))])
        for arm in known
    ]
    alike: dict[str, list[ArmFigures]] = {}
    for arm in known:
        alike.setdefault(repr(_without_budget(arm.changes)), []).append(arm)
    for arms in alike.values():
        if len({_budget(arm.changes) for arm in arms}) > 1:
            last = [_point(arm, len(arm.rounds) - 1, measure) for arm in arms]
            points = [_point(arms[0], 0, measure), *sorted(last, key=lambda point: (point.qas, point.arm))]
            curves.append(Curve([arm.name for arm in arms], points))
    return curves


def _point(arm: ArmFigures, number: int, measure: str) -> CurvePoint:
    one = arm.rounds[number]
    return CurvePoint(arm.name, one.name, one.cost.qas or 0.0, one.measures[measure])


def _budget(changes: dict[str, Any]) -> str:
    step, key = _BUDGET
    return repr(changes.get(step, {}).get(key))


def _without_budget(changes: dict[str, Any]) -> list[Any]:
    """The arm's changes in a fixed order, without the number of queries."""
    rest = {
        step: sorted((key, repr(value)) for key, value in keys.items() if (step, key) != _BUDGET)
        for step, keys in changes.items()
    }
    return sorted((step, keys) for step, keys in rest.items() if keys)
