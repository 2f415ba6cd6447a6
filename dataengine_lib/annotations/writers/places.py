"""Step 3, annotations teacher: questions about where a thing is in the image or relative to another thing."""

from itertools import permutations
from random import Random

from dataengine_lib.annotations.draft import QaDraft
from dataengine_lib.annotations.facts import ImageFacts, LocatedThing
from dataengine_lib.annotations.geometry import (
    TEACHER_SLOPE,
    corner_side,
    is_further_out,
    straight_side,
    third_of_span,
)

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


def write_place(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """Which ninth or third of the image holds all of a thing."""
    # "top left", "top middle", …; "middle middle" is "the very middle"
    cells = [f"{r} {c}" if r != c else "the very middle" for r in _ROWS for c in _COLUMNS]
    columns = [*(f"the {c} third" for c in _COLUMNS), "the whole width"]
    rows = [*(f"the {r} third" for r in _ROWS), "the whole height"]
    found: list[tuple[LocatedThing, str, list[str]]] = []
    # the most exact part that holds the thing: a cell of the 3 by 3 grid, else a column, else a row
    for thing in facts.located_things():
        x1, y1, x2, y2 = thing.box
        column, row = third_of_span(x1, x2), third_of_span(y1, y2)
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
    verb = _verb(thing)
    question = f"Which part of the picture {verb} the {thing.words} in?"
    why = f"The {thing.words} {verb} wholly in this part of the picture: {answer}."
    return QaDraft(question, answer, wrong, why)


def write_outermost(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """Which of four things is furthest to one side of the image, with both of its edges and its middle."""
    things = facts.located_things()
    found: list[tuple[str, LocatedThing, list[str]]] = []
    for side in ("left", "right", "top", "bottom"):
        words = f"{'furthest' if side in ('left', 'right') else 'nearest'} to the {side}"
        for thing in things:
            inner = [other.words for other in things if is_further_out(thing.box, side, other.box)]
            if len(inner) >= 3:
                found.append((words, thing, inner))
    if not found:
        return None
    words, thing, inner = rng.choice(found)
    if words.startswith("furthest"):
        question = f"Which of these is {words} in the picture?"
    else:
        question = f"Which of these is {words} of the picture?"
    why = f"The {thing.words} {_verb(thing)} {words}; the others are further in."
    return QaDraft(question, thing.words, tuple(rng.sample(inner, 3)), why)


def write_side(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """On which side of another thing a thing lies."""
    pairs: list[tuple[LocatedThing, LocatedThing, str, list[str]]] = []
    for a, b in permutations(facts.located_things(), 2):
        it = "them" if b.is_plural else "it"
        # "to the left of it", or where the boxes are apart both ways "above it and to the left"
        if straight := straight_side(a.box, b.box, TEACHER_SLOPE):
            others = [f"{words} {it}" for key, words in _SIDES.items() if key != straight]
            pairs.append((a, b, f"{_SIDES[straight]} {it}", others))
        elif corner := corner_side(a.box, b.box):
            others = [words.format(it) for key, words in _CORNERS.items() if key != corner]
            pairs.append((a, b, _CORNERS[corner].format(it), others))
    if not pairs:
        return None
    a, b, answer, others = rng.choice(pairs)
    question = f"Where in the picture {_verb(a)} the {a.words}, compared with the {b.words}?"
    why = f"Seen from the {b.words}, the {a.words} {_verb(a)} {answer}."
    return QaDraft(question, answer, tuple(rng.sample(others, 3)), why)


def _verb(thing: LocatedThing) -> str:
    return "are" if thing.is_plural else "is"
