"""Tests of the intervals beside accuracies."""

import math

import pytest
from scipy.stats import binomtest

from dataengine_lib.core.statistics import wilson


def test_wilson_is_the_published_formula() -> None:
    for correct, total in ((0, 10), (3, 7), (10, 10), (81, 263)):
        p, z = correct / total, 1.959963984540054
        middle = (p + z * z / (2 * total)) / (1 + z * z / total)
        half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
        assert wilson(correct, total) == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_wilson_is_scipys_bit_for_bit() -> None:
    for total in (1, 7, 50, 263, 100_003):
        for correct in {0, 1, total // 3, total - 1, total}:
            for level in (0.8, 0.95):
                expected = binomtest(correct, total).proportion_ci(level, method="wilson")
                assert wilson(correct, total, level) == (expected.low, expected.high)


def test_newcombes_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_the_interval_of_no_questions_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_another_level_is_another_width() -> None:
    narrow, wide = wilson(5, 10, 0.8), wilson(5, 10, 0.99)
    assert wide.low < narrow.low < 0.5 < narrow.high < wide.high
