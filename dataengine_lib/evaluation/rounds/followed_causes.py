"""Step 6: what became of the first round's bad cases, by the causes that step 2 found in them."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Answer
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.queries.causes.causes_file import CausesFile


class FollowedCause(msgspec.Struct):
    """A cause of one type: `cases` of its bad cases are in every evaluation, `wrong` counts those answered wrongly in each.

    An empty name is the type as a whole or, beside other causes, cases of no named cause.
    """

    question_type: str
    cause: str
    cases: int
    wrong: list[int]


def read_followed(file: Path, evaluation: Path, answers: Sequence[Answer]) -> CausesFile:
    """The causes of the bad cases of `evaluation`, which has these `answers`.

    Raises DataEngineError when the file cannot be read, or its bad cases are those of another evaluation.
    """
    causes: CausesFile = read_json(file, CausesFile)
    correct = _correct(answers)
    keys = [key for one in causes.types.values() for cause in one.causes for key in cause.case_ids]
    right = [key for key in keys if correct.get(key)]
    if right or (keys and not any(key in correct for key in keys)):
        what = "none of them is in it"
        if right:
            what = f"{len(right):,} of {len(keys):,} are right in it, the first: {shown(right[0])}"
        raise DataEngineError(
            f"{file}: its bad cases are not those of {evaluation}: {what}; give the file of step 2 after that "
            "evaluation, or leave found_causes out"
        )
    return causes


def follow_causes(causes: CausesFile, evaluations: Sequence[Sequence[Answer]]) -> list[FollowedCause]:
    """The causes of types that have several, with their cases in each evaluation. Cases are found by the question's id.

    The cases were chosen because they were wrong: without any training some would be right the next time, so causes are to
    be compared with each other.
    """
    correct = [_correct(answers) for answers in evaluations]
    followed = []
    for question_type, of_type in causes.types.items():
        for cause in of_type.causes if len(of_type.causes) > 1 else []:
            known = [key for key in cause.case_ids if all(key in one for one in correct)]
            wrong = [sum(not one[key] for key in known) for one in correct]
            followed.append(FollowedCause(question_type, cause.name, len(known), wrong))
    return followed


def _correct(answers: Sequence[Answer]) -> dict[str, bool]:
    """Whether each question was answered right, by the key that its bad case has; one asked twice, both times."""
    by_place: dict[str, bool] = {}
    by_id: dict[str, bool] = {}
    for answer in answers:
        for known, key in ((by_place, str(answer.idx)), (by_id, answer.question_id)):
            known[key] = known.get(key, True) and answer.correct
    return by_place | by_id
