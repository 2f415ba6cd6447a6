"""Step 6: the questions that every round answered, in pairs, and those that are left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataengine_lib.core.records import OPEN, Answer
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.paired.scores import image_of_answer
from dataengine_lib.evaluation.rounds.figures import LeftOut

_NO_TYPE = "unknown"  # how the figures of step 6 call questions without a type


@dataclass(frozen=True)
class PairedAnswers:
    """`rounds[i][n]` is round i's answer to question n, the same question in every round."""

    rounds: list[list[Answer]]
    left_out: list[LeftOut]

    @property
    def types(self) -> np.ndarray:
        """The question types `(questions,)`, as the first round names them."""
        return np.array([type_of(answer) for answer in self.rounds[0]], dtype=object)

    @property
    def images(self) -> list[str]:
        """A name of each question's image."""
        return [image_of_answer(answer) for answer in self.rounds[0]]


def pair_answers(evaluations: Sequence[Sequence[Answer]], files: Sequence[Path], split: str) -> PairedAnswers:
    """The answers of `split` (or `all`) to the questions that all evaluations share, in one order.

    A question is the same where its text, choices and right answer are. `files` are the evaluations', for messages.
    Raises DataEngineError when an evaluation has no row of the split, or no question is in all of them.
    """
    by_key: list[dict[str, Answer]] = []
    left_out = []
    for answers, file in zip(evaluations, files, strict=True):
        of_split = _of_split(answers, file, split)
        by_key.append({question_key(answer): answer for answer in reversed(of_split)})  # the first row wins
        repeats = Counter(question_key(answer) for answer in of_split)
        repeated = sorted(key for key, times in repeats.items() if times > 1)
        left_out.append(LeftOut(str(file), repeated, missing=[], changed=[]))
    common = []
    # in the order of the first round's sorted keys, then of those that only later rounds have
    for key in dict.fromkeys(key for one in by_key for key in sorted(one)):
        reference = next(one[key] for one in by_key if key in one)
        in_all = True
        for one, report in zip(by_key, left_out, strict=True):
            if key not in one:
                report.missing.append(key)
            # the same id with other choices or another right answer is another question
            elif question_content(one[key]) != question_content(reference):
                report.changed.append(key)
            else:
                continue
            in_all = False
        if in_all:
            common.append(key)
    if not common:
        paths = ", ".join(map(str, files))
        raise DataEngineError(
            f"{paths}: no {split} question is in all of them; evaluate the same questions each round"
        )
    return PairedAnswers([[one[key] for key in common] for one in by_key], left_out)


def _of_split(answers: Sequence[Answer], file: Path, split: str) -> list[Answer]:
    of_split = [answer for answer in answers if split in ("all", answer.split)]
    if not of_split:
        found = ", ".join(sorted({answer.split or "(none)" for answer in answers})) or "no rows"
        raise DataEngineError(
            f"{file}: no row of split {shown(split)} (found: {found}); set split to one that is there"
        )
    return of_split


def question_key(answer: Answer) -> str:
    """The question's id; without one, its image and text."""
    return answer.question_id or f"{image_of_answer(answer)}: {answer.question}"


def type_of(answer: Answer) -> str:
    """The question type, `unknown` without one."""
    return answer.question_type or _NO_TYPE


def question_content(answer: Answer) -> tuple[str, list[str], int]:
    """What makes it the same question: its text, choices and right answer; of an open-ended one the accepted answers."""
    given = answer.direct_answers if answer.answer_kind == OPEN else answer.choices
    return answer.question, given, answer.correct_choice_idx
