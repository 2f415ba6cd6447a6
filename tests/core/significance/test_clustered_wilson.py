"""Tests of the intervals of accuracies whose questions share images: known cases and coverage."""

import numpy as np
import pytest

from dataengine_lib.core.statistics import clustered_wilson, wilson


def test_one_question_an_image_is_wilsons_interval() -> None:
    for right, total in ((0, 3), (1, 3), (81, 263), (20, 20)):
        scores, images = np.array([1] * right + [0] * (total - right)), [str(n) for n in range(total)]
        assert clustered_wilson(scores, images) == pytest.approx(wilson(right, total), abs=1e-12)
    assert clustered_wilson(np.array([]), []) == (0, 1)


def test_questions_that_are_all_alike_count_as_one_an_image() -> None:
    scores = np.repeat([1] * 12 + [0] * 8, 5)
    images = [str(n // 5) for n in range(100)]
    found, by_image, by_question = clustered_wilson(scores, images), wilson(12, 20), wilson(60, 100)
    # a little wider than by image, as how alike they are is estimated
    assert found.low < by_image.low < by_question.low < 0.6 < by_question.high < by_image.high < found.high
    assert found == pytest.approx(by_image, abs=0.02)


@pytest.mark.parametrize("right", [0, 1])
def test_all_right_or_all_wrong_is_known_by_its_images(right: int) -> None:
    # nine questions about three images say no more than three about three
    found = clustered_wilson(np.full(9, right), [str(n // 3) for n in range(9)])
    assert found == pytest.approx(wilson(3 * right, 3))
    one = clustered_wilson(np.array([1, 0, 0]), ["a", "a", "a"])
    assert one.low < 0.1 and one.high > 0.8


def test_fractions_are_known_no_better_than_right_and_wrong() -> None:
    halves = clustered_wilson(np.full(40, 0.5), [str(n) for n in range(40)])
    assert halves == pytest.approx(wilson(20, 40))
    assert halves.low < 0.5 < halves.high


@pytest.mark.parametrize(
    ("images", "each", "share", "alike"),
    [(3, 1, 0.5, 0.0), (10, 3, 0.05, 1.0), (19, 3, 0.3, 0.3), (19, 3, 0.9, 1.0), (60, 4, 0.5, 0.3)],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(
    images: int, each: int, share: float, alike: float
) -> None:
    rng, hits = np.random.default_rng(0), 0
    names = [str(n // each) for n in range(images * each)]
    for _ in range(300):
        own = rng.random((images, each)) < share
        shared = rng.random((images, 1)) < share
        # of an image's questions, all share one outcome where the image is drawn as alike
        right = np.where(rng.random((images, 1)) < alike, shared, own).ravel()
        found = clustered_wilson(right.astype(float), names)
        hits += found.low <= share <= found.high
    # 92 %: three standard errors of 300 draws below 95 %, and no method is better on few images
    assert hits / 300 >= 0.92
