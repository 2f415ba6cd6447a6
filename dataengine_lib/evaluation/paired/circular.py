"""Step 1: every rotation of the options; a question is right only when it is right in each (`robust: circular`)."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np

from dataengine_lib.core.records import Answer
from dataengine_lib.core.statistics import Gain
from dataengine_lib.evaluation.paired.scores import Share, paired_change

T = TypeVar("T")


class CircularScore(msgspec.Struct, frozen=True):
    """Questions that were asked in every rotation of their options.

    `as_asked` counts those that are right in the given order, `circular` those that are right in each rotation, `same`
    those with the same option in each. `change` is circular minus plain accuracy, with a paired bootstrap interval over
    images; `passes` is the number of answers that were needed.
    """

    questions: int
    passes: int
    as_asked: Share
    circular: Share
    same: Share
    change: Gain


def rotated(options: Sequence[T], by: int) -> list[T]:
    """The options, or their scores, in rotation `by`: each moves up by so many places, the first ones to the end."""
    return [*options[by:], *options[:by]]


def right_in_each(chosen: int, others: Sequence[int], right: int) -> bool:
    """Whether the choice in the given order and those in all other rotations are the right one.

    Source: CircularEval of MMBench (arXiv 2307.06281), as in VLMEvalKit.
    """
    return all(choice == right >= 0 for choice in (chosen, *others))


def with_wrong_choice(answer: Answer) -> Answer:
    """A wrong answer with the first wrong option that was chosen in its rotations; -1 where none of them named one.

    A right answer, and one without rotations, is returned as it is.
    """
    missed_later = not answer.correct and answer.predicted_choice_idx == answer.correct_choice_idx
    if not missed_later or not answer.rotated_choice_idx:
        return answer
    missed = [choice for choice in answer.rotated_choice_idx if choice != answer.correct_choice_idx]
    wrong = next((choice for choice in missed if choice >= 0), -1)
    return msgspec.structs.replace(
        answer, predicted_choice_idx=wrong, model_answer=answer.choices[wrong] if wrong >= 0 else ""
    )


def circular_score(answers: Sequence[Answer], seed: int = 0) -> CircularScore | None:
    """Plain and circular accuracy of the same questions; None when no question was asked in rotations."""
    asked = [answer for answer in answers if answer.rotated_choice_idx]
    if not asked:
        return None
    plain = np.array([answer.predicted_choice_idx == answer.correct_choice_idx for answer in asked])
    each = np.array([answer.correct for answer in asked])
    same = [
        answer.predicted_choice_idx >= 0 and {*_others(answer)} == {answer.predicted_choice_idx}
        for answer in asked
    ]
    count = len(asked)
    return CircularScore(
        questions=count,
        passes=count + sum(len(_others(answer)) for answer in asked),
        as_asked=Share.by_image(plain, asked),
        circular=Share.by_image(each, asked),
        same=Share.by_image(same, asked),
        change=paired_change(each.astype(float) - plain, asked, seed).gain,
    )


def _others(answer: Answer) -> list[int]:
    return answer.rotated_choice_idx or []
