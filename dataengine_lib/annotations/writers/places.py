"""Step 3, annotations teacher: where a thing is, in the picture or seen from another thing, by their boxes."""

from itertools import permutations
from random import Random

from dataengine_lib.annotations.draft import Draft
from dataengine_lib.annotations.facts import Box, Facts, Thing

GAP = 0.03  # clear space between two things, in shares of the picture
OVERLAP = 0.5  # two things side by side share this part of the lower one's height
MARGIN = 0.01  # a thing is in a third of the picture when it stays this far from the next third
_AHEAD = 0.08  # how much further out the middle of the outermost thing lies

_COLUMNS, _ROWS = ("left", "middle", "right"), ("top", "middle", "bottom")
_SIDES = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}
_CORNERS = {
    ("above", "left"): "above {} and to the left",
    ("above", "right"): "above {} and to the right",
    ("below", "left"): "below {} and to the left",
    ("below", "right"): "below {} and to the right",
}


def place(facts: Facts, rng: Random) -> Draft | None:
    """The ninth or third of the picture that holds the whole of a thing."""
    cells = [f"{r} {c}" if r != c else "the very middle" for r in _ROWS for c in _COLUMNS]
    columns = [*(f"the {c} third" for c in _COLUMNS), "the whole width"]
    rows = [*(f"the {r} third" for r in _ROWS), "the whole height"]
    found: list[tuple[Thing, str, list[str]]] = []
    for thing in facts.located():
        x1, y1, x2, y2 = thing.box
        column, row = _third(x1, x2), _third(y1, y2)
        if column is not None and row is not None:
            found.append((thing, cells[3 * row + column], cells))
        elif column is not None:
            found.append((thing, columns[column], columns))
        elif row is not None:
            found.append((thing, rows[row], rows))
    if not found:
        return None
    thing, answer, places = rng.choice(found)
    wrong = tuple(rng.sample([other for other in places if other != answer], 3))
    verb = _is(thing)
    question = f"Which part of the picture {verb} the {thing.words} in?"
    why = f"The {thing.words} {verb} wholly in this part of the picture: {answer}."
    return Draft(question, answer, wrong, why)


def outermost(facts: Facts, rng: Random) -> Draft | None:
    """Of four things, the one that begins, ends and has its middle furthest to one side."""
    things = facts.located()
    found: list[tuple[str, Thing, list[str]]] = []
    for words, axis, sign in (
        ("furthest to the left", 0, 1),
        ("furthest to the right", 0, -1),
        ("nearest to the top", 1, 1),
        ("nearest to the bottom", 1, -1),
    ):
        for thing in things:
            inner = [other.words for other in things if _further_out(thing.box, other.box, axis, sign)]
            if len(inner) >= 3:
                found.append((words, thing, inner))
    if not found:
        return None
    words, thing, inner = rng.choice(found)
    if words.startswith("furthest"):
        question = f"Which of these is {words} in the picture?"
    else:
        question = f"Which of these is {words} of the picture?"
    why = f"The {thing.words} {_is(thing)} {words}; the others are further in."
    return Draft(question, thing.words, tuple(rng.sample(inner, 3)), why)


def side(facts: Facts, rng: Random) -> Draft | None:
    """Where one thing is seen from another."""
    pairs: list[tuple[Thing, Thing, str, list[str]]] = []
    for a, b in permutations(facts.located(), 2):
        it = "them" if b.several else "it"
        if straight := _side(a.box, b.box):
            others = [f"{words} {it}" for key, words in _SIDES.items() if key != straight]
            pairs.append((a, b, f"{_SIDES[straight]} {it}", others))
        elif corner := _corner(a.box, b.box):
            others = [words.format(it) for key, words in _CORNERS.items() if key != corner]
            pairs.append((a, b, _CORNERS[corner].format(it), others))
    if not pairs:
        return None
    a, b, answer, others = rng.choice(pairs)
    question = f"Where in the picture {_is(a)} the {a.words}, compared with the {b.words}?"
    why = f"Seen from the {b.words}, the {a.words} {_is(a)} {answer}."
    return Draft(question, answer, tuple(rng.sample(others, 3)), why)


def _is(thing: Thing) -> str:
    return "are" if thing.several else "is"


def _third(low: float, high: float) -> int | None:
    """Which third of 0 to 1 the span lies in, clear of the others by MARGIN."""
    for third in range(3):
        begin, end = third / 3, (third + 1) / 3
        if (third == 0 or low >= begin + MARGIN) and (third == 2 or high <= end - MARGIN):
            return third
    return None


def _further_out(box: Box, other: Box, axis: int, sign: int) -> bool:
    low, high = sign * (other[axis] - box[axis]), sign * (other[axis + 2] - box[axis + 2])
    return low >= GAP and high >= GAP and (low + high) / 2 >= _AHEAD


def _side(a: Box, b: Box) -> str | None:
    """Where `a` is seen from `b`, when only one of the four words is true."""
    shared_x, shared_y = _shared(a, b)
    if shared_y >= OVERLAP * min(a[3] - a[1], b[3] - b[1]) and shared_x <= -GAP:
        return "left" if a[0] < b[0] else "right"
    if shared_x >= OVERLAP * min(a[2] - a[0], b[2] - b[0]) and shared_y <= -GAP:
        return "above" if a[1] < b[1] else "below"
    return None


def _corner(a: Box, b: Box) -> tuple[str, str] | None:
    """Where `a` is seen from `b`, when they are apart both ways."""
    shared_x, shared_y = _shared(a, b)
    if shared_x > -GAP or shared_y > -GAP:
        return None
    return ("above" if a[1] < b[1] else "below", "left" if a[0] < b[0] else "right")


def _shared(a: Box, b: Box) -> tuple[float, float]:
    """How much of the width and of the height two boxes have in common; below zero is the space between them."""
    return min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
