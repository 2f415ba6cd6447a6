"""Step 1: a student's answer to one question, and the record of it that every later step reads."""

from collections.abc import Mapping, Sequence
from typing import Optional

import msgspec

from dataengine_lib.core.records import (
    NO_ANSWER,
    NO_TYPE,
    OPEN,
    RIGHT_SCORE,
    YES_NO,
    Answer,
    Question,
    question_prompt,
)
from dataengine_lib.evaluation.direct_answers import direct_answer_score
from dataengine_lib.evaluation.paired.circular import right_in_each
from dataengine_lib.evaluation.scores.open_answers import open_score
from dataengine_lib.evaluation.scores.yes_no_text import read_yes_no
from dataengine_lib.evaluation.tasks import Task
from dataengine_lib.replies.answer_choice import written_choice


class StudentAnswer(msgspec.Struct, frozen=True):
    """A student's answer to one question: the index of the option it chose, and what else is known.

    `choice` is None where no option can be read from the answer. `scores` has one number per choice, higher is
    better, or none where there are no scores. `written` is the text that the choice was read from, for the report.
    `direct_answer` is the answer without the options, None when not asked. `reversed` is the answer with the options
    in reverse order, in the indices of the original order, None when not asked. `text` is the answer to an open-ended
    question, which has no options to choose. `rotated` are the answers with the options rotated by 1, 2, …, in the
    indices of the original order.
    """

    choice: int | None
    scores: list[float] = []
    written: str = ""
    direct_answer: str | None = None
    reversed: Optional["StudentAnswer"] = None
    text: str = ""
    rotated: "list[StudentAnswer] | msgspec.UnsetType" = msgspec.UNSET


def read_answer(question: Question, text: str, choices: list[str] | None = None) -> StudentAnswer:
    """What a written answer means: the option that it names, yes or no, or its text, by the kind of the question.

    `choices` are the options in the order in which they were shown, where that is another one.
    """
    if question.answer_kind == OPEN:
        return StudentAnswer(None, written=text, text=text.strip())
    if question.answer_kind == YES_NO:
        return StudentAnswer(read_yes_no(text), written=text)
    return StudentAnswer(written_choice(text, choices or question.choices), written=text)


def is_unread(answer: Answer) -> bool:
    """Whether no option, no yes or no, or no word can be read from an answer; it counts as wrong."""
    return not answer.model_answer.strip() if answer.answer_kind == OPEN else answer.predicted_choice_idx < 0


def answer_record(question: Question, number: int, split: str, image: str, answer: StudentAnswer) -> Answer:
    """A row of `aokvqa_eval.json`; `number` is the question's in its file, `image` its path below the image root."""
    question_type = question.question_type or NO_TYPE
    chosen = _index(answer)
    in_reverse = answer.reversed
    is_open = question.answer_kind == OPEN
    answered = bool(question.direct_answers) if is_open else question.correct_choice_idx != NO_ANSWER
    rotated = [_index(one) for one in answer.rotated or []]
    if is_open:
        score = open_score(answer.text, question.direct_answers, image)
    else:
        score = float(right_in_each(chosen, rotated, question.correct_choice_idx))
    return Answer(
        image_id=question.image_id,
        image_path=image,
        idx=number,
        question=question.question,
        choices=question.choices,
        correct_choice_idx=question.correct_choice_idx,
        direct_answers=question.direct_answers,
        difficult_direct_answer=question.difficult_direct_answer,
        model_answer=answer.text if is_open else question.choices[chosen] if chosen >= 0 else "",
        question_type=question_type,
        prompt=question_prompt(question, question_type) if answered else "",
        question_id=question.question_id,
        split=split,
        rationales=question.rationales,
        predicted_choice_idx=chosen,
        correct=score >= RIGHT_SCORE,
        scores=answer.scores,
        direct_answer=answer.direct_answer,
        direct_answer_score=round(
            direct_answer_score(answer.direct_answer or "", question.direct_answers), 4
        ),
        written=answer.written,
        reversed_choice_idx=None if in_reverse is None else _index(in_reverse),
        reversed_scores=[] if in_reverse is None else in_reverse.scores,
        teacher_type=question.teacher_type,
        answer_kind=question.answer_kind,
        score=score,
        rotated_choice_idx=rotated or msgspec.UNSET,
    )


def answer_records(tasks: Sequence[Task], found: Mapping[int, StudentAnswer]) -> list[Answer]:
    """The records of the tasks that were answered; `found` has the answers by the tasks' places."""
    return [
        answer_record(task.question, task.place, task.split, task.image, found[task.place])
        for task in tasks
        if task.place in found
    ]


def _index(answer: StudentAnswer) -> int:
    """The chosen index as files hold it: -1 where no option was recognised."""
    return -1 if answer.choice is None else answer.choice


def leaderboard_prediction(answer: Answer) -> dict[str, str]:
    """A value of A-OKVQA's leaderboard file; what was not recognised or not asked has no key.

    Source: A-OKVQA's eval_predictions.py, which refuses a multiple_choice that is none of the choices.
    """
    prediction: dict[str, str] = {}
    if answer.answer_kind == OPEN:
        return {"direct_answer": answer.model_answer}
    if answer.predicted_choice_idx >= 0:
        prediction["multiple_choice"] = answer.model_answer
    if answer.direct_answer is not None:
        prediction["direct_answer"] = answer.direct_answer
    return prediction
