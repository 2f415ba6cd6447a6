"""Step 1: the record of what a student said of one question, as every later step reads it."""

import re
from collections.abc import Sequence
from typing import Optional

import msgspec

from dataengine_lib.core.records import NO_TYPE, Answer, Question, qa_prompt


class Said(msgspec.Struct, frozen=True):
    """What a student said of one question: the option's place (None: cannot tell), and what is known beside it."""

    choice: int | None
    scores: list[float] = []  # one per choice, higher is better; empty: unknown
    written: str = ""  # what was read, for the report
    direct_answer: str | None = None  # None: not asked
    reversed: Optional["Said"] = (
        None  # asked with the options in reverse, told by their own places; None: not asked
    )


def answer_of(question: Question, place: int, split: str, image: str, said: Said) -> Answer:
    """A row of `aokvqa_eval.json`; `place` is the question's number in its file, `image` below the image root."""
    kind = question.question_type or NO_TYPE
    chosen = -1 if said.choice is None else said.choice
    back = said.reversed
    return Answer(
        image_id=question.image_id,
        image_path=image,
        idx=place,
        question=question.question,
        choices=question.choices,
        correct_choice_idx=question.correct_choice_idx,
        direct_answers=question.direct_answers,
        difficult_direct_answer=question.difficult_direct_answer,
        model_answer=question.choices[chosen] if chosen >= 0 else "",
        question_type=kind,
        prompt=qa_prompt(question.question, question.choices, question.correct_choice_idx, kind),
        question_id=question.question_id,
        split=split,
        rationales=question.rationales,
        predicted_choice_idx=chosen,
        correct=chosen == question.correct_choice_idx,
        scores=said.scores,
        direct_answer=said.direct_answer,
        direct_answer_score=round(direct_answer_score(said.direct_answer or "", question.direct_answers), 4),
        written=said.written,
        reversed_choice_idx=None if back is None else -1 if back.choice is None else back.choice,
        reversed_scores=[] if back is None else back.scores,
        teacher_type=question.teacher_type,
    )


_EDGES = re.compile(r"^[\s\"'“”‘’«»]+|[\s\"'“”‘’«».,;:!?…]+$")  # signs stay: $5 is not 5, c++ not c


_SENTENCE_END = re.compile(  # not behind the capitals of an abbreviation, nor behind one of these
    r"(?<=[a-z0-9])(?<!\b[Ss]t)(?<!\b[MmDdJjSs]r)(?<!\b[Mm]rs)(?<!\b[Mm]s)(?<!\b[Mm]t)(?<!\b[Ff]t)(?<!\bvs)"
    r"(?<!\b[Pp]rof)(?<!\bapprox)(?<!\.[a-z])(?<!^[a-z])\.(?=\s|$)(?!(?<=\b[Nn]o\.)\s\d)"
)


def counts_directly(answer: Answer) -> bool:
    """Whether A-OKVQA's direct-answer score takes this question in: difficult ones are left out."""
    asked = answer.direct_answer is not None
    return asked and bool(answer.direct_answers) and not answer.difficult_direct_answer


def direct_answer_score(said: str, answers: Sequence[str]) -> float:
    """min(1, matches / 3) over the people's answers, without regard to case and punctuation at the ends.

    What has no word and no sign matches nothing. Source: A-OKVQA's eval_predictions.py.
    """
    plain = plain_answer(said)
    matches = sum(plain_answer(answer) == plain for answer in answers) if plain else 0
    return min(1.0, matches / 3)


def plain_answer(text: str) -> str:
    """The text by which answers are compared: without case, quotes around it and sentence punctuation behind."""
    return _EDGES.sub("", " ".join(text.casefold().split()))


def first_answer(written: str) -> str:
    """The answer in what the student wrote behind `The answer is`: up to the first line's or sentence's end.

    An option's letter before it is not part of it.
    """
    line = written.strip().split("\n")[0]
    sentence = _SENTENCE_END.split(line)[0]
    return re.sub(r"^\(?[A-Z]\)[:.]?\s*", "", sentence.strip()).strip(" :")
