"""Tests of the paired test by images and of Holm's correction: known values, every sign, false alarms."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from dataengine_lib.core.significance.sign_flip import holm, sign_flip, smallest_p
from dataengine_lib.core.statistics import mcnemar


def every_sign(sums: np.ndarray) -> float:
    """The p-value by its definition: the share of all signs with a sum as far from 0."""
    signs = np.array(list(product([-1, 1], repeat=len(sums))))
    return float((np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9).mean())


@pytest.mark.parametrize(("fixed", "broken"), [(10, 2), (3, 3), (0, 7), (1, 0), (0, 0), (436, 139)])
def test_one_question_an_image_is_mcnemars_exact_test(fixed: int, broken: int) -> None:
    sums = np.array([1] * fixed + [-1] * broken + [0] * 20)
    assert sign_flip(sums) == pytest.approx(mcnemar(fixed, broken), rel=1e-9)


@pytest.mark.parametrize(
    "sums", [[3, -1, 2, 2, 0, 1], [2, 2, 2, -2], [5, -1, -1, -1, -1, -1], [0.3, 0.6, -0.9, 1.0, 0.6]]
)
def test_several_questions_an_image_and_fractions_against_every_sign(sums: list[float]) -> None:
    assert sign_flip(np.array(sums)) == pytest.approx(every_sign(np.array(sums)))


@pytest.mark.parametrize("parts", [2, 10, 30])
def test_fractions_of_a_whole_are_as_exact_as_whole_numbers(parts: int) -> None:
    # ties of the total count, so that 1/2 + 1/2 has to be exactly 1
    rng = np.random.default_rng(0)
    for _ in range(100):
        whole = rng.integers(-3, 4, size=rng.integers(8, 80))
        assert sign_flip(np.round(whole / parts, 6)) == sign_flip(whole)


def test_small_parts_of_an_average_are_not_rounded_away() -> None:
    assert sign_flip(np.full(6, 1 / 4000)) == pytest.approx(smallest_p(6))
    several = np.array([0.5, 0.5, 0.0005, 0.0005, 0.0005, -0.0005])
    assert sign_flip(several) == pytest.approx(every_sign(several))


def test_many_images_agree_with_the_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    for sums in (rng.integers(-3, 4, size=1500), rng.normal(size=1500), rng.integers(-3, 4, size=4000)):
        expected = 2 * norm.sf(abs(sums.sum()) / np.sqrt((sums**2).sum()))
        assert sign_flip(sums) == pytest.approx(expected, abs=0.01)


def test_questions_of_one_image_are_one_change() -> None:
    # 40 answers got right, all about four images: as likely by chance as four coins that fall alike
    assert sign_flip(np.full(4, 10)) == smallest_p(4) == 0.125
    assert mcnemar(40, 0) < 1e-9


def test_correlated_questions_raise_no_false_alarm() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(sign_flip(5 * rng.integers(-1, 2, size=60)) <= 0.05 for _ in range(600))
    by_question = sum(
        mcnemar(5 * int((one > 0).sum()), 5 * int((one < 0).sum())) <= 0.05
        for one in rng.integers(-1, 2, size=(600, 60))
    )
    assert alarms / 600 <= 0.065 < 0.3 < by_question / 600


def test_holms_published_steps() -> None:
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which may not be below the one before
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert corrected == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(corrected) == ["a", "b", "c", "d"]
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0} and holm({}) == {}
