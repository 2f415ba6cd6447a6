"""Step 4, box check: words for places in a picture and for sides of a thing, and which boxes they are true of.

A place or side is true of a box, false, or, where people would not agree, neither: None.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dataengine_lib.annotations.geometry import (
    CHECK_SLOPE,
    GAP,
    Rectangle,
    corner_side,
    is_further_out,
    straight_side,
    third_of_span,
)

_FILLER = frozenset(
    re.findall(
        r"\S+",
        "in on at to the very far side corner part third half of picture image photo area hand section it it's is",
    )
)
_COLUMNS, _ROWS = {"left": 0, "right": 2}, {"top": 0, "upper": 0, "bottom": 2, "lower": 2}
_MIDDLE = {"middle", "center", "centre", "central"}
_WHOLE = 3  # beside 0, 1, 2 for the thirds of an axis
_WIDTH, _HEIGHT = {"width", "wide", "left", "right"}, {"height", "high", "top", "bottom", "upper", "lower"}
_IT = r"(?: (?:it|them|the [a-z -]+?))?"
_ACROSS = (
    r"(?:(?:to|on) )?(?:the |its |their )?(?P<across>left|right)(?: side)?(?: of (?:it|them|the [a-z -]+))?"
)
_SIDE = re.compile(rf"(?P<along>above|below){_IT}(?: and {_ACROSS})?|{_ACROSS.replace('across', 'alone')}")


@dataclass(frozen=True)
class Place:
    """Which third, or `_WHOLE`, of the width and of the height; None where the words leave that axis open.

    `thirds`: of the width and of the height, whether the choices tell three parts apart, not two.
    """

    column: int | None
    row: int | None
    thirds: tuple[bool, bool]


def places_of(choices: Sequence[str]) -> list[Place | None]:
    """The places that lower-case choices name, each read beside the others; None for one that names none."""
    said = [_words(choice) for choice in choices]
    across = any(words & _WIDTH and not words & _HEIGHT for words in said)
    along = any(words & _HEIGHT and not words & _WIDTH for words in said)
    # "the middle" alone is of the axis of which the others tell the ends; "middle third" stands beside thirds
    middle = (1, None) if across else (None, 1) if along else (1, 1)
    found = [_third_of(words, middle) for words in said]
    thirds = [
        any("third" in words for words in said) or any(one and one[axis] == 1 for one in found)
        for axis in (0, 1)
    ]
    return [Place(*one, (thirds[0], thirds[1])) if one else None for one in found]


def _third_of(words: set[str], middle: tuple[int | None, int | None]) -> tuple[int | None, int | None] | None:
    if words & {"whole", "entire"}:
        return _WHOLE if words & _WIDTH else None, _WHOLE if words & _HEIGHT else None
    columns, rows = ({table[word] for word in words & table.keys()} for table in (_COLUMNS, _ROWS))
    if words - _FILLER - _COLUMNS.keys() - _ROWS.keys() - _MIDDLE or len(columns) > 1 or len(rows) > 1:
        return None
    column, row = next(iter(columns), None), next(iter(rows), None)
    if words & _MIDDLE:
        if "very" in words:
            return 1, 1
        if column is None and row is None:
            return middle
        return (1, row) if column is None else (column, 1)
    return None if column is None and row is None else (column, row)


def within(box: Rectangle, place: Place) -> bool | None:
    """Whether the box is in the place."""
    parts = [
        _on_axis(low, high, third, thirds)
        for low, high, third, thirds in (
            (box[0], box[2], place.column, place.thirds[0]),
            (box[1], box[3], place.row, place.thirds[1]),
        )
        if third is not None
    ]
    return False if False in parts else None if None in parts else True


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text))


def _on_axis(low: float, high: float, third: int, thirds: bool) -> bool | None:
    middle = (low + high) / 2
    if third == _WHOLE:
        return True if low <= 0.05 and high >= 0.95 else False if high - low < 0.8 else None
    if thirds:
        if (whole := third_of_span(low, high)) is not None:
            return whole == third
        if third == 1:
            return (
                True
                if abs(middle - 0.5) <= 0.08 and high - low <= 0.5
                else False
                if abs(middle - 0.5) >= 0.25
                else None
            )
    if third == 2:
        low, high, middle = 1 - high, 1 - low, 1 - middle
    if thirds:
        return True if middle <= 0.3 and high <= 0.5 else False if middle >= 0.5 else None
    return True if high <= 0.5 else False if low >= 0.5 or middle >= 0.6 else None


def sides_of_words(words: str) -> frozenset[str]:
    """Which of left, right, above, below lower-case words say of another thing: one, or two as in "above it and to the
    left"; empty for other words."""
    found = _SIDE.fullmatch(words)
    return frozenset(filter(None, found.groupdict().values())) if found else frozenset()


def stands(one: Rectangle, sides: frozenset[str], other: Rectangle) -> bool | None:
    """Whether `one` is on these sides of `other`, seen by whoever looks at the picture."""
    straight, corner = straight_side(one, other, CHECK_SLOPE), corner_side(one, other)
    if straight and len(sides) == 1:
        return straight in sides
    if corner and len(sides) == 2:
        return sides == {*corner}
    across = (one[0] + one[2] - other[0] - other[2]) / 2
    contrary = {
        "left": across >= GAP,
        "right": across <= -GAP,
        # what stands behind a thing is higher in the picture and yet not above: only what is clear counts
        "above": one[1] >= other[3],
        "below": one[3] <= other[1],
    }
    return False if any(contrary[side] for side in sides) else None


def further_out(one: Rectangle, side: str, other: Rectangle) -> bool | None:
    """Whether `one` is clearly further to that side (`left`, `right`, `top`, `bottom`) of the picture than `other`."""
    if is_further_out(one, side, other):
        return True
    return False if is_further_out(other, side, one) else None
