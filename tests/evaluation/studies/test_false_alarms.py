"""A study of arms without any difference calls nothing real, in all but 5 % of studies."""

import numpy as np
import pytest
from made_study.scores import drawn_scores

from dataengine_lib.evaluation.studies.answers import StudyAnswers
from dataengine_lib.evaluation.studies.comparison import (
    ArmMeans,
    ChosenTypes,
    arm_figures,
    pair_figures,
    type_differences,
)
from dataengine_lib.evaluation.studies.figures import OVERALL, WEAK

TYPES = np.repeat(["a", "b", "c", "d"], 40).astype(object)


def arms_of(
    rng: np.random.Generator, *shift: float, names: tuple[str, ...] = ("x", "y", "z")
) -> dict[str, ArmMeans]:
    """Three arms, 5 seeds and 160 questions; before the round all arms answer the same."""
    after = drawn_scores(rng, shift, seeds=5, images=80)
    before = np.broadcast_to(drawn_scores(rng, (0.0,), seeds=1, images=80), after.shape)
    answers = StudyAnswers(
        list(names), list(range(5)), np.stack([before, after], axis=2), TYPES, np.arange(160) // 2,
        [[{}, {}]] * 3, [], [], [],
    )  # fmt: skip
    return {
        name: ArmMeans(answers, place, ChosenTypes(["a", "b"], ["c"], "")) for place, name in enumerate(names)
    }


def test_no_difference_no_alarm() -> None:
    rng = np.random.default_rng(0)
    pairs, types = 0, 0
    for _ in range(100):
        means = arms_of(rng, 0.0, 0.0, 0.0)
        pairs += any(one.differences[OVERALL].real for one in pair_figures(means, "x"))
        found = type_differences(means, "x")
        types += any(one.real for arm in found for one in arm.by_type.values())
    # of 100 studies with 5 % alarms, at most 11 with 99 % certainty; fewer is no fault
    assert pairs <= 11 and types <= 11
    assert pairs + types > 0


def test_a_planted_difference_is_found_with_its_sign_and_in_every_pair() -> None:
    means = arms_of(np.random.default_rng(1), 0.0, 1.5, 0.0)
    pairs = pair_figures(means, "x")
    assert [(one.first, one.second) for one in pairs] == [("y", "x"), ("z", "x"), ("y", "z")]
    differ, same, other = (one.differences[OVERALL] for one in pairs)
    assert differ.real and other.real and not same.real
    assert 0.1 < differ.low < differ.value < differ.high < 0.4
    weak = pairs[0].differences[WEAK]
    assert weak.corrected_p >= weak.p_value and weak.real
    assert differ.value == pytest.approx(same.value + other.value)


def test_known_types_that_fell_are_counted_after_correction() -> None:
    rng = np.random.default_rng(2)
    means = arms_of(rng, 0.0, 0.0, -3.0)
    fallen = [arm_figures(name, {}, one, ["c"]).fallen for name, one in means.items()]
    assert fallen[2] == ["c"] and not fallen[0] and not fallen[1]
