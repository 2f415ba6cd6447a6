"""Tests of the paired figures: known answers, coverage, correlated questions."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from dataengine_lib.core.statistics import PairedGains, in_points, mcnemar


def overall(difference: np.ndarray, images: list[str], **more: int) -> PairedGains:
    return PairedGains(
        {"all": np.ones(len(difference), dtype=bool)}, difference, images, **{"seed": 0, **more}
    )


def test_the_gain_is_the_mean_difference_and_its_interval_holds_it() -> None:
    difference = np.array([1] * 30 + [-1] * 10 + [0] * 60)
    gain = overall(difference, [str(i) for i in range(100)]).gain("all")
    assert gain.gain == pytest.approx(0.2)
    # normal approximation of the mean of 100 independent differences
    half = 1.96 * difference.std() / 10
    assert gain.low == pytest.approx(0.2 - half, abs=0.015)
    assert gain.high == pytest.approx(0.2 + half, abs=0.015)
    assert (gain.questions, gain.images) == (100, 100)


def test_small_cases_against_every_possible_resample() -> None:
    difference, images = np.array([1, 1, 0, -1]), ["a", "a", "b", "c"]
    sums, sizes = np.array([2, 0, -1]), np.array([2, 1, 1])
    means = 1000 * [sums[list(p)].sum() / sizes[list(p)].sum() for p in product(range(3), repeat=3)]
    gain = overall(difference, images, draws=50_000).gain("all")
    assert gain.low == pytest.approx(np.quantile(means, 0.025))
    assert gain.high == pytest.approx(np.quantile(means, 0.975))


def test_questions_of_one_image_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    per_image = rng.integers(-1, 2, size=50)
    difference = np.repeat(per_image, 6)
    apart = overall(difference, [str(i) for i in range(300)]).gain("all")
    together = overall(difference, [str(i // 6) for i in range(300)]).gain("all")
    assert apart.gain == together.gain
    ratio = (together.high - together.low) / (apart.high - apart.low)
    assert ratio == pytest.approx(6**0.5, rel=0.15)
    assert (together.questions, together.images) == (300, 50)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(200):
        effect = rng.choice([-1, 0, 1], size=60, p=[0.1, 0.6, 0.3])
        difference = np.repeat(effect, 2)
        gain = overall(difference, [str(i // 2) for i in range(120)], draws=400).gain("all")
        hits += gain.low <= 0.2 <= gain.high
    assert 180 <= hits <= 199


def test_groups_and_their_average() -> None:
    difference = np.array([1] * 10 + [0] * 90)
    first = np.arange(100) < 20
    groups = {"a": first, "b": ~first, "none": np.zeros(100, dtype=bool)}
    gains = PairedGains(groups, difference, [str(i) for i in range(100)], seed=0)
    assert gains.gain("a").gain == 0.5
    assert gains.gain("b") == gains.average(["b", "none"])
    average = gains.average(["a", "b"])
    assert average.gain == 0.25  # each type weighs the same, not each question
    assert average.low < 0.25 < average.high
    assert average.questions == 100
    assert (gains.gain("none").low, gains.gain("none").high) == (-1, 1)


@pytest.mark.parametrize("images", [3, 40, 120])
def test_no_change_among_few_images_is_no_certainty(images: int) -> None:
    gain = overall(np.zeros(2 * images, dtype=int), [str(i // 2) for i in range(2 * images)]).gain("all")
    assert gain.gain == 0 and (gain.questions, gain.images) == (2 * images, images)
    assert -gain.low == gain.high == pytest.approx(binomtest(0, images).proportion_ci(0.95).high)


@pytest.mark.parametrize("change", [1, -1, 0.5])
def test_the_same_change_in_each_of_few_images_is_no_certainty(change: float) -> None:
    gain = overall(np.full(6, change), [str(i // 2) for i in range(6)]).gain("all")
    other = binomtest(0, 3).proportion_ci(0.95).high  # images that may have changed otherwise
    assert gain.gain == change
    assert (gain.low, gain.high) == pytest.approx(
        (change - other * (1 + change), change + other * (1 - change)), abs=1e-9
    )


def test_the_p_value_is_of_images_and_of_the_average() -> None:
    difference = np.array([1] * 8 + [0] * 4 + [-1] * 2 + [0] * 6)
    first = np.arange(20) < 12
    groups = {"a": first, "b": ~first, "none": np.zeros(20, dtype=bool)}
    gains = PairedGains(groups, difference, [str(i) for i in range(20)], seed=0, draws=10)
    assert gains.p_value(["a"]) == pytest.approx(mcnemar(8, 0))
    assert gains.p_value(["b", "none"]) == pytest.approx(mcnemar(0, 2))
    assert gains.p_value(["none"]) == 1
    # 8/12 - 2/8, halved: of all signs of ten images, so many are as far from 0
    signs = np.array(list(product([-1, 1], repeat=10)))
    totals = np.abs(signs @ np.array([1 / 12] * 8 + [-1 / 8] * 2))
    assert gains.p_value(["a", "b"]) == pytest.approx((totals >= 8 / 12 - 2 / 8 - 1e-9).mean())
    together = PairedGains(groups, difference, [str(i // 4) for i in range(20)], seed=0, draws=10)
    assert together.p_value(["a"]) == 0.5  # two images


def test_the_same_seed_gives_the_same_interval() -> None:
    difference, images = np.array([1, 0, -1, 1] * 20), [str(i) for i in range(80)]
    assert overall(difference, images).gain("all") == overall(difference, images).gain("all")


@pytest.mark.parametrize(("fixed", "broken"), [(10, 2), (3, 3), (0, 7), (1, 0)])
def test_mcnemar_is_the_exact_binomial_tail(fixed: int, broken: int) -> None:
    total, few = fixed + broken, min(fixed, broken)
    assert mcnemar(fixed, broken) == pytest.approx(min(1.0, 2 * binom.cdf(few, total, 0.5)))
    assert mcnemar(fixed, broken) == mcnemar(broken, fixed)


def test_equal_differences_are_the_same_points_however_they_were_computed() -> None:
    texts: dict[int, set[str]] = {}
    for before, after in product(range(41), repeat=2):
        difference = after / 40 - before / 40
        texts.setdefault(after - before, set()).add(f"{in_points(difference, 0)} {in_points(difference)}")
    assert {len(found) for found in texts.values()} == {1}
    assert texts[29] == {"+72 +72.5"} and texts[-1] == {"-2 -2.5"} and texts[0] == {"+0 +0.0"}
    assert in_points(0.1 + 0.2 - 0.3 - 1e-17) == in_points(-0.0004) == "+0.0"
    assert in_points(-0.003, 0) == "+0" and in_points(-0.006, 0) == "-1"


def test_mcnemar_without_changes() -> None:
    assert mcnemar(0, 0) == 1.0
