"""Step 1: intervals of scores that are no simple share, by drawing whole images with replacement."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

_DRAWS = 2_000
_AT_ONCE = 2_000_000  # drawn counts held at a time
_LEVEL = 95  # percent


class Estimate(msgspec.Struct, frozen=True):
    """A score with its 95 % interval; `value` is None where it has none, such as a precision without any yes."""

    value: float | None
    low: float
    high: float


def drawn_sums(sums: np.ndarray, seed: int) -> np.ndarray:
    """`(draws, k)`: the columns' sums over as many images as there are, drawn with replacement."""
    rng, count = np.random.default_rng(seed), len(sums)
    step = max(1, _AT_ONCE // max(1, count))
    parts = [
        rng.multinomial(count, np.full(count, 1 / count), size=min(step, _DRAWS - at)) @ sums
        for at in range(0, _DRAWS, step)
    ]
    return np.concatenate(parts)


def estimate(sums: np.ndarray, score: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> Estimate:
    """`score` of `(n, k)` sums gives `(n,)` values, NaN where there is none; the percentile bootstrap of images.

    Source: Efron and Tibshirani 1993, with images as the units that are drawn (Field and Welsh 2007).
    """
    return estimates(sums, [score], seed)[0]


def estimates(
    sums: np.ndarray, scores: Sequence[Callable[[np.ndarray], np.ndarray]], seed: int = 0
) -> list[Estimate]:
    """The `estimate` by each of `scores`, of the same drawn images."""
    if not len(sums):
        return [Estimate(None, 0.0, 1.0)] * len(scores)
    drawn = drawn_sums(sums, seed)
    found = []
    for score in scores:
        value = score(sums.sum(axis=0)[None])[0]
        found.append(Estimate(None, 0.0, 1.0) if np.isnan(value) else interval_of(float(value), score(drawn)))
    return found


def interval_of(value: float, drawn: np.ndarray) -> Estimate:
    """The estimate with the percentiles of `drawn` values, of which NaN ones are left out; four decimals."""
    kept = drawn[~np.isnan(drawn)]
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(kept, [tail, 100 - tail]) if len(kept) else (value, value)
    return Estimate(round(value, 4), round(float(low), 4), round(float(high), 4))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """`above / below`, NaN where `below` is 0."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
