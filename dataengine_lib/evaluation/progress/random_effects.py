"""How much several estimates differ beyond chance (step 1: error rates of types, and what they gain per QA)."""

from typing import NamedTuple

import numpy as np


class RandomEffects(NamedTuple):
    """The mean of the true values, and the variance between them (0 when chance alone explains the differences)."""

    mean: float
    between: float


def random_effects(values: np.ndarray, variances: np.ndarray) -> RandomEffects:
    """Of estimates `(n,)` with positive sampling variances `(n,)`.

    Source: DerSimonian and Laird 1986, the moment estimator of random-effects meta-analysis.
    """
    # inverse variances: a value that is known well counts for more
    weights = 1 / variances
    mean = (weights @ values) / weights.sum()
    # Q - (n - 1), divided by the factor that makes it an unbiased estimate of the variance between the true values
    freedom = weights.sum() - (weights**2).sum() / weights.sum()
    excess = weights @ (values - mean) ** 2 - (len(values) - 1)
    # a single value tells nothing of the variance between values, and `freedom` is 0 then
    between = max(0.0, float(excess / freedom)) if len(values) > 1 else 0.0
    weights = 1 / (variances + between)
    return RandomEffects(float((weights @ values) / weights.sum()), between)
