"""Step 1: does the student prefer a letter, and do its answers stay the same when options are reordered?"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from dataengine_lib.core.records import LETTERS, Answer
from dataengine_lib.core.statistics import Z_95, Gain
from dataengine_lib.evaluation.paired.scores import Share, paired_change

_MIN_EXPECTED_COUNT = 5.0  # the usual limit (Cochran 1954) for using the chi-square distribution
_MONTE_CARLO_DRAWS = 9_999  # with the observed counts themselves 10,000


class LetterUse(msgspec.Struct, frozen=True):
    """One letter: how many questions offer it, how often it was chosen, and its accuracy where it is right.

    `wrong` counts the wrong answers that name it; `expected` is the expected number, with a 95 % range, if all wrong
    letters of a question were equally likely.
    """

    letter: str
    offered: int
    chosen: int
    accuracy: Share
    wrong: int
    expected: float
    expected_low: float
    expected_high: float


class LetterBias(msgspec.Struct, frozen=True):
    """Letters over all answers; `p_value` is of "no letter is preferred", None where it cannot be tested.

    `unread` answers name no letter, `wrong` ones name a wrong letter. `method` is chi-square or Monte Carlo;
    `statistic` has `freedom` degrees of freedom.
    """

    questions: int
    unread: int
    letters: list[LetterUse]
    wrong: int
    statistic: float | None
    freedom: int
    p_value: float | None
    method: str


class Consistency(msgspec.Struct, frozen=True):
    """Questions that were asked with the options in reverse order as well.

    `same` counts answers that name the same option both times, `robust` those that are right both times, `unread`
    those that name no option at least once. `change` is the accuracy in reverse minus that as asked, with a paired
    bootstrap interval over images; `p_value` is of a sign-flip test over images.
    """

    questions: int
    unread: int
    same: Share
    as_asked: Share
    in_reverse: Share
    robust: Share
    change: Gain
    p_value: float


def letter_bias(answers: Sequence[Answer], seed: int = 0) -> LetterBias:
    """How often each letter is chosen, and a test whether some are preferred beyond what the right ones explain.

    Only wrong answers are tested: a right one names its letter for a reason. Given the right letter, a student
    without a preference takes each wrong letter equally often, so the counts O of wrong letters have a mean E and a
    covariance V that are sums over questions, and (O - E)' V^-1 (O - E) is chi-square. Where an E is below 5, the
    statistic is compared with its values in draws from that null hypothesis (`seed`) instead. Questions with two
    options have a single wrong letter, which says nothing.
    Source: the generalised Mantel-Haenszel statistic (Landis, Heyman and Koch 1978); a stratum is the questions with
    the same number of choices and the same right letter.
    """
    size = max((len(answer.choices) for answer in answers), default=0)  # letters
    # unread answers (-1) name no letter, so they are left out as right ones are
    wrong = [
        answer for answer in answers if answer.predicted_choice_idx not in (-1, answer.correct_choice_idx)
    ]
    # questions of a stratum have the same distribution of wrong letters under the null hypothesis
    strata = Counter((len(answer.choices), answer.correct_choice_idx) for answer in wrong)
    observed = np.bincount([answer.predicted_choice_idx for answer in wrong], minlength=size)
    expected, covariance = _null_moments(strata, size)
    # the counts of a stratum add up to its size, so the covariance is singular: rank and pseudo-inverse
    freedom = int(np.linalg.matrix_rank(covariance, hermitian=True)) if size else 0
    statistic, p_value, method = None, None, ""
    if freedom:
        inverse = np.linalg.pinv(covariance, hermitian=True)
        value = float(_quadratic_form(observed - expected, inverse))
        statistic = round(value, 4)
        # E is 0 for a letter that no wrong answer could name; the limit is not about it
        if expected[expected > 0].min() >= _MIN_EXPECTED_COUNT:
            from scipy.stats import chi2

            p_value, method = round(float(chi2.sf(value, freedom)), 4), "chi-square"
        else:
            # V is that of the null hypothesis: one inverse serves the observed counts and all draws
            drawn = _quadratic_form(_null_draws(strata, size, seed) - expected, inverse)
            as_large = int((drawn >= value - 1e-9).sum())  # despite rounding errors
            # the observed counts are one of the draws, so that the p-value is never 0
            p_value, method = round((1 + as_large) / (1 + _MONTE_CARLO_DRAWS), 4), "Monte Carlo"
    spread = Z_95 * np.sqrt(np.diag(covariance))
    return LetterBias(
        questions=len(answers),
        unread=sum(answer.predicted_choice_idx < 0 for answer in answers),
        letters=[
            _letter_use(answers, place, int(observed[place]), float(expected[place]), float(spread[place]))
            for place in range(size)
        ],
        wrong=len(wrong),
        statistic=statistic,
        freedom=freedom,
        p_value=p_value,
        method=method,
    )


def _letter_use(
    answers: Sequence[Answer], place: int, wrong: int, expected: float, spread: float
) -> LetterUse:
    right = [answer for answer in answers if answer.correct_choice_idx == place]
    return LetterUse(
        letter=LETTERS[place],
        offered=sum(place < len(answer.choices) for answer in answers),
        chosen=sum(answer.predicted_choice_idx == place for answer in answers),
        accuracy=Share.by_image([answer.predicted_choice_idx == place for answer in right], right),
        wrong=wrong,
        expected=round(expected, 4),
        expected_low=round(max(0.0, expected - spread), 4),
        expected_high=round(expected + spread, 4),
    )


def _wrong_letters(choices: int, right: int, size: int) -> np.ndarray:
    """`(size,)`: the probability of each letter for a wrong answer without a preference."""
    # four choices, B right: [1/3, 0, 1/3, 1/3]
    shares = np.zeros(size)
    shares[:choices] = 1 / (choices - 1)
    shares[right] = 0
    return shares


def _null_moments(strata: Counter[tuple[int, int]], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(size,)` and covariance `(size, size)` of the letters' counts when none is preferred."""
    mean, covariance = np.zeros(size), np.zeros((size, size))
    for (choices, right), count in strata.items():
        shares = _wrong_letters(choices, right, size)
        mean += count * shares
        # of a multinomial draw: diag(p) - p p'
        covariance += count * (np.diag(shares) - np.outer(shares, shares))
    return mean, covariance


