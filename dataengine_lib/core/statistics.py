"""Intervals and paired tests (steps 1, 4 and 6): is a share known well, is a later round really better?"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from dataengine_lib.core.significance.sign_flip import sign_flip

Z_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile: half width of a 95 % interval
BOOTSTRAP_DRAWS = 10_000
FEW_OF_TYPE = 10  # questions, below which an accuracy near a half is known to 26 points or worse
FEW_QUESTIONS = 50  # below it, an accuracy near a half is known to 13 points or worse
_EXACT_DIGITS = 9  # of a difference in points, far fewer than the 15 of its arithmetic
_ROUNDING = 1e-12  # below it, means differ by rounding alone
_COUNTS_IN_MEMORY = 4_000_000  # of 8 bytes each


class Interval(NamedTuple):
    """Lower and upper end of an interval of a share, both in [0, 1]."""

    low: float
    high: float


class Gain(msgspec.Struct, frozen=True):
    """Mean of after minus before with its 95 % interval, all in [-1, 1], and how many questions and images it has."""

    gain: float
    low: float
    high: float
    questions: int
    images: int


def wilson(correct: int, total: int, level: float = 0.95) -> Interval:
    """Wilson score interval of an accuracy; (0, 1) when nothing was asked.

    Source: Wilson 1927, as in scipy.stats.binomtest(...).proportion_ci.
    """
    if total == 0:
        return Interval(0.0, 1.0)
    # scipy.stats would take every start of a run most of a second to import; this is its arithmetic, bit for bit
    from scipy.special import ndtri

    z, share = float(ndtri(0.5 + 0.5 * level)), correct / total
    whole = 2 * (total + z**2)
    middle = (2 * total * share + z**2) / whole
    half = z / whole * math.sqrt(4 * total * share * (1 - share) + z**2)
    return Interval(middle - half if correct else 0.0, middle + half if correct < total else 1.0)


def clustered_wilson(scores: np.ndarray, images: Sequence[str], level: float = 0.95) -> Interval:
    """Wilson interval of the mean of `scores` `(questions,)`, in [0, 1], whose questions share images.

    The number of questions is divided by the design effect, estimated from the images, and by what the estimate itself
    is uncertain about (a ratio of Student quantiles); it never counts as more than the questions there are. Where all
    scores are 0 or all are 1, nothing tells how alike an image's questions are: they then count as fully alike.
    (0, 1) when nothing was asked. With one question an image, right or wrong, it is Wilson's interval.
    Sources: Korn and Graubard 1998 for the number; Franco, Little, Louis and Slud 2019 for Wilson's form with it.
    """
    from scipy.special import ndtri, stdtrit

    number = len(scores)
    if number == 0:
        return Interval(0.0, 1.0)
    per_image = summed_by_image(np.column_stack([scores, np.ones(number)]), images)
    sums, sizes = per_image.T
    mean, clusters = float(np.mean(scores)), len(sums)
    if mean in (0.0, 1.0) or clusters == 1:
        effective = number**2 / float((sizes**2).sum())
    else:
        # of the mean, with whole images as the units; then over that of as many independent questions
        variance = clusters / (clusters - 1) * float(((sums - mean * sizes) ** 2).sum()) / number**2
        effect = variance * (number - 1) / (mean * (1 - mean))
        quantiles = stdtrit(np.array([number - 1, clusters - 1]), (1 + level) / 2)
        uncertain = float((quantiles[0] / quantiles[1]) ** 2)
        effective = number * min(1.0, uncertain / effect) if effect else float(number)
    z = float(ndtri((1 + level) / 2))
    middle = (mean + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective) * math.sqrt(mean * (1 - mean) / effective + (z / (2 * effective)) ** 2)
    # rounding may leave the mean itself outside at 0 and 1
    return Interval(max(0.0, min(middle - half, mean)), min(1.0, max(middle + half, mean)))


def few_questions(number: int, of_what: str) -> str:
    """A warning when `number` questions say little about an accuracy; empty when there are enough.

    The half width is that of the 95 % Wilson interval of an accuracy of one half, in points.
    """
    if not 0 < number < FEW_QUESTIONS:
        return ""
    return (
        f"only {number} {of_what} question{'' if number == 1 else 's'}: "
        f"an accuracy on so few is known to about ±{half_width(number):.0f} points"
    )


def cannot_tell(questions: int) -> str:
    """`3 questions cannot tell`, the words beside every figure of so few."""
    return f"{questions:,} question{'' if questions == 1 else 's'} cannot tell"


def half_width(number: int) -> float:
    """Half of the 95 % Wilson interval of an accuracy of about one half on `number` questions, in points."""
    ends = wilson(number // 2, number)
    return 50 * (ends.high - ends.low)


def in_points(difference: float, digits: int = 1) -> str:
    """A difference of two shares (-1 to 1) in points, with its sign: `+8.3`; with 0 `digits` `+8`.

    Equal differences give the same text, however they were computed: 29/40 - 0/40 is 72.5 points and
    32/40 - 3/40 a bit of arithmetic more, which is rounded away first.
    """
    # + 0.0: no minus before a zero
    return f"{round(round(100 * difference, _EXACT_DIGITS), digits) + 0.0:+.{digits}f}"


def mcnemar(fixed: int, broken: int) -> float:
    """Exact two-sided p-value of "fixing and breaking are equally likely"; 1 when nothing changed.

    Source: McNemar 1947, in its exact form: a binomial test of the questions whose answer changed.
    """
    from scipy.stats import binomtest

    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def summed_by_image(values: np.ndarray, images: Sequence[str]) -> np.ndarray:
    """`(images, columns)`: the questions' values `(questions, columns)` added up by image, in the order of the names."""
    names, image = np.unique(np.asarray(images, dtype=str), return_inverse=True)
    added = np.zeros((len(names), values.shape[1]))
    # not `added[image] += values`, which would keep only one of an image's questions
    np.add.at(added, image, values)
    return added


