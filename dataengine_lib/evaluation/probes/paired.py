"""Step 1: the same questions asked in two ways: the change of accuracy, with an interval and a test over images."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dataengine_lib.core.records import UNKNOWN_IMAGE, Answer
from dataengine_lib.core.statistics import Gain, PairedGains, wilson


class Share(msgspec.Struct, frozen=True):
    """`count` of `total` with its 95 % Wilson interval; `share` is None where nothing was asked."""

    count: int
    total: int
    share: float | None
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> "Share":
        """Rounded to four decimals."""
        ends = wilson(count, total)
        share = round(count / total, 4) if total else None
        return cls(count, total, share, round(ends.low, 4), round(ends.high, 4))


class Change(msgspec.Struct, frozen=True):
    """A change with its paired bootstrap interval over images, and the p-value of a sign-flip test over images."""

    gain: Gain
    p_value: float


def paired_change(difference: np.ndarray, answers: Sequence[Answer], seed: int) -> Change:
    """The mean of `difference` `(questions,)`, in [-1, 1], whose questions are those of `answers`; four decimals.

    Whole images are drawn, as answers about one image are not independent. `seed` is of the bootstrap.
    """
    everything = {"all": np.ones(len(answers), dtype=bool)}
    gains = PairedGains(everything, difference, [image_of_answer(answer) for answer in answers], seed=seed)
    return Change(rounded(gains.gain("all")), round(gains.p_value(["all"]), 4))


def rounded(gain: Gain) -> Gain:
    """A gain with four decimals."""
    return msgspec.structs.replace(
        gain, gain=round(gain.gain, 4), low=round(gain.low, 4), high=round(gain.high, 4)
    )


def image_of_answer(answer: Answer) -> str:
    """A name of the answer's image: its id, or its path where it has none."""
    return str(answer.image_id) if answer.image_id != UNKNOWN_IMAGE else answer.image_path
