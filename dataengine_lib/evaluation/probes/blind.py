"""Step 1: the same questions without the picture (`blind`): what is right there too is not answered by seeing."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dataengine_lib.core.records import NO_TYPE, Answer
from dataengine_lib.evaluation.paired.scores import PairedScores, paired_scores


class BlindScores(msgspec.Struct, frozen=True):
    """One split: `first` is the score without the picture, `second` the one with it.

    Holm's correction is over the types; overall is one hypothesis.
    """

    questions: int
    overall: PairedScores
    per_type: dict[str, PairedScores]


def blind_scores(sighted: Sequence[Answer], blind: Sequence[Answer], seed: int = 0) -> dict[str, BlindScores]:
    """By split, the scores of the questions that were answered with and without the picture, in pairs.

    Questions are the same where their number in the file (`idx`) is. `seed` is of the bootstrap.
    """
    by_number = {answer.idx: answer for answer in blind}
    pairs = [(answer, by_number[answer.idx]) for answer in sighted if answer.idx in by_number]
    found = {}
    for split in dict.fromkeys(answer.split for answer, _ in pairs):
        both = [pair for pair in pairs if pair[0].split == split]
        seen = [answer for answer, _ in both]
        with_image = np.array([answer.score for answer in seen])
        without = np.array([answer.score for _, answer in both])
        kinds = np.array([answer.question_type or NO_TYPE for answer in seen], dtype=object)
        everything = {"all": np.ones(len(both), dtype=bool)}
        found[split] = BlindScores(
            len(both),
            paired_scores(without, with_image, seen, everything, seed)["all"],
            paired_scores(without, with_image, seen, {k: kinds == k for k in sorted(set(kinds))}, seed),
        )
    return found
