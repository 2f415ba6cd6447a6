"""Positions of boxes: in the image, and of one box relative to another."""

import pytest

from dataengine_lib.annotations.geometry import (
    CHECK_SLOPE,
    TEACHER_SLOPE,
    Rectangle,
    corner_side,
    enclosing_box,
    is_further_out,
    overlap_over_union,
    shared_area,
    straight_side,
    third_of_span,
    touches,
)

LEFT: Rectangle = (0.1, 0.4, 0.3, 0.6)


def test_areas_and_spans() -> None:
    right: Rectangle = (0.2, 0.4, 0.4, 0.6)
    assert shared_area(LEFT, right) == pytest.approx(0.02)
    assert overlap_over_union(LEFT, right) == pytest.approx(1 / 3)
    assert enclosing_box([LEFT, right]) == (0.1, 0.4, 0.4, 0.6)
    apart: Rectangle = (0.5, 0.1, 0.6, 0.2)
    assert shared_area(LEFT, apart) == overlap_over_union(LEFT, apart) == 0


def test_boxes_touch_within_reach() -> None:
    assert touches(LEFT, (0.31, 0.4, 0.5, 0.6))
    assert not touches(LEFT, (0.33, 0.4, 0.5, 0.6))


@pytest.mark.parametrize(
    ("low", "high", "third"),
    [
        (0.0, 0.3, 0),
        (0.0, 0.33, None),  # too close to the middle third
        (0.35, 0.65, 1),
        (0.335, 0.65, None),
        (0.68, 1.0, 2),
        (0.2, 0.5, None),
    ],
)
def test_a_span_lies_in_one_third_or_in_none(low: float, high: float, third: int | None) -> None:
    assert third_of_span(low, high) == third


@pytest.mark.parametrize(
    ("other", "teacher", "check", "corner"),
    [
        ((0.5, 0.4, 0.7, 0.6), "left", "left", None),
        ((0.31, 0.4, 0.7, 0.6), "", "", None),  # too little space between them
        ((0.1, 0.7, 0.3, 0.9), "above", "above", None),
        ((0.1, 0.0, 0.3, 0.3), "below", "below", None),
        # little height in common, but further to the side than down: the teacher does not ask, the check accepts "left"
        ((0.7, 0.55, 0.9, 0.75), "", "left", None),
        ((0.5, 0.7, 0.7, 0.9), "", "", ("above", "left")),
        ((0.7, 0.63, 0.9, 0.8), "", "left", ("above", "left")),
    ],
)
def test_sides_for_the_teacher_and_for_the_check(
    other: Rectangle, teacher: str, check: str, corner: tuple[str, str] | None
) -> None:
    assert straight_side(LEFT, other, TEACHER_SLOPE) == teacher
    assert straight_side(LEFT, other, CHECK_SLOPE) == check
    assert corner_side(LEFT, other) == corner


def test_further_out_with_both_edges_and_the_middle() -> None:
    assert is_further_out(LEFT, "left", (0.2, 0.0, 0.4, 1.0))
    assert not is_further_out(LEFT, "left", (0.15, 0.0, 0.35, 1.0))  # the middle is too near
    assert not is_further_out(LEFT, "left", (0.2, 0.0, 0.25, 1.0))  # the right edge is not further out
    assert is_further_out((0.2, 0.0, 0.4, 1.0), "right", LEFT)
    assert is_further_out(LEFT, "top", (0.0, 0.5, 1.0, 0.7))
    assert not is_further_out(LEFT, "bottom", (0.0, 0.5, 1.0, 0.7))
