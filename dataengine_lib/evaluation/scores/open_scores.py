"""Step 1: scores of open-ended questions: the mean by each rule, with intervals over images."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dataengine_lib.core.records import Answer
from dataengine_lib.core.statistics import summed_by_image
from dataengine_lib.evaluation.paired.scores import image_of_answer
from dataengine_lib.evaluation.scores.intervals import Estimate, estimate, ratio
from dataengine_lib.evaluation.scores.open_answers import OpenRule, open_rule


class OpenScore(msgspec.Struct, frozen=True):
    """The questions that one rule scores, and their mean score in [0, 1]."""

    questions: int
    score: Estimate


class OpenScores(msgspec.Struct, frozen=True):
    """One split's open-ended questions, by rule; `empty` answers have no word and score 0."""

    empty: int
    by_rule: dict[OpenRule, OpenScore]


def open_scores(answers: Sequence[Answer]) -> OpenScores | None:
    """The scores of answers to open-ended questions; None without any."""
    if not answers:
        return None
    by_rule: dict[OpenRule, list[Answer]] = {}
    for answer in answers:
        by_rule.setdefault(open_rule(answer.direct_answers, answer.image_path), []).append(answer)
    return OpenScores(
        empty=sum(not answer.model_answer.strip() for answer in answers),
        by_rule={rule: _mean(rows) for rule, rows in by_rule.items()},
    )


def _mean(answers: Sequence[Answer]) -> OpenScore:
    columns = np.array([[1.0, answer.score] for answer in answers])
    sums = summed_by_image(columns, [image_of_answer(row) for row in answers])
    return OpenScore(len(answers), estimate(sums, lambda s: ratio(s[:, 1], s[:, 0])))
