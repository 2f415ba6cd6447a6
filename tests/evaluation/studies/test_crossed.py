"""Intervals over seeds and images hold what they promise, which two simpler ways do not."""

import numpy as np
import pytest
from made_study.scores import drawn_scores
from scipy.stats import binomtest, ttest_1samp

from dataengine_lib.core.statistics import PairedGains
from dataengine_lib.evaluation.studies.crossed import CrossedMean, SeedMeans, seed_means


def images_of(questions: int) -> np.ndarray:
    return np.arange(questions) // 2


def means(scores: np.ndarray) -> SeedMeans:
    """Of `(seeds, questions)`, two questions an image."""
    questions = scores.shape[1]
    return seed_means(scores, np.zeros(questions, dtype=int), images_of(questions))


def difference(scores: np.ndarray) -> SeedMeans:
    return means(scores[1]) - means(scores[0])


def test_it_is_the_two_way_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.1, (6, 9)) + rng.normal(0, 0.2, (1, 9)) + rng.normal(0, 0.1, (6, 1))
    found = seed_means(values, np.zeros(9, dtype=int), np.arange(9)).mean
    seeds, images = values.shape
    of_seed, of_image = values.mean(axis=1), values.mean(axis=0)
    rest = values - of_seed[:, None] - of_image + values.mean()
    ms_seed = images * of_seed.var(ddof=1)
    ms_image = seeds * of_image.var(ddof=1)
    ms_rest = (rest**2).sum() / ((seeds - 1) * (images - 1))
    assert found.error**2 == pytest.approx((ms_seed + ms_image - ms_rest) / (seeds * images))
    # Hillis 2007 with the degrees of freedom of few images as well
    spread = ms_seed**2 / (seeds - 1) + (ms_image - ms_rest) ** 2 / (images - 1)
    assert found.freedom == pytest.approx((ms_seed + ms_image - ms_rest) ** 2 / spread)


def test_where_images_agree_it_is_the_t_test_of_the_seeds() -> None:
    scores = np.array([[1, 0, 0, 1], [0, 1, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0.0]])
    found = seed_means(scores - 0.2, np.zeros(4, dtype=int), np.arange(4)).mean
    expected = ttest_1samp(scores.mean(axis=1) - 0.2, 0)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval() == pytest.approx((0.0, expected.confidence_interval().high))  # an accuracy


def test_one_seed_gives_the_interval_of_its_questions() -> None:
    scores = drawn_scores(np.random.default_rng(1), (0.0, 0.5), seeds=1, images=200)
    found = difference(scores).mean
    change = (scores[1, 0] - scores[0, 0]).astype(int)
    everything = {"all": np.ones(400, dtype=bool)}
    gain = PairedGains(everything, change, [f"{n}" for n in images_of(400)], seed=0).gain("all")
    assert found.interval() == pytest.approx((gain.low, gain.high), abs=0.006)


def test_the_groups_are_strata_and_weigh_the_same_or_by_their_size() -> None:
    groups = np.array([0, 0, 0, 1, -1])
    scores = np.array([[1, 1, 0, 0, 1], [1, 0, 0, 1, 0.0]])
    plain = seed_means(scores, groups, np.arange(5))
    assert plain.by_seed == pytest.approx([1 / 3, 2 / 3]) and plain.asked.tolist() == [True] * 4 + [False]
    together = seed_means(scores, groups, np.arange(5), by_size=True)
    assert together.by_seed == pytest.approx([0.5, 0.5])
    # types that are all right and all wrong: other images would say the same
    sure = seed_means(np.array([[1, 1, 0, 0.0]]), np.array([0, 0, 1, 1]), np.arange(4))
    assert not sure.parts.any()
    with pytest.raises(ValueError, match="no question has a group"):
        seed_means(scores, np.full(5, -1), np.arange(5))


