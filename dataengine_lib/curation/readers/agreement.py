"""Step 4: how well several readers agree with one another on the same questions, beyond chance."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dataengine_lib.core.statistics import Z_95


class Agreement(msgspec.Struct, frozen=True):
    """Agreement of `readers` on the `questions` that all of them were asked and answered.

    `share` is the mean share of pairs of readers that name the same choice, `kappa` the same beyond chance: 0 is
    chance, 1 perfect, negative worse than chance; `low` to `high` its 95 % interval. `kappa` is None where chance
    alone would agree always (all answers name one letter) or nothing was answered.
    """

    readers: int
    questions: int
    share: float
    kappa: float | None
    low: float
    high: float


def fleiss_kappa(counts: np.ndarray, images: Sequence[str]) -> Agreement:
    """Fleiss' kappa of `counts`, `(questions, categories)`: how many readers put each question into each category.

    All rows add up to the same number of readers, at least two; else ValueError. `images` names each question's image.
    The interval is kappa ± 1.96 standard errors of the jackknife over images, whose questions are not independent;
    without any disagreement it is the exact one for no image with one. With fewer than two images it is (-1, 1).
    Source: Fleiss 1971, Measuring nominal scale agreement among many raters; Efron and Tibshirani 1993, chapter 11.
    """
    counts = np.asarray(counts, dtype=float)
    total = len(counts)
    if not total:
        return Agreement(0, 0, 0.0, None, -1.0, 1.0)
    readers = int(counts[0].sum())
    if readers < 2 or (counts.sum(axis=1) != readers).any():
        raise ValueError("every question needs the answers of the same two or more readers")
    # of each question, the share of the pairs of readers that agree
    pairs = ((counts**2).sum(axis=1) - readers) / (readers * (readers - 1))
    names, image = np.unique(np.asarray(images, dtype=str), return_inverse=True)
    # by image: the sum of `pairs`, the number of questions, and the counts of the categories
    sums = np.zeros((len(names), 2 + counts.shape[1]))
    np.add.at(sums, image, np.column_stack([pairs, np.ones(total), counts]))
    whole = sums.sum(axis=0)
    share, kappa = float(pairs.mean()), float(_kappa(whole[None], readers)[0])
    if np.isnan(kappa):
        return Agreement(readers, total, round(share, 4), None, -1.0, 1.0)
    low, high = -1.0, 1.0
    if len(names) > 1:
        left_out = _kappa(whole - sums, readers)
        left_out = left_out[~np.isnan(left_out)]
        spread = (len(names) - 1) / len(names) * ((left_out - left_out.mean()) ** 2).sum()
        error = float(np.sqrt(spread))
        low, high = max(-1.0, kappa - Z_95 * error), min(1.0, kappa + Z_95 * error)
    if share == 1:
        # Clopper-Pearson's limit of a share of agreeing images seen always: the share s with s^images = 0.025
        chance = 1 - (1 - 0.025 ** (1 / len(names))) / (1 - _chance(whole[None], readers)[0])
        low, high = max(-1.0, float(chance)), 1.0
    return Agreement(readers, total, *(round(value, 4) for value in (share, kappa, low, high)))


def _kappa(sums: np.ndarray, readers: int) -> np.ndarray:
    """Kappa of each row of `sums`: the sum of the questions' agreement, their number, the counts of the categories."""
    chance = _chance(sums, readers)
    with np.errstate(invalid="ignore", divide="ignore"):
        # 0 / 0 where all answers fall into one category
        return (sums[:, 0] / sums[:, 1] - chance) / np.where(chance < 1 - 1e-12, 1 - chance, np.nan)


def _chance(sums: np.ndarray, readers: int) -> np.ndarray:
    """The agreement that readers reach who draw from the frequencies of the categories alone."""
    with np.errstate(invalid="ignore", divide="ignore"):
        frequencies = sums[:, 2:] / (sums[:, 1:2] * readers)
    result: np.ndarray = (frequencies**2).sum(axis=1)
    return result
