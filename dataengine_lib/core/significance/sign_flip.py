"""A paired test by images and a correction for several tests (step 6, studies): is a gain more than chance?"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

ALPHA = 0.05  # the largest p-value, after correction, of what is called real
_MOST_EXACT = 2_000  # images that changed, above which the sum is normal to three digits of the p-value
Key = TypeVar("Key", bound=Hashable)  # the name of a test in its family
# steps a whole: halves are of a difference of two gains, tenths and thirtieths of scores of open-ended questions
_PARTS = (1, 2, 10, 30)
_LATTICE = 20_000  # steps that the sum of all sizes is divided into where none of these fits
_ROUNDED = 1e-3  # of a step: scores have six decimals


def sign_flip(sums: np.ndarray) -> float:
    """Two-sided p-value of "before and after are exchangeable, image by image"; 1 when nothing changed.

    `sums` `(images,)` adds up after minus before over each image's questions; the parts may be fractions. Under the
    hypothesis each image's sum had the other sign as often, whatever its questions have in common, so this holds for
    any number of questions an image. The distribution of the total over all signs is exact, and with one question an
    image, right or wrong, it is McNemar's exact test. Halves, tenths and thirtieths are exact as well; other fractions are
    rounded to a lattice, which keeps the test valid: the rounding is odd. Above 2,000 changed images it is normal.
    Source: Fisher's randomisation test of paired differences (1935), with images as the units that are randomised
    (Gail, Mark, Carroll, Green and Pee 1996).
    """
    changed = np.asarray(sums, dtype=float)
    changed = changed[changed != 0]
    if not len(changed):
        return 1.0
    if len(changed) > _MOST_EXACT:
        from scipy.stats import norm

        return float(2 * norm.sf(abs(changed.sum()) / np.sqrt((changed**2).sum())))
    steps = _in_steps(changed)
    return _exact_tail(np.abs(steps), abs(int(steps.sum())))


def _in_steps(changed: np.ndarray) -> np.ndarray:
    """The sums as whole numbers of the coarsest step that holds every one of them, or else of a fine one."""
    finest = np.abs(changed).sum() / _LATTICE
    for parts in _PARTS:
        scaled = changed * parts
        steps = np.rint(scaled)
        # a finer step would take long, and rounding may not lose what the finest step would keep
        fits = parts == 1 or parts * finest <= 1
        if fits and (np.abs(steps - scaled) <= min(_ROUNDED, parts * finest / 2)).all():
            return steps.astype(int)
    return np.rint(changed / finest).astype(int)


def _exact_tail(sizes: np.ndarray, observed: int) -> float:
    """How often the sum of `sizes` with random signs is `observed` or more, in either direction."""
    from scipy.stats import binom

    # distribution[t]: probability that the images with a plus add up to t
    distribution = np.ones(1)
    for size, images in zip(*np.unique(sizes[sizes > 0], return_counts=True), strict=True):
        # of images with the same size, a binomial number has a plus
        pluses = np.zeros(size * images + 1)
        pluses[::size] = binom.pmf(np.arange(images + 1), images, 0.5)
        distribution = np.convolve(distribution, pluses)
    # pluses add up to t and minuses to the rest
    total = 2 * np.arange(len(distribution)) - (len(distribution) - 1)
    return min(1.0, float(distribution[np.abs(total) >= observed].sum()))


def smallest_p(images: int) -> float:
    """The smallest p-value that `sign_flip` can give for so many images: that of the same change in each."""
    return min(1.0, 2.0 ** (1 - images))


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """The p-values of a family of tests, corrected so that the family's false alarms are limited.

    Calling real what is at most 0.05 afterwards calls anything real that is not in at most 5 % of families, however
    the tests depend on each other. Source: Holm 1979, as adjusted p-values.
    """
    corrected: dict[Key, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        # the smallest is multiplied by the size of the family, the next by one less; none is below the one before
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - place)))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def equals_p(p_value: float) -> str:
    """A p-value as a sentence or a cell shows it: `= 0.0312`, `< 0.0001`."""
    return f"= {p_value:.4f}" if p_value >= 0.0001 else "< 0.0001"
