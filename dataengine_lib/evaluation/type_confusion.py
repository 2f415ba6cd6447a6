"""Step 1: where the teacher's question types differ from the known ones, and the student's accuracy there."""

from collections.abc import Iterable, Sequence

import msgspec

from dataengine_lib.core.records import NO_TYPE, Answer
from dataengine_lib.evaluation.letter_bias import Share
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
    by_pair: dict[tuple[str, str], list[bool]] = {}
    for answer in answers:
        known, teacher = type_name(answer.question_type), type_name(answer.teacher_type)
        if known not in ("", NO_TYPE) and teacher:
            by_pair.setdefault((known, teacher), []).append(answer.correct)
    pairs = [
        TypePair(known, teacher, Share.of(sum(right), len(right)))
        for (known, teacher), right in sorted(
            by_pair.items(), key=lambda row: (row[0][0], -len(row[1]), row[0])
        )
    ]
    compared = sum(pair.accuracy.total for pair in pairs)
    kinds = dict.fromkeys(pair.known for pair in pairs)
    return TypeConfusion(
        compared=compared,
        left_out=len(answers) - compared,
        pairs=pairs,
        overall=_agreement(pairs),
        agreement={kind: _agreement(pair for pair in pairs if pair.known == kind) for kind in kinds},
    )


def _agreement(pairs: Iterable[TypePair]) -> Share:
    sizes = [(pair.accuracy.total, pair.known == pair.teacher) for pair in pairs]
    return Share.of(sum(size for size, same in sizes if same), sum(size for size, _ in sizes))