def sign_flip_by_image(difference: np.ndarray, images: Sequence[str]) -> float:
    """`sign_flip` of after minus before `(questions,)` added up by image; 1 without questions."""
    return sign_flip(summed_by_image(difference[:, None], images)[:, 0])


class PairedGains:
    """Gains of groups of questions, with percentile bootstrap intervals over images.

    `groups` maps a name to a boolean mask `(questions,)`; `difference` `(questions,)` is after minus before, in [-1, 1];
    `images` names each question's image. Questions of one image are not independent, so whole images are drawn with
    replacement, the same ones for every group. Where all images changed alike, as where none did, every draw is the
    same, which would look like certainty: the interval is then the exact binomial one for no other image among as many.
    Source: paired cluster bootstrap (Efron and Tibshirani 1993, percentile interval), images as the clusters.
    """

    def __init__(
        self,
        groups: Mapping[str, np.ndarray],
        difference: np.ndarray,
        images: Sequence[str],
        *,
        seed: int,
        draws: int = BOOTSTRAP_DRAWS,
    ) -> None:
        self._column = {name: column for column, name in enumerate(groups)}
        masks = np.column_stack([np.asarray(mask, dtype=float) for mask in groups.values()])
        # per image and group: the sum of differences, and the number of questions
        per_image = summed_by_image(np.hstack([masks * difference[:, None], masks]), images)
        self._sums, self._sizes = np.hsplit(per_image, 2)
        totals = _bootstrap_totals(per_image, seed, draws)
        self._drawn_sums, self._drawn_sizes = np.hsplit(totals, 2)

    def gain(self, name: str) -> Gain:
        """The gain of one group; for a group without questions 0 in (-1, 1), since nothing is known."""
        return self.average([name])

    def average(self, names: Sequence[str]) -> Gain:
        """The plain average of several groups' gains: each group weighs the same.

        Groups without questions are ignored, and so are draws that hold no question of one of the groups.
        """
        columns = [self._column[name] for name in names if self._sizes[:, self._column[name]].any()]
        if not columns:
            return Gain(0.0, -1.0, 1.0, 0, 0)
        sums, sizes = self._sums[:, columns], self._sizes[:, columns]
        drawn_sums, drawn_sizes = self._drawn_sums[:, columns], self._drawn_sizes[:, columns]
        questions, images = int(sizes.sum()), int(sizes.any(axis=1).sum())
        # a draw without questions of one of the groups has no mean of it
        complete = (drawn_sizes > 0).all(axis=1)
        # the mean of each group, then the plain mean of these
        mean = float((sums.sum(axis=0) / sizes.sum(axis=0)).mean())
        drawn_means = (drawn_sums[complete] / drawn_sizes[complete]).mean(axis=1)
        low, high = np.quantile(drawn_means, [0.025, 0.975])
        if np.ptp(drawn_means) < _ROUNDING:
            # Clopper-Pearson's upper limit of a rate seen 0 times: the rate r with (1 - r)^images = 0.025
            limit = 1 - 0.025 ** (1 / images)
            # so many images may have changed otherwise, down to -1 or up to 1
            low, high = mean - limit * (1 + mean), mean + limit * (1 - mean)
        return Gain(mean, float(low), float(high), questions, images)

    def p_value(self, names: Sequence[str]) -> float:
        """`sign_flip` of the plain average of the groups' gains: of one group, or of several; 1 without questions."""
        columns = [self._column[name] for name in names if self._sizes[:, self._column[name]].any()]
        if not columns:
            return 1.0
        if len(columns) == 1:  # in whole numbers, where the differences are
            return sign_flip(self._sums[:, columns[0]])
        # what each image adds to the average
        return sign_flip((self._sums[:, columns] / self._sizes[:, columns].sum(axis=0)).mean(axis=1))


def _bootstrap_totals(per_image: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """`(draws, columns)`: totals over as many images as there are, drawn with replacement."""
    rng, count = np.random.default_rng(seed), len(per_image)
    # as many draws at a time as fit into memory
    step = max(1, _COUNTS_IN_MEMORY // max(1, count))
    parts = []
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        # each draw's images are numbered in a range of its own, so that one bincount counts them all
        drawn = rng.integers(count, size=(rows, count)) + np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        # times[d, i]: how often draw d holds image i
        parts.append(times @ per_image)
    return np.vstack(parts)
