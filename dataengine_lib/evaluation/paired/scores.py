"""Step 1: the same questions asked in two ways: the change of accuracy, with an interval and a test over images."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from dataengine_lib.core.records import Answer, image_name
from dataengine_lib.core.significance.sign_flip import holm
from dataengine_lib.core.statistics import Gain, Interval, PairedGains, clustered_wilson, wilson


class Share(msgspec.Struct, frozen=True):
    """`count` of `total` with its 95 % Wilson interval; `share` is None where nothing was asked. Four decimals."""

    count: int
    total: int
    share: float | None
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> "Share":
        """Wilson's own interval, of answers that do not depend on each other."""
        return cls._rounded(count, total, wilson(count, total))

    @classmethod
    def by_image(cls, counted: np.ndarray | Sequence[bool], answers: Sequence[Answer]) -> "Share":
        """The share of `answers` that `counted` `(questions,)` marks; the interval is clustered by image."""
        marks = np.asarray(counted, dtype=bool)
        ends = clustered_wilson(marks.astype(float), [image_of_answer(answer) for answer in answers])
        return cls._rounded(int(marks.sum()), len(marks), ends)

    @classmethod
    def _rounded(cls, count: int, total: int, ends: Interval) -> "Share":
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
    return image_name(answer.image_id, answer.image_path)


class Mean(msgspec.Struct, frozen=True):
    """A mean score with its 95 % Wilson interval, clustered by image; all in [0, 1]."""

    mean: float
    low: float
    high: float


class PairedScores(msgspec.Struct, frozen=True):
    """The same questions asked in two ways: both mean scores, and second minus first, paired.

    `p_value` is of a sign-flip test over images, `p_holm` the same after Holm's correction over what was compared with it.
    """

    first: Mean
    second: Mean
    change: Gain
    p_value: float
    p_holm: float


def paired_scores(
    first: np.ndarray,
    second: np.ndarray,
    answers: Sequence[Answer],
    groups: Mapping[str, np.ndarray],
    seed: int,
) -> dict[str, PairedScores]:
    """Scores `(questions,)` in [0, 1] of the questions of `answers`, compared in each of `groups`.

    `groups` maps a name to a boolean mask `(questions,)`; groups without questions are left out. Holm's correction is over
    all groups. `seed` is of the bootstrap. Numbers have four decimals.
    """
    groups = {name: mask for name, mask in groups.items() if mask.any()}
    if not groups:
        return {}
    images = np.array([image_of_answer(answer) for answer in answers], dtype=object)
    gains = PairedGains(groups, second - first, list(images), seed=seed)
    p_values = {name: gains.p_value([name]) for name in groups}
    corrected = holm(p_values)
    return {
        name: PairedScores(
            _mean(first[mask], images[mask]),
            _mean(second[mask], images[mask]),
            rounded(gains.gain(name)),
            round(p_values[name], 4),
            round(corrected[name], 4),
        )
        for name, mask in groups.items()
    }


def mean_with_ends(scores: np.ndarray, images: Sequence[str]) -> tuple[float, float, float]:
    """The mean of `scores` `(questions,)`, and the ends of its interval, clustered by image."""
    return float(scores.mean()), *clustered_wilson(scores, images)


def _mean(scores: np.ndarray, images: Sequence[str]) -> Mean:
    return Mean(*(round(part, 4) for part in mean_with_ends(scores, images)))


def answer_scores(answers: Sequence[Answer]) -> np.ndarray:
    """`(questions,)`: 1 or 0 where an option was chosen, fractions for open-ended questions."""
    return np.array([answer.score for answer in answers], dtype=float)


def mean_by_image(answers: Sequence[Answer]) -> Mean:
    """The mean score of some answers with its interval, clustered by image."""
    return _mean(answer_scores(answers), [image_of_answer(one) for one in answers])
