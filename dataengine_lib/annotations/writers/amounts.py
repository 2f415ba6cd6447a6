"""Step 3, annotations teacher: questions about numbers and sizes: how many, which is larger, of which are there more."""

from itertools import permutations
from random import Random

from dataengine_lib.annotations.draft import QaDraft
from dataengine_lib.annotations.facts import MAX_COUNT, ImageFacts
from dataengine_lib.annotations.geometry import area
from dataengine_lib.annotations.vocabulary import plural

# Ratio of box areas from which a thing also has the larger outline: in COCO, at 1.5 one pair in thirty is the other way
# round, at 2.5 none.
CLEARLY_LARGER = 2.5
# Pairs of categories that annotators often use for the same object.
_SAME_OBJECT = ({"vase", "potted plant"}, {"cup", "wine glass"}, {"cup", "bowl"})
_LARGEST_ERROR = 3  # wrong numbers differ from the right one by at most this much


def write_larger(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """Which of four things, or of two, takes up the most room; not tables and beds, which can be guessed."""
    sizes = {
        name: area(box) for name, box in facts.single_things().items() if name not in ("dining table", "bed")
    }
    by_size = sorted(sizes, key=lambda name: (-sizes[name], name))
    # It must be larger than every other thing in the image: wrong answers are drawn from all of them.
    if len(by_size) >= 4 and sizes[by_size[0]] >= CLEARLY_LARGER * sizes[by_size[1]]:
        wrong = tuple(rng.sample(by_size[1:], 3))
        largest, listed = by_size[0], ", ".join(sorted((by_size[0], *wrong)))
        question = f"Which of these takes up the most room in the picture: {listed}?"
        why = f"The {largest} takes up much more room in the picture than the others."
        return QaDraft(question, largest, wrong, why)
    pairs = [
        (sizes[a] / sizes[b], a, b)
        for a, b in permutations(by_size, 2)
        if sizes[a] >= CLEARLY_LARGER * sizes[b] and {a, b} not in _SAME_OBJECT
    ]
    if not pairs:
        return None
    # The half of the pairs with the smaller ratios: with larger ones, the names alone give the answer away.
    close = sorted(pairs)[: (len(pairs) + 1) // 2]
    _, a, b = rng.choice(close)
    first, second = rng.sample((a, b), 2)
    question = f"Which takes up more room in the picture, the {first} or the {second}?"
    others = (f"the {b}", "both the same", "neither of them is there")
    why = f"The {a} takes up much more room in the picture than the {b}."
    return QaDraft(question, f"the {a}", tuple(rng.sample(others, 3)), why)


def write_count(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """How many there are of a thing that is there several times."""
    return _how_many(rng, {name: n for name, n in facts.counts().items() if n > 1})


def write_count_of_one(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """How many there are of a thing that is there once; tried last, since otherwise most answers would be one."""
    return _how_many(rng, {name: n for name, n in facts.counts().items() if n == 1})


def _how_many(rng: Random, counts: dict[str, int]) -> QaDraft | None:
    if not counts:
        return None
    name = rng.choice(list(counts))
    n = counts[name]
    # n = 1 leaves 2, 3 and 4: there are always three other numbers
    near = range(max(1, n - _LARGEST_ERROR), min(MAX_COUNT + 2, n + _LARGEST_ERROR) + 1)
    wrong = rng.sample([other for other in near if other != n], 3)
    seen = f"One {name} is" if n == 1 else f"{n} {plural(name)} are"
    question = f"How many {plural(name)} are there in the picture?"
    return QaDraft(question, str(n), tuple(map(str, wrong)), f"{seen} in the picture.")


def write_more_of(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """Of which of two things there are more."""
    counts = facts.counts()
    # A difference of two, so that one missed box does not change the answer.
    pairs = [(a, b) for a, b in permutations(counts, 2) if counts[a] >= counts[b] + 2]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    first, second = rng.sample((a, b), 2)
    question = f"Are there more {plural(first)} or more {plural(second)} in the picture?"
    others = (f"more {plural(b)}", "as many of one as of the other", "there are none of either")
    why = f"{_number_and_name(counts[a], a)} and {_number_and_name(counts[b], b)} can be seen."
    return QaDraft(question, f"more {plural(a)}", tuple(rng.sample(others, 3)), why)


def _number_and_name(n: int, name: str) -> str:
    return f"{n} {name if n == 1 else plural(name)}"
