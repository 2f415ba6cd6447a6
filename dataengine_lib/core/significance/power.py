"""How small a gain a comparison can show, and how many questions a wished one needs (`dataengine plan`)."""

from collections.abc import Sequence

import numpy as np

from dataengine_lib.core.significance.sign_flip import ALPHA

DISCORDANCE = (
    0.2  # share of answers that change when nothing improves; in the playground's rounds 0.0 to 0.45
)
POWER = 0.8  # the usual aim (Cohen 1988)
ALIKE = 0.1  # correlation of the changes of two questions about one image; in the playground nearly 0
_SURE = 9.0  # standard deviations, outside which numbers of changed answers are not counted
_MOST_QUESTIONS = 10_000_000


def power(gain: float, questions: float, alpha: float = ALPHA, discordance: float = DISCORDANCE) -> float:
    """The probability that a true `gain` (0 to 1) is called real on so many independent questions.

    `discordance` of the answers change without any gain, half of them for the better; the gain comes on top. `alpha` is
    the level of the test; of the first of m types after Holm it is 0.05 / m. The number of changed answers is binomial,
    and given that number `sign_flip` is an exact binomial test, so the power is a sum over both.
    Source: the exact unconditional power of McNemar's test (Miettinen 1968, Duffy 1984).
    """
    from scipy.stats import binom

    number = int(questions)
    fixed, broken = discordance / 2 + gain, discordance / 2
    changing = min(1.0, fixed + broken)
    if number < 1 or changing == 0:
        return 0.0
    middle, spread = number * changing, _SURE * np.sqrt(number * changing * (1 - changing)) + 1
    changed = np.arange(max(1, int(middle - spread)), min(number, int(middle + spread) + 1) + 1)
    # the most answers for the worse with which the test still rejects; -1 where it never does
    limit = binom.ppf(alpha / 2, changed, 0.5)
    limit = np.where(binom.cdf(limit, changed, 0.5) <= alpha / 2, limit, limit - 1)
    share_fixed = min(1.0, fixed / changing)
    rejected = binom.cdf(limit, changed, 1 - share_fixed)
    return float((binom.pmf(changed, number, changing) * np.where(limit < 0, 0.0, rejected)).sum())


def smallest_gain(
    questions: float, alpha: float = ALPHA, discordance: float = DISCORDANCE, wanted: float = POWER
) -> float | None:
    """The smallest true gain (0 to 1) that is called real with probability `wanted`; None where none is."""
    largest = 1 - discordance
    if power(largest, questions, alpha, discordance) < wanted:
        return None
    low, high = 0.0, largest
    while high - low > 1e-4:  # a hundredth of a point
        middle = (low + high) / 2
        low, high = (
            (low, middle) if power(middle, questions, alpha, discordance) >= wanted else (middle, high)
        )
    return high


def questions_needed(
    gain: float, alpha: float = ALPHA, discordance: float = DISCORDANCE, wanted: float = POWER
) -> int | None:
    """How many independent questions show a true `gain` with probability `wanted`; None for more than ten million.

    Power falls a little where one more question does not change the test's limit, so this is exact to a few questions.
    """
    low, high = 0, 1
    while power(gain, high, alpha, discordance) < wanted:
        low, high = high, 2 * high
        if high > _MOST_QUESTIONS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(gain, middle, alpha, discordance) >= wanted else (middle, high)
    return high


def independent_questions(per_image: Sequence[int], alike: float = ALIKE) -> float:
    """As many independent questions as say as much as these, `per_image` of which are about one image.

    `alike` is the correlation within an image. Source: the design effect of clusters (Kish 1965, section 5.4).
    """
    counts = np.asarray(per_image, dtype=float)
    if not counts.sum():
        return 0.0
    return float(counts.sum() / (1 + ((counts**2).sum() / counts.sum() - 1) * alike))
