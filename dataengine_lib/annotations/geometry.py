"""Where boxes lie in the image and relative to each other; used by step 3's annotations teacher and step 4's box check.

The teacher asks only what holds with a clear margin; the check refutes only what is clearly wrong. Both therefore use
the same tests, and the few thresholds that differ stand side by side below.
"""

Rectangle = tuple[float, float, float, float]
"""x1, y1, x2, y2 in shares of the image's width and height, from the top left corner."""

GAP = 0.03  # two boxes count as apart when this much space lies between them, in shares of the image
# Boxes side by side share at least this part of the lower one's height (one above the other: of the narrower's width).
_OVERLAP = 0.5
_MARGIN = 0.01  # a box lies in one third of the image when it stays this far away from the next third
_AHEAD = 0.08  # how much further out the middle of the outermost box lies, beside GAP for both of its edges
_REACH = 0.02  # boxes with a larger space between them do not touch

# A box that is apart from another one to the side, but shares too little height with it, still counts as beside it if
# its middle lies at most this far up or down, as a part of how far it lies to the side (and the same for above and
# below). The teacher leaves such pairs out, since a person may call them "above and to the left"; the check must
# accept a "left" that another teacher wrote about them.
TEACHER_SLOPE = 0.0
CHECK_SLOPE = 0.5

# For each side of the image: the axis (0: x, 1: y) and the sign of the direction away from it.
_DIRECTIONS = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}


def area(box: Rectangle) -> float:
    """Share of the image inside the box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def shorter_side(box: Rectangle) -> float:
    """The box's shorter side, in shares of the image's width or height."""
    return min(box[2] - box[0], box[3] - box[1])


def enclosing_box(boxes: list[Rectangle]) -> Rectangle:
    """The smallest box around all of the boxes."""
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


def _shared_spans(one: Rectangle, other: Rectangle) -> tuple[float, float]:
    """The width and the height that two boxes have in common; a negative value is the space between them."""
    return min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])


def shared_area(one: Rectangle, other: Rectangle) -> float:
    """Share of the image inside both boxes."""
    width, height = _shared_spans(one, other)
    return max(width, 0) * max(height, 0)


def overlap_over_union(one: Rectangle, other: Rectangle) -> float:
    """Intersection over union (IoU) of two boxes, 0 to 1."""
    both = shared_area(one, other)
    return both / max(area(one) + area(other) - both, 1e-9)


def touches(one: Rectangle, other: Rectangle) -> bool:
    """True if the boxes overlap or come within _REACH of each other."""
    return all(span >= -_REACH for span in _shared_spans(one, other))


def third_of_span(low: float, high: float) -> int | None:
    """Index of the third of the image (0, 1 or 2) that holds the whole span from `low` to `high`, by _MARGIN; or None."""
    for third in range(3):
        begin, end = third / 3, (third + 1) / 3
        # no margin is needed at the image's own edges
        if (third == 0 or low >= begin + _MARGIN) and (third == 2 or high <= end - _MARGIN):
            return third
    return None


def is_further_out(one: Rectangle, side: str, other: Rectangle) -> bool:
    """True if `one` is clearly further to a side of the image (`left`, `right`, `top`, `bottom`) than `other`.

    Both of its edges lie further out by GAP, and its middle by _AHEAD.
    """
    axis, sign = _DIRECTIONS[side]
    low, high = sign * (other[axis] - one[axis]), sign * (other[axis + 2] - one[axis + 2])
    return low >= GAP and high >= GAP and (low + high) / 2 >= _AHEAD


def straight_side(one: Rectangle, other: Rectangle, slope: float) -> str:
    """The side of `other` on which `one` lies: `left`, `right`, `above` or `below`; empty if no single word fits.

    `slope` is TEACHER_SLOPE or CHECK_SLOPE.
    """
    shared_x, shared_y = _shared_spans(one, other)
    # twice the distance of the middles, across and along
    dx, dy = (abs(one[axis] + one[axis + 2] - other[axis] - other[axis + 2]) for axis in (0, 1))
    lower, narrower = (min(one[axis + 2] - one[axis], other[axis + 2] - other[axis]) for axis in (1, 0))
    if shared_x <= -GAP and (shared_y >= _OVERLAP * lower or dy <= slope * dx):
        return "left" if one[0] < other[0] else "right"
    if shared_y <= -GAP and (shared_x >= _OVERLAP * narrower or dx <= slope * dy):
        return "above" if one[1] < other[1] else "below"
    return ""


def corner_side(one: Rectangle, other: Rectangle) -> tuple[str, str] | None:
    """The two sides of `other` on which `one` lies, as ("above", "left"), if the boxes are apart both ways."""
    shared_x, shared_y = _shared_spans(one, other)
    if shared_x > -GAP or shared_y > -GAP:
        return None
    return ("above" if one[1] < other[1] else "below", "left" if one[0] < other[0] else "right")
