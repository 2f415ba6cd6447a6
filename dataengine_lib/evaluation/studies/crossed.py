"""Means over seeds and questions, with intervals that hold for other seeds and for other images.

Every seed answers the same questions, so seeds and images are crossed, not nested. This is the layout of reader studies
in radiology, where several readers (here seeds) judge the same cases (images) in each modality (arm), and their
analysis is used: Obuchowski and Rockette 1995, a two-way mixed model of moments, with the degrees of freedom of Hillis
2007. Of a mean `m` of `S` seeds, var(m) = s2 / S + c, where s2 is the variance of the seeds' means, and c the
covariance of two seeds' means, which comes from the images that they share. c is estimated from the images' parts
directly, so unequal numbers of questions an image and means of ratios are no special case.

Two other ways were measured on made-up answers (`tests/evaluation/studies/test_crossed.py`). The bootstrap of seeds and
images (the pigeonhole bootstrap, Owen 2007) counts the noise of single answers three times and finds little, unless
seeds differ much, and then its percentiles of 8 seeds are too narrow. A t test of the seeds' means takes the images for
the only ones that could have been asked. A logistic mixed model would need a package and minutes for the same answer.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dataengine_lib.core.statistics import Interval

_NO_ERROR = 1e-6  # standard errors below it are rounding: no mean over a million answers is known so well


@dataclass(frozen=True, eq=False)
class SeedMeans:
    """A mean of answers in each seed, and what each image adds to it.

    `by_seed` is `(seeds,)`. `parts` `(seeds, images)` is each image's sum of weighted deviations from the mean of its
    group; `asked` `(images,)` tells the images that have a question in it, and `fewest` how many of them the smallest
    group has. `lowest` and `highest` bound the mean.
    """

    by_seed: np.ndarray
    parts: np.ndarray
    asked: np.ndarray
    fewest: int
    lowest: float = 0.0
    highest: float = 1.0

    def __sub__(self, other: "SeedMeans") -> "SeedMeans":
        """The difference, seed by seed and image by image; both must have the same seeds and images."""
        return SeedMeans(
            self.by_seed - other.by_seed,
            self.parts - other.parts,
            self.asked | other.asked,
            min(self.fewest, other.fewest),
            self.lowest - other.highest,
            self.highest - other.lowest,
        )

    @cached_property
    def mean(self) -> "CrossedMean":
        """The mean over the seeds, with its standard error over other seeds and other images."""
        value = float(self.by_seed.mean())
        seeds, images = len(self.by_seed), int(self.asked.sum())
        unknown = images < 2
        small = images / max(1, images - 1)  # as in a variance: the deviations are from the same images' mean
        own = float((self.parts**2).sum())  # of each seed with itself
        if seeds == 1:
            # nothing is known of other seeds: the interval is that of this seed's questions
            of_seeds, of_images = 0.0, small * own
        else:
            both = float((self.parts.sum(axis=0) ** 2).sum()) - own  # of each seed with each other
            of_seeds = float(self.by_seed.var(ddof=1)) / seeds
            of_images = max(0.0, small * both / (seeds * (seeds - 1)))
        error = float(np.sqrt(of_seeds + of_images))
        if unknown or error < _NO_ERROR:
            return CrossedMean(value, 0.0, 1.0, 0 if unknown else self.fewest, self.lowest, self.highest)
        # Satterthwaite 1946, which is Hillis's rule where there are many images
        spread = of_seeds**2 / max(1, seeds - 1) + of_images**2 / (images - 1)
        return CrossedMean(
            value, error, (of_seeds + of_images) ** 2 / spread, self.fewest, self.lowest, self.highest
        )


class CrossedMean(NamedTuple):
    """A mean with its standard error and degrees of freedom; `images` of the smallest group, 0 where nothing is known.

    Where every seed and image says the same, the error is 0, which would look like certainty. The interval and the
    p-value are then exact ones of as many images that all say the same (Clopper and Pearson 1934).
    """

    value: float
    error: float
    freedom: float
    images: int
    lowest: float
    highest: float

    def interval(self, alpha: float = 0.05) -> Interval:
        """The interval of level 1 - alpha."""
        if self.error:
            half = self._quantile(1 - alpha / 2) * self.error
            return Interval(max(self.lowest, self.value - half), min(self.highest, self.value + half))
        # the largest share of images that say something else, of which none was seen
        other = self._unseen_share(alpha)
        return Interval(
            self.value - other * (self.value - self.lowest), self.value + other * (self.highest - self.value)
        )

    @property
    def p_value(self) -> float:
        """Two-sided, of "the mean is 0"; it is below alpha where the interval of level 1 - alpha leaves 0 out."""
        if self.error:
            from scipy.stats import t

            return float(2 * t.sf(abs(self.value) / self.error, self.freedom))
        if not self.images or abs(self.value) < _NO_ERROR:
            return 1.0
        # that alpha at which the exact interval ends at 0
        bound = -self.lowest if self.value > 0 else self.highest
        return min(1.0, 2 * (bound / (abs(self.value) + bound)) ** self.images)

    def visible(self, alpha: float = 0.05, power: float = 0.8) -> float:
        """The smallest true mean that a share of `power` of such studies would find to differ from 0 at level `alpha`."""
        if self.error:
            return float((self._quantile(1 - alpha / 2) + self._quantile(power)) * self.error)
        return self._unseen_share(alpha)

    def _quantile(self, share: float) -> float:
        from scipy.stats import t

        return float(t.ppf(share, self.freedom))

    def _unseen_share(self, alpha: float) -> float:
        """The rate r with (1 - r)^images = alpha / 2; 1 without images."""
        return float(1 - (alpha / 2) ** (1 / self.images)) if self.images else 1.0


def seed_means(
    correct: np.ndarray, groups: np.ndarray, images: np.ndarray, *, by_size: bool = False
) -> SeedMeans:
    """The mean of the groups' accuracies in each seed: the plain one, or `by_size` that of all questions together.

    `correct` is `(seeds, questions)`; `groups` `(questions,)` numbers each question's group, -1 for none, and `images`
    each question's image. The groups are strata: how many questions each has is not left to chance (Holt and Smith
    1979). Raises ValueError when no question has a group.
    """
    used = groups >= 0
    if not used.any():
        raise ValueError("no question has a group")
    # numbers of the groups that have questions, without gaps
    numbers, group = np.unique(groups[used], return_inverse=True)
    image, values = images[used], np.asarray(correct, dtype=float)[:, used]
    sizes = np.bincount(group)
    shares = sizes / len(group) if by_size else np.full(len(numbers), 1 / len(numbers))
    member = np.zeros((len(group), len(numbers)))
    member[np.arange(len(group)), group] = 1.0
    means = values @ member / sizes  # (seeds, groups)
    weighted = (values - means[:, group]) * (shares / sizes)[group]
    count = int(images.max()) + 1
    parts = np.stack([np.bincount(image, row, minlength=count) for row in weighted])
    fewest = min(len(np.unique(image[group == number])) for number in range(len(numbers)))
    asked = np.bincount(image, minlength=count) > 0
    return SeedMeans(means @ shares, parts, asked, fewest)
