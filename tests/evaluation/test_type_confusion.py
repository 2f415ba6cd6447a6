"""Tests of known question types against the teacher's."""

from scipy.stats import binomtest

from dataengine_lib.core.records import NO_TYPE, Answer
from dataengine_lib.evaluation.type_confusion import type_confusion


def answers(known: str, teacher: str, right: int, wrong: int) -> list[Answer]:
    return [
        Answer(
            question="?",
            choices=["a", "b"],
            correct_choice_idx=0,
            correct=place < right,
            image_id=place,
            question_type=known,
            teacher_type=teacher,
        )
        for place in range(right + wrong)
    ]


def test_pairs_with_accuracy_and_agreement() -> None:
    found = type_confusion(
        [
            *answers("image_style", "image_scene", 1, 3),
            *answers("image_scene", "image_scene", 8, 2),
            *answers("image_style", "Image style", 5, 0),  # one type, in another spelling
            *answers("image_style", "", 4, 4),
            *answers("", "image_style", 1, 1),
            *answers(NO_TYPE, "image_style", 1, 1),
        ]
    )
    assert (found.compared, found.left_out) == (19, 12)
    rows = [(pair.known, pair.teacher, pair.accuracy.count, pair.accuracy.total) for pair in found.pairs]
    assert rows == [
        ("image_scene", "image_scene", 8, 10),
        ("image_style", "image_style", 5, 5),
        ("image_style", "image_scene", 1, 4),
    ]
    interval = binomtest(1, 4).proportion_ci(method="wilson")
    last = found.pairs[-1].accuracy
    assert (last.share, last.low, last.high) == (0.25, round(interval.low, 4), round(interval.high, 4))
    assert (found.overall.count, found.overall.total) == (15, 19)
    agreed = {kind: (share.count, share.total) for kind, share in found.agreement.items()}
    assert agreed == {"image_scene": (10, 10), "image_style": (5, 9)}


def test_totals_add_up_and_the_order_of_answers_does_not_matter() -> None:
    rows = [
        *answers("b", "a", 2, 1),
        *answers("a", "b", 0, 3),
        *answers("a", "a", 2, 2),
        *answers("b", "b", 1, 0),
    ]
    found = type_confusion(rows)
    assert found == type_confusion(rows[::-1])
    assert sum(pair.accuracy.total for pair in found.pairs) == found.compared == len(rows)
    assert sum(pair.accuracy.count for pair in found.pairs) == sum(row.correct for row in rows)
    assert sum(share.total for share in found.agreement.values()) == found.overall.total


def test_without_the_teachers_types_there_is_nothing_to_compare() -> None:
    found = type_confusion(answers("image_style", "", 1, 1))
    assert (found.pairs, found.agreement, found.compared, found.left_out) == ([], {}, 0, 2)
    assert found.overall.share is None
