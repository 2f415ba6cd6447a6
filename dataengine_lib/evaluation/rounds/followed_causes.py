"""Step 6: what became of the first round's bad cases, by the causes that step 2 found in them."""

from collections.abc import Sequence

import msgspec

from dataengine_lib.core.records import Answer
from dataengine_lib.queries.causes.causes_file import CausesFile


class FollowedCause(msgspec.Struct):
    """A cause of one type: `cases` of its bad cases are in every evaluation, `wrong` counts those answered wrongly in each.

    An empty name is the type as a whole or, beside other causes, cases of no named cause.
    """

    question_type: str
    cause: str
    cases: int
    wrong: list[int]


def follow_causes(causes: CausesFile, evaluations: Sequence[Sequence[Answer]]) -> list[FollowedCause]:
    """The causes of types that have several, with their cases in each evaluation. Cases are found by the question's id.

    The cases were chosen because they were wrong: without any training some would be right the next time, so causes are to
    be compared with each other.
    """
    correct = []
    for answers in evaluations:
        by_place = {str(answer.idx): answer.correct for answer in answers}
        correct.append(by_place | {answer.question_id: answer.correct for answer in answers})
    followed = []
    for question_type, of_type in causes.types.items():
        for cause in of_type.causes if len(of_type.causes) > 1 else []:
            known = [key for key in cause.case_ids if all(key in one for one in correct)]
            wrong = [sum(not one[key] for key in known) for one in correct]
            followed.append(FollowedCause(question_type, cause.name, len(known), wrong))
    return followed