@pytest.mark.parametrize(
    ("seeds", "images", "spreads"),
    [(8, 60, {}), (3, 60, {}), (8, 60, {"seed_spread": 0.8}), (5, 20, {"arm_image_spread": 1.2}),
     (8, 60, {"start": 3.5})],
)  # fmt: skip
def test_no_difference_is_called_real_at_the_nominal_rate(
    seeds: int, images: int, spreads: dict[str, float]
) -> None:
    rng = np.random.default_rng(2)
    p_values = [
        difference(drawn_scores(rng, seeds=seeds, images=images, **spreads)).mean.p_value for _ in range(600)
    ]
    # 600 draws of 5 % lie between 3 and 7.5 % with 99 % certainty; a little below it is no fault
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.075


def test_what_is_visible_is_seen_in_four_of_five_studies() -> None:
    rng = np.random.default_rng(3)
    found = [difference(drawn_scores(rng, (0.0, 0.45))).mean for _ in range(400)]
    size = np.mean([one.value for one in found])
    assert 0.06 < size < 0.08
    # the same studies with as much added to the difference as can be seen
    moved = [one._replace(value=one.value - size + one.visible()) for one in found]
    assert 0.76 < np.mean([one.p_value < 0.05 for one in moved]) < 0.86


def pigeonhole(scores: np.ndarray, rng: np.random.Generator, draws: int = 400) -> np.ndarray:
    """The percentile interval of the bootstrap of seeds and of images (Owen 2007)."""
    change = scores[1] - scores[0]
    by_image = change.reshape(len(change), -1, 2).mean(axis=2)
    seeds, images = by_image.shape
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    of_images = rng.multinomial(images, np.full(images, 1 / images), draws) / images
    return np.quantile(((of_seeds @ by_image) * of_images).sum(axis=1), [0.025, 0.975])


def test_bootstrap_of_both_and_test_of_seeds_alone_are_not_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(4)
    few, many = [], []
    for _ in range(150):
        few.append(pigeonhole(drawn_scores(rng, seed_spread=0.05), rng))
        many.append(pigeonhole(drawn_scores(rng, seeds=4, seed_spread=1.0), rng))
    wrong = [np.mean([low > 0 or high < 0 for low, high in ends]) for ends in (few, many)]
    assert wrong[0] < 0.02 and wrong[1] > 0.1
    scores = [drawn_scores(rng, images=20, seed_spread=0.0, arm_image_spread=1.2) for _ in range(300)]
    alone = [ttest_1samp((one[1] - one[0]).mean(axis=1), 0).pvalue < 0.05 for one in scores]
    assert np.mean(alone) > 0.12


def test_p_value_and_interval_say_the_same() -> None:
    rng = np.random.default_rng(5)
    found = [difference(drawn_scores(rng, (0, 0.4), seeds=4, images=20)).mean for _ in range(100)]
    found += [
        CrossedMean(value, 0.0, 1.0, images, -1.0, 1.0) for value in (-1, 0.5, 1) for images in range(9)
    ]
    for one in found:
        ends = one.interval()
        assert ends.low <= one.value <= ends.high
        assert (one.p_value < 0.05) == (ends.low > 0 or ends.high < 0), one


def test_where_all_say_the_same_intervals_are_exact_and_not_empty() -> None:
    nothing = difference(np.zeros((2, 4, 12))).mean
    assert (nothing.value, nothing.p_value) == (0, 1)
    gain = PairedGains(
        {"all": np.ones(12, dtype=bool)}, np.zeros(12, dtype=int), list("aabbccddeeff"), seed=0
    ).gain("all")
    assert nothing.interval() == pytest.approx((gain.low, gain.high))
    everything = difference(np.stack([np.zeros((4, 12)), np.ones((4, 12))])).mean
    assert everything.p_value == pytest.approx(binomtest(6, 6).pvalue)
    assert everything.interval().low > 0 and everything.interval().high == 1


def test_an_error_of_rounding_alone_is_none() -> None:
    """Seeds agree in their means and, on average, not in what they get right: the variance is 0 but for rounding."""
    scores = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 1.0]])
    found = seed_means(scores, np.zeros(3, dtype=int), np.arange(3)).mean
    assert found.interval().low < 0.15 and found.interval().high > 0.75


def test_one_image_says_nothing_about_others() -> None:
    one = difference(np.stack([np.zeros((4, 2)), np.ones((4, 2))])).mean
    assert one.p_value == 1 and one.interval() == (-1, 1) and one.visible() == 1