def _null_draws(strata: Counter[tuple[int, int]], size: int, seed: int) -> np.ndarray:
    """`(draws, size)`: counts of letters drawn without a preference."""
    rng, total = np.random.default_rng(seed), np.zeros((_MONTE_CARLO_DRAWS, size))
    # sorted, so that the draws do not depend on the order of the answers
    for (choices, right), count in sorted(strata.items()):
        total += rng.multinomial(count, _wrong_letters(choices, right, size), size=_MONTE_CARLO_DRAWS)
    return total


def _quadratic_form(deviation: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """`(...,)`: d' V^-1 d of each row of `deviation` `(..., size)`."""
    return np.einsum("...i,ij,...j->...", deviation, inverse, deviation)


def consistency(answers: Sequence[Answer], seed: int = 0) -> Consistency | None:
    """How the answers change when the options are reversed; None when no question was asked both ways.

    An answer that names no option is wrong, and not the same as any other. `seed` is of the bootstrap.
    """
    both = [answer for answer in answers if answer.reversed_choice_idx is not None]
    if not both:
        return None
    as_asked = np.array([answer.predicted_choice_idx for answer in both])
    in_reverse = np.array([answer.reversed_choice_idx for answer in both])
    right = np.array([answer.correct_choice_idx for answer in both])
    # 1: right in reverse order only, -1: right as asked only, 0: no change
    change = (in_reverse == right).astype(int) - (as_asked == right)
    changed = paired_change(change, both, seed)
    return Consistency(
        questions=len(both),
        unread=int(((as_asked < 0) | (in_reverse < 0)).sum()),
        same=Share.by_image((as_asked == in_reverse) & (as_asked >= 0), both),
        as_asked=Share.by_image(as_asked == right, both),
        in_reverse=Share.by_image(in_reverse == right, both),
        robust=Share.by_image((as_asked == right) & (in_reverse == right), both),
        change=changed.gain,
        p_value=changed.p_value,
    )
