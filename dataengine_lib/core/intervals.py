"""The interval beside every accuracy."""

from typing import NamedTuple


class Interval(NamedTuple):
    """A share's lower and upper end."""

    low: float
    high: float


def wilson(correct: int, total: int, level: float = 0.95) -> Interval:
    """Wilson score interval of an accuracy; (0, 1) when nothing was asked.

    Source: Wilson 1927, as in scipy.stats.binomtest(...).proportion_ci.
    """
    if total == 0:
        return Interval(0.0, 1.0)
    from scipy.stats import binomtest

    found = binomtest(correct, total).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high))
