"""Step 1: where the teacher's question types differ from the known ones, and the student's accuracy there."""

from collections.abc import Sequence

import msgspec

from dataengine_lib.core.records import NO_TYPE, Answer
from dataengine_lib.evaluation.paired.scores import Share
from dataengine_lib.questions.categories import type_name


class TypePair(msgspec.Struct, frozen=True):
    """Questions of one known type that the teacher gave one type, with the student's accuracy on them."""

    known: str
    teacher: str
    accuracy: Share


class TypeConfusion(msgspec.Struct, frozen=True):
    """All pairs of known and teacher's type that occur; `compared` questions have both, `left_out` do not.

    `overall` is how often the teacher gives the known type, `agreement` the same by known type.
    """

    compared: int
    left_out: int
    pairs: list[TypePair]
    overall: Share
    agreement: dict[str, Share]


def type_confusion(answers: Sequence[Answer]) -> TypeConfusion:
    """Known types against the teacher's; known ones in alphabetical order, each with its most frequent pair first."""
    by_pair: dict[tuple[str, str], list[Answer]] = {}
    by_known: dict[str, list[Answer]] = {}
    for answer in answers:
        known, teacher = type_name(answer.question_type), type_name(answer.teacher_type)
        if known not in ("", NO_TYPE) and teacher:
            by_pair.setdefault((known, teacher), []).append(answer)
            by_known.setdefault(known, []).append(answer)
    compared = [answer for of_type in by_known.values() for answer in of_type]
    return TypeConfusion(
        compared=len(compared),
        left_out=len(answers) - len(compared),
        pairs=[
            TypePair(known, teacher, Share.by_image([answer.correct for answer in of_pair], of_pair))
            for (known, teacher), of_pair in sorted(
                by_pair.items(), key=lambda row: (row[0][0], -len(row[1]), row[0])
            )
        ],
        overall=_agreement(compared),
        agreement={kind: _agreement(of_type) for kind, of_type in sorted(by_known.items())},
    )


def _agreement(answers: Sequence[Answer]) -> Share:
    same = [type_name(answer.question_type) == type_name(answer.teacher_type) for answer in answers]
    return Share.by_image(same, answers)
