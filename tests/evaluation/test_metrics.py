"""Tests of step 1's figures: the intervals of accuracies whose questions share images."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from dataengine_lib.core.bad_rows import BadRowSummary
from dataengine_lib.core.records import OPEN, Answer
from dataengine_lib.core.statistics import Interval, wilson
from dataengine_lib.evaluation.metrics import Score, compute_metrics
from dataengine_lib.evaluation.paired.circular import CircularScore
from dataengine_lib.evaluation.rounds.comparison import round_scores
from dataengine_lib.evaluation.rounds.pairs import pair_answers
from dataengine_lib.evaluation.weights import weight_table

RIGHT = [1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0]


def answers(right: Sequence[float], per_image: int, kind: str = "") -> list[Answer]:
    """Answers of type a, then of type b, that share images, which only their paths name."""
    return [
        Answer(
            question=f"Which, {number}?", question_id=f"q{number}", choices=[] if kind else ["x", "y"],
            correct_choice_idx=-1 if kind else 0, predicted_choice_idx=int(one < 0.5), correct=one >= 0.5, score=one,
            question_type="a" if number < len(right) / 2 else "b", split="diagnose",
            image_path=f"{number // per_image}.jpg", answer_kind=kind,
        )
        for number, one in enumerate(right)
    ]  # fmt: skip


def scored(given: list[Answer]) -> dict[str, Score]:
    skipped = BadRowSummary(total=0, of=len(given), by_reason={}, rows=[])
    found = compute_metrics(given, ["a", "b"], "text", "1-acc", skipped).splits["diagnose"]
    return {"overall": found.overall, **found.per_type}


def test_one_question_an_image_has_wilsons_interval() -> None:
    found = scored(answers(RIGHT, 1))
    for name, right, total in (("overall", 7, 12), ("a", 3, 6), ("b", 4, 6)):
        assert (found[name].low, found[name].high) == tuple(round(end, 4) for end in wilson(right, total))


def test_questions_that_share_images_are_known_by_their_images() -> None:
    # six right answers about three images are known as three are, and twelve about six as six
    found = scored(answers([1] * 12, 2))
    assert (found["a"].low, found["a"].high) == (round(wilson(3, 3).low, 4), 1) == (0.4385, 1)
    assert (found["overall"].low, found["overall"].high) == (round(wilson(6, 6).low, 4), 1) == (0.6097, 1)


@pytest.mark.parametrize("kind", ["", OPEN])
def test_accuracies_have_the_intervals_of_step_6(kind: str) -> None:
    given = answers([0.6 * one for one in RIGHT] if kind else RIGHT, 3, kind)
    pairs = pair_answers([given], [Path("a.json")], "all")
    compared = round_scores("r", Path("a.json"), pairs.rounds[0], pairs)
    found = scored(given)
    for name, other in {"overall": compared.overall, **compared.by_type}.items():
        one = found[name]
        assert (one.accuracy, one.low, one.high) == tuple(
            round(part, 4) for part in (other.accuracy, other.low, other.high)
        )


def test_weights_are_of_the_counts_and_their_intervals_of_the_accuracies() -> None:
    skipped = BadRowSummary(total=0, of=12, by_reason={}, rows=[])
    found = compute_metrics(answers(RIGHT, 3), ["a", "b"], "text", "1-acc", skipped)
    by_type = found.splits["diagnose"].per_type
    ends = {kind: Interval(one.low, one.high) for kind, one in by_type.items()}
    assert found.weights == weight_table({"a": (3, 6), "b": (4, 6)}, ends)
    assert {kind: row["1-acc"].weight for kind, row in found.weights.items()} == {"a": 0.5, "b": 0.333}


def test_every_share_of_the_same_answers_has_the_same_interval() -> None:
    given = [
        structs.replace(
            one,
            reversed_choice_idx=one.predicted_choice_idx,
            rotated_choice_idx=[one.predicted_choice_idx],
            teacher_type="b",
        )
        for one in answers(RIGHT, 3)
    ]
    skipped = BadRowSummary(total=0, of=12, by_reason={}, rows=[])
    metrics = compute_metrics(given, ["a", "b"], "text", "1-acc", skipped)
    found = metrics.splits["diagnose"]
    assert found.both_ways is not None and isinstance(found.circular, CircularScore)
    expected = (found.overall.low, found.overall.high)
    alone = wilson(7, 12)
    assert expected[0] < alone.low - 0.05 and alone.high + 0.05 < expected[1]  # three questions an image
    shares = [found.circular.circular, found.circular.as_asked, found.both_ways.as_asked]
    shares += [found.both_ways.in_reverse, found.both_ways.robust, found.letters.letters[0].accuracy]
    assert {(share.low, share.high) for share in shares} == {expected}
    for pair in found.types.pairs:
        one, weight = found.per_type[pair.known], metrics.weights[pair.known]
        assert (pair.accuracy.low, pair.accuracy.high) == (one.low, one.high)
        assert (weight["1-acc"].low, weight["1-acc"].high) == (round(1 - one.high, 3), round(1 - one.low, 3))
