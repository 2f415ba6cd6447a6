"""Step 1: the answers of evaluations, and the bad cases, as frames."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dataengine_lib.core.records import (
    CHOICE,
    LETTERS,
    OPEN,
    Answer,
    ImageId,
    image_id_of,
    most_accepted,
    shows_options,
)
from dataengine_lib.curation.difficulty.band import probabilities
from dataengine_lib.frames.columns import make_frame

if TYPE_CHECKING:
    import pandas as pd

FIXED, BROKEN, STILL_WRONG, STILL_RIGHT = "fixed", "broken", "still wrong", "still right"


class EvaluatedAnswers(NamedTuple):
    """The answers of one evaluation, its round, and its name as step 6 has it (`before`, `after round 1`)."""

    round: int
    name: str
    answers: Sequence[Answer]


def answers_frame(evaluations: Iterable[EvaluatedAnswers]) -> "pd.DataFrame":
    """Every answer of every evaluation, in the order of the files."""
    return make_frame(
        "answers", [answer_columns(one, answer) for one in evaluations for answer in one.answers]
    )


def bad_cases_frame(
    evaluations: Iterable[EvaluatedAnswers], later: Mapping[int, Mapping[str, bool]]
) -> "pd.DataFrame":
    """The bad cases of every evaluation, and what the next evaluation made of them.

    `later` says, by round, which questions the evaluation after that round's answered rightly.
    """
    rows = []
    for one in evaluations:
        known = later.get(one.round, {})
        for answer in one.answers:
            right = known.get(question_id_of(answer))
            rows.append(
                answer_columns(one, answer) | {"outcome": "" if right is None else outcome_of(False, right)}
            )
    return make_frame("bad_cases", rows)


def outcome_of(before: bool, after: bool) -> str:
    """What became of a question whose answer was, and is, right or wrong."""
    if before:
        return STILL_RIGHT if after else BROKEN
    return FIXED if after else STILL_WRONG


def question_id_of(answer: Answer) -> str:
    """The id by which queries name a bad case: its question_id, else its idx, else empty."""
    return answer.question_id or (str(answer.idx) if answer.idx != -1 else "")


def image_id_text(image_id: ImageId | None) -> str:
    """An image id as text, empty for an unknown image."""
    known = image_id_of(image_id)
    return "" if known == -1 else str(known)


def letter(place: int | None, kind: str) -> str:
    """The letter of an option; empty for none, and for questions that show no options."""
    shown = shows_options(kind) and place is not None and 0 <= place < len(LETTERS)
    return LETTERS[place] if shown and place is not None else ""


def right_text(answer: Answer) -> str:
    """The text of the right option, or the most frequent accepted answer; empty where none is known."""
    if answer.answer_kind == OPEN:
        return most_accepted(answer.direct_answers)
    place = answer.correct_choice_idx
    return answer.choices[place] if 0 <= place < len(answer.choices) else ""


def confidence_of(answer: Answer) -> float | None:
    """The softmax of the scores at the chosen option; None without scores or choice."""
    place = answer.predicted_choice_idx
    return probabilities(answer.scores)[place] if 0 <= place < len(answer.scores) else None


def question_columns(answer: Answer) -> dict[str, Any]:
    """The columns that say which question it is."""
    return {
        "split": answer.split,
        "question_type": answer.question_type,
        "question_id": question_id_of(answer),
        "image_id": image_id_text(answer.image_id),
        "image_path": answer.image_path,
        "question": answer.question,
        "right_answer": right_text(answer),
    }


def answer_columns(evaluation: EvaluatedAnswers, answer: Answer) -> dict[str, Any]:
    """The columns of an answer: its question, what the student chose, and whether that is right."""
    kind = answer.answer_kind or CHOICE
    return question_columns(answer) | {
        "round": evaluation.round,
        "evaluation": evaluation.name,
        "answer_kind": kind,
        "choices": answer.choices,
        "right_letter": letter(answer.correct_choice_idx, kind),
        "chosen_letter": letter(answer.predicted_choice_idx, kind),
        "model_answer": answer.model_answer,
        "confidence": confidence_of(answer),
        "correct": answer.correct,
        "score": answer.score,
        "scores": answer.scores,
        "correct_choice_idx": answer.correct_choice_idx,
        "predicted_choice_idx": answer.predicted_choice_idx,
        "written": answer.written,
        "direct_answers": answer.direct_answers,
        "direct_answer": answer.direct_answer or "",
        "direct_answer_score": answer.direct_answer_score if answer.direct_answer else None,
    }
