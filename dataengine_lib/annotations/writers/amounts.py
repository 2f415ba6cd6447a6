"""Step 3, annotations teacher: how many, which is larger and of which there are more, by boxes and captions."""

from itertools import permutations
from random import Random

from dataengine_lib.annotations.draft import Draft
from dataengine_lib.annotations.facts import MAX_COUNT, Facts
from dataengine_lib.annotations.geometry import area
from dataengine_lib.annotations.vocabulary import plural

LARGER = 2.5  # ratio of box areas; at 1.5 one in thirty outlines in COCO is the other way round, at 2.5 none
_PARTS = ({"vase", "potted plant"}, {"cup", "wine glass"}, {"cup", "bowl"})  # often two names of one thing
_NEAR = 3  # wrong numbers are at most this far from the right one


def larger(facts: Facts, rng: Random) -> Draft | None:
    """What takes up the most room, of four things or of two; a table or a bed is guessed without looking."""
    sizes = {name: area(box) for name, box in facts.singles().items() if name not in ("dining table", "bed")}
    wide = sorted(sizes, key=lambda name: (-sizes[name], name))
    # Against every other thing of the picture too, or "most" would not be proven.
    if len(wide) >= 4 and sizes[wide[0]] >= LARGER * sizes[wide[1]]:
        wrong = tuple(rng.sample(wide[1:], 3))
        question = (
            f"Which of these takes up the most room in the picture: {', '.join(sorted((wide[0], *wrong)))}?"
        )
        return Draft(
            question, wide[0], wrong, f"The {wide[0]} takes up much more room in the picture than the others."
        )
    pairs = [
        (sizes[a] / sizes[b], a, b)
        for a, b in permutations(wide, 2)
        if sizes[a] >= LARGER * sizes[b] and {a, b} not in _PARTS
    ]
    if not pairs:
        return None
    close = sorted(pairs)[: (len(pairs) + 1) // 2]  # the others are seen from the names
    _, a, b = rng.choice(close)
    first, second = rng.sample((a, b), 2)
    question = f"Which takes up more room in the picture, the {first} or the {second}?"
    others = (f"the {b}", "both the same", "neither of them is there")
    why = f"The {a} takes up much more room in the picture than the {b}."
    return Draft(question, f"the {a}", tuple(rng.sample(others, 3)), why)


def count(facts: Facts, rng: Random) -> Draft | None:
    """How many there are of a thing of which there are several."""
    return _how_many(rng, {name: n for name, n in facts.counts().items() if n > 1})


def count_one(facts: Facts, rng: Random) -> Draft | None:
    """How many there are, where it is one: asked last, or most counts would be one."""
    return _how_many(rng, {name: n for name, n in facts.counts().items() if n == 1})


def _how_many(rng: Random, counts: dict[str, int]) -> Draft | None:
    if not counts:
        return None
    name = rng.choice(list(counts))
    n = counts[name]
    near = range(max(1, n - _NEAR), min(MAX_COUNT + 2, n + _NEAR) + 1)
    wrong = rng.sample([other for other in near if other != n], 3)
    seen = f"One {name} is" if n == 1 else f"{n} {plural(name)} are"
    question = f"How many {plural(name)} are there in the picture?"
    return Draft(question, str(n), tuple(map(str, wrong)), f"{seen} in the picture.")


def more_of(facts: Facts, rng: Random) -> Draft | None:
    """Of which of two things there are more."""
    counts = facts.counts()
    # One that was overlooked must not turn it round.
    pairs = [(a, b) for a, b in permutations(counts, 2) if counts[a] >= counts[b] + 2]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    first, second = rng.sample((a, b), 2)
    question = f"Are there more {plural(first)} or more {plural(second)} in the picture?"
    others = (f"more {plural(b)}", "as many of one as of the other", "there are none of either")
    why = f"{_many(counts[a], a)} and {_many(counts[b], b)} can be seen."
    return Draft(question, f"more {plural(a)}", tuple(rng.sample(others, 3)), why)


def _many(n: int, name: str) -> str:
    return f"{n} {name if n == 1 else plural(name)}"
