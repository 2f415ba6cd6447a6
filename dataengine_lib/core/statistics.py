"""Step 6: is the later round really better? Figures for two rounds that answered the same questions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

DRAWS = 10_000
_CELLS = 4_000_000  # counts held in memory at a time


class Gain(msgspec.Struct, frozen=True):
    """Mean of after minus before with its 95 % interval, in shares of one, and what it rests on."""

    gain: float
    low: float
    high: float
    questions: int
    images: int


class PairedGains:
    """Gains of groups of questions, with percentile bootstrap intervals over images.

    `difference` is after minus before per question (-1, 0 or 1), `images` names each question's image,
    `groups` maps a name to a boolean mask over the questions. Questions of one image are not independent, so
    whole images are drawn with replacement, the same ones for every group. Where no question changed, every draw
    is zero, which would pass for certainty: the interval is then the exact binomial one for no change among as many
    images.
    """

    def __init__(
        self,
        groups: Mapping[str, np.ndarray],
        difference: np.ndarray,
        images: Sequence[str],
        *,
        seed: int,
        draws: int = DRAWS,
    ) -> None:
        self._place = {name: column for column, name in enumerate(groups)}
        masks = np.column_stack([np.asarray(mask, dtype=float) for mask in groups.values()])
        self._changed = np.abs(difference) @ masks
        per_image = _by_image(np.hstack([masks * difference[:, None], masks]), images)
        self._sums, self._sizes = np.hsplit(per_image, 2)
        totals = _resample(per_image, seed, draws)
        self._drawn_sums, self._drawn_sizes = np.hsplit(totals, 2)

    def gain(self, name: str) -> Gain:
        """The gain of one group; of a group without questions nothing is known: 0 in (-1, 1)."""
        return self.average([name])

    def average(self, names: Sequence[str]) -> Gain:
        """The plain average of several groups' gains: each group weighs the same.

        Groups without questions take no part; a draw that holds no question of a group is passed over.
        """
        columns = [self._place[name] for name in names if self._sizes[:, self._place[name]].any()]
        if not columns:
            return Gain(0.0, -1.0, 1.0, 0, 0)
        sums, sizes = self._sums[:, columns], self._sizes[:, columns]
        drawn_sums, drawn_sizes = self._drawn_sums[:, columns], self._drawn_sizes[:, columns]
        questions, images = int(sizes.sum()), int(sizes.any(axis=1).sum())
        if not self._changed[columns].any():
            most = 1 - 0.025 ** (1 / images)  # Clopper-Pearson's upper limit of a rate seen 0 times
            return Gain(0.0, -most, most, questions, images)
        held = (drawn_sizes > 0).all(axis=1)
        mean = float((sums.sum(axis=0) / sizes.sum(axis=0)).mean())
        low, high = np.quantile((drawn_sums[held] / drawn_sizes[held]).mean(axis=1), [0.025, 0.975])
        return Gain(mean, float(low), float(high), questions, images)


def _by_image(values: np.ndarray, images: Sequence[str]) -> np.ndarray:
    """`(images, columns)`: the questions' values added up image by image."""
    names, place = np.unique(np.asarray(images, dtype=str), return_inverse=True)
    added = np.zeros((len(names), values.shape[1]))
    np.add.at(added, place, values)
    return added


def _resample(per_image: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """`(draws, columns)`: totals over as many images as there are, drawn with replacement."""
    rng, count = np.random.default_rng(seed), len(per_image)
    step = max(1, _CELLS // max(1, count))
    parts = []
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = rng.integers(count, size=(rows, count)) + np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        parts.append(times @ per_image)
    return np.vstack(parts)


def mcnemar(fixed: int, broken: int) -> float:
    """Exact two-sided p-value of "fixing and breaking are equally likely"; 1 when nothing changed.

    Source: McNemar 1947, in its exact form: a binomial test of the questions whose answer changed.
    """
    from scipy.stats import binomtest

    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


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
