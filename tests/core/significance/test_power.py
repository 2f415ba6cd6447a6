"""Tests of the power that `plan` promises: against simulation, published sample sizes, and its inverse functions."""

import numpy as np
import pytest

from dataengine_lib.core.significance.power import (
    independent_questions,
    power,
    questions_needed,
    smallest_gain,
)
from dataengine_lib.core.significance.sign_flip import sign_flip


@pytest.mark.parametrize(("questions", "gain", "alpha"), [(120, 0.1, 0.05), (30, 0.4, 0.05 / 18)])
def test_the_power_is_how_often_the_test_finds_the_gain(questions: int, gain: float, alpha: float) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.choice([1, -1, 0], p=[0.1 + gain, 0.1, 0.8 - gain], size=(1500, questions))
    found = np.mean([row.sum() > 0 and sign_flip(row) <= alpha for row in drawn])
    assert found == pytest.approx(power(gain, questions, alpha, discordance=0.2), abs=0.035)


def test_the_published_sample_size() -> None:
    # Connor 1987 by the normal approximation: shares 0.2 and 0.1 that change to and fro, 80 % power at 5 %
    root = 1.959964 * 0.3**0.5 + 0.841621 * (0.3 - 0.1**2) ** 0.5
    by_formula = (root / 0.1) ** 2
    assert by_formula == pytest.approx(234, abs=1)
    # the exact test needs a few more
    assert 0 < questions_needed(0.1, 0.05, discordance=0.2) - by_formula < 0.08 * by_formula  # type: ignore[operator]


def test_gain_questions_and_power_fit_each_other() -> None:
    gain = smallest_gain(120, 0.05 / 18)
    assert gain is not None and power(gain, 120, 0.05 / 18) == pytest.approx(0.8, abs=0.002)
    needed = questions_needed(gain, 0.05 / 18)
    assert needed is not None and abs(needed - 120) <= 4
    assert smallest_gain(2160) < smallest_gain(2160, 0.05 / 18) < gain  # type: ignore[operator]


def test_too_few_questions_show_nothing() -> None:
    assert smallest_gain(3) is None and power(0.8, 3) == 0  # three coins fall alike in 25 % of cases
    assert power(0.1, 0) == power(0.0, 50, discordance=0) == 0
    assert questions_needed(0.0) is None
    assert power(0.0, 200) < 0.05 < power(0.1, 200)


def test_questions_about_one_image_count_for_less() -> None:
    assert independent_questions([1] * 40) == 40
    assert independent_questions([4] * 10, alike=0.1) == pytest.approx(40 / 1.3)
    assert independent_questions([4] * 10, alike=1.0) == pytest.approx(10)
    assert independent_questions([]) == 0
