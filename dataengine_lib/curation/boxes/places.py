"""Step 4, box check: words for places in the image and for sides of a thing, and of which boxes they are true.

The result is True, False, or None where people would not agree. What is clear lies between two thresholds: a box is
only "not on the left" if nobody would say so.
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

# Words that a place may have beside the ones that say where it is: "in the upper left corner of the image".
_FILLER = {
    "in", "on", "at", "to", "the", "very", "far", "side", "corner", "part", "third", "half", "of", "picture", "image",
    "photo", "area", "hand", "section", "it", "it's", "is",
}  # fmt: skip
_COLUMNS, _ROWS = {"left": 0, "right": 2}, {"top": 0, "upper": 0, "bottom": 2, "lower": 2}
_MIDDLE = {"middle", "center", "centre", "central"}
_WHOLE = 3  # stands beside 0, 1 and 2, the thirds of an axis
_WIDTH, _HEIGHT = {"width", "wide", "left", "right"}, {"height", "high", "top", "bottom", "upper", "lower"}
_IT = r"(?: (?:it|them|the [a-z -]+?))?"
# "to the left", "on its right side", "left of the dog"
_ACROSS = (
    r"(?:(?:to|on) )?(?:the |its |their )?(?P<across>left|right)(?: side)?(?: of (?:it|them|the [a-z -]+))?"
)
# "above", "below the dog", "above it and to the left"; or one of the above alone
_SIDE = re.compile(rf"(?P<along>above|below){_IT}(?: and {_ACROSS})?|{_ACROSS.replace('across', 'alone')}")

# The thresholds of `_is_on_axis`, in shares of the image's width or height.
_SPANS_WHOLE = 0.05  # "the whole width": the free space at each end at most
_NOT_WHOLE = 0.8  # narrower boxes surely do not span the whole width
_IN_MIDDLE, _NOT_IN_MIDDLE = 0.08, 0.25  # "in the middle": distance of the box's middle from the image's
_MIDDLE_WIDTH = 0.5  # wider boxes are not clearly in the middle
_IN_END_THIRD = 0.3  # "on the left", beside "in the middle": where the box's middle lies at most
# "On the left": where the box ends at most; and, if parts are thirds, from where on its middle is surely outside.
_IN_HALF = 0.5
_NOT_IN_HALF = 0.6  # the same limit for the middle, if parts are halves


@dataclass(frozen=True)
class ImagePart:
    """Third (0, 1, 2) of the width and of the height, or `_WHOLE`; None if the words say nothing about that axis.

    `thirds`: whether the choices distinguish three parts of the width and of the height, rather than two.
    """

    column: int | None
    row: int | None
    thirds: tuple[bool, bool]


def image_parts_of(choices: Sequence[str]) -> list[ImagePart | None]:
    """The parts that lower-case choices name, each read together with the others; None for one that names none."""
    words_of = [_words(choice) for choice in choices]
    across = any(words & _WIDTH and not words & _HEIGHT for words in words_of)
    along = any(words & _HEIGHT and not words & _WIDTH for words in words_of)
    # "the middle" alone means the axis whose ends the other choices name, else both
    middle = (1, None) if across else (None, 1) if along else (1, 1)
    found = [_thirds_named(words, middle) for words in words_of]
    # beside a choice with "middle" or "third", "left" means the left third; without one, the left half
    thirds = [
        any("third" in words for words in words_of) or any(one and one[axis] == 1 for one in found)
        for axis in (0, 1)
    ]
    return [ImagePart(*one, (thirds[0], thirds[1])) if one else None for one in found]


def _thirds_named(
    words: set[str], middle: tuple[int | None, int | None]
) -> tuple[int | None, int | None] | None:
    """Column and row that the words name; None for other words. `middle` is what "the middle" alone means."""
    if words & {"whole", "entire"}:
        return _WHOLE if words & _WIDTH else None, _WHOLE if words & _HEIGHT else None
    columns, rows = ({table[word] for word in words & table.keys()} for table in (_COLUMNS, _ROWS))
    if words - _FILLER - _COLUMNS.keys() - _ROWS.keys() - _MIDDLE or len(columns) > 1 or len(rows) > 1:
        return None
    column, row = next(iter(columns), None), next(iter(rows), None)
    if words & _MIDDLE:
        # "the very middle" is the middle cell of nine
        if "very" in words:
            return 1, 1
        if column is None and row is None:
            return middle
        # "the top middle": the middle is that of the axis that the other word leaves open
        return (1, row) if column is None else (column, 1)
    return None if column is None and row is None else (column, row)


def is_in_part(box: Rectangle, part: ImagePart) -> bool | None:
    """Whether the box lies in that part of the image."""
    truths = [
        _is_on_axis(low, high, third, thirds)
        for low, high, third, thirds in (
            (box[0], box[2], part.column, part.thirds[0]),
            (box[1], box[3], part.row, part.thirds[1]),
        )
        if third is not None
    ]
    return False if False in truths else None if None in truths else True


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text))


def _is_on_axis(low: float, high: float, third: int, thirds: bool) -> bool | None:
    """Whether the span of a box lies in a third of the axis, or with `thirds` False in the half at that end."""
    middle = (low + high) / 2
    if third == _WHOLE:
        if low <= _SPANS_WHOLE and high >= 1 - _SPANS_WHOLE:
            return True
        return False if high - low < _NOT_WHOLE else None
    if thirds:
        # wholly inside one third, with a margin: then every third is decided
        if (own_third := third_of_span(low, high)) is not None:
            return own_third == third
        if third == 1:
            off = abs(middle - 0.5)
            if off <= _IN_MIDDLE and high - low <= _MIDDLE_WIDTH:
                return True
            return False if off >= _NOT_IN_MIDDLE else None
    if third == 2:  # mirrored, so that the rest speaks of the left or the top only
        low, high, middle = 1 - high, 1 - low, 1 - middle
    if thirds:
        return True if middle <= _IN_END_THIRD and high <= _IN_HALF else False if middle >= _IN_HALF else None
    return True if high <= _IN_HALF else False if low >= _IN_HALF or middle >= _NOT_IN_HALF else None


def sides_of_words(words: str) -> frozenset[str]:
    """The sides (left, right, above, below) that lower-case words name: one, or two as in "above it and to the left".

    Empty for other words.
    """
    found = _SIDE.fullmatch(words)
    return frozenset(filter(None, found.groupdict().values())) if found else frozenset()


def is_on_sides(one: Rectangle, sides: frozenset[str], other: Rectangle) -> bool | None:
    """Whether `one` lies on these sides of `other`, as seen in the image."""
    straight, corner = straight_side(one, other, CHECK_SLOPE), corner_side(one, other)
    if straight and len(sides) == 1:
        return straight in sides
    if corner and len(sides) == 2:
        return sides == {*corner}
    across = (one[0] + one[2] - other[0] - other[2]) / 2
    # Where no single word fits, only the opposite is false.
    is_opposite = {
        "left": across >= GAP,
        "right": across <= -GAP,
        # a thing behind another one is higher in the image, but not above it: the boxes must be apart
        "above": one[1] >= other[3],
        "below": one[3] <= other[1],
    }
    return False if any(is_opposite[side] for side in sides) else None


def is_outer(one: Rectangle, side: str, other: Rectangle) -> bool | None:
    """Whether `one` is further to that side (`left`, `right`, `top`, `bottom`) of the image than `other`."""
    if is_further_out(one, side, other):
        return True
    return False if is_further_out(other, side, one) else None
