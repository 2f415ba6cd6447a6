"""Step 1: scores of yes/no questions: accuracy, precision, recall, F1 and yes-rate as POPE's, and MME's score."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from dataengine_lib.core.records import Answer
from dataengine_lib.core.statistics import summed_by_image
from dataengine_lib.evaluation.paired.scores import image_of_answer
from dataengine_lib.evaluation.scores.intervals import Estimate, estimates, ratio
from dataengine_lib.evaluation.scores.mme import MmeScores, mme_scores, written_text
from dataengine_lib.evaluation.scores.yes_no_text import NO, YES, read_as_pope


class YesNoScore(msgspec.Struct, frozen=True):
    """Shares in [0, 1] with intervals bootstrapped over images; "yes" is the positive answer.

    A precision without any yes, a recall without any right yes, and their F1 have no value.
    """

    questions: int
    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    yes_rate: Estimate


class YesNoScores(msgspec.Struct, frozen=True):
    """One split's yes/no questions: as step 1 reads the answers (`unread` ones are wrong, and no yes), and as the scripts.

    `pope` is by POPE's script, `by_category` the same for each of several categories. `mme` is None where images have
    not two questions each.
    """

    unread: int
    scores: YesNoScore
    pope: YesNoScore
    by_category: dict[str, YesNoScore]
    mme: MmeScores | None


def yes_no_scores(answers: Sequence[Answer]) -> YesNoScores | None:
    """The scores of answers to yes/no questions; None without any. Source of the rule of POPE: its evaluate.py."""
    if not answers:
        return None
    # VLMEvalKit's POPE names the categories of a question in one cell: adversarial,popular,random
    categories: dict[str, list[Answer]] = {}
    for answer in answers:
        for name in answer.question_type.split(","):
            categories.setdefault(name.strip(), []).append(answer)
    return YesNoScores(
        unread=sum(answer.predicted_choice_idx < 0 for answer in answers),
        scores=_score(answers, lambda answer: answer.predicted_choice_idx),
        pope=_score(answers, _as_pope),
        by_category={name: _score(rows, _as_pope) for name, rows in categories.items()}
        if len(categories) > 1
        else {},
        mme=mme_scores(answers),
    )


def _as_pope(answer: Answer) -> int:
    return read_as_pope(written_text(answer))


def _score(answers: Sequence[Answer], read: Callable[[Answer], int]) -> YesNoScore:
    given = np.array([read(answer) for answer in answers])
    right = np.array([answer.correct_choice_idx for answer in answers])
    # columns: all, right, yes, right yes, what should be yes
    columns = np.stack(
        [
            np.ones(len(answers)),
            given == right,
            given == YES,
            (given == YES) & (right == YES),
            right != NO,
        ],
        axis=1,
    ).astype(float)
    sums = summed_by_image(columns, [image_of_answer(row) for row in answers])
    accuracy, precision, recall, f1, yes_rate = estimates(
        sums,
        [
            lambda s: ratio(s[:, 1], s[:, 0]),
            lambda s: ratio(s[:, 3], s[:, 2]),
            lambda s: ratio(s[:, 3], s[:, 4]),
            # 2PR / (P + R), which has no value where there is no right yes
            lambda s: np.where(s[:, 3] > 0, ratio(2 * s[:, 3], s[:, 2] + s[:, 4]), np.nan),
            lambda s: ratio(s[:, 2], s[:, 0]),
        ],
    )
    return YesNoScore(len(answers), accuracy, precision, recall, f1, yes_rate)
