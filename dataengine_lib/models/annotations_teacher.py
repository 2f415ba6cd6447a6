"""Step 3, the teacher that is built in: free, offline, and it writes only QAs that boxes and captions prove.

Whatever they leave open is answered with Skip. The same query gets the same reply, its right
letter drawn by hash.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path, PurePosixPath
from random import Random

from dataengine_lib.data.image_pool import COCO, NO_SIZE, TOO_MANY_BOXES, PoolImage
from dataengine_lib.data.pool_source import read_pool
from dataengine_lib.data.records import LETTERS, Query, options_text
from dataengine_lib.errors import DataEngineError
from dataengine_lib.models.annotation_facts import MAX_COUNT, Facts, area
from dataengine_lib.models.annotation_words import (
    PLURAL_FORM,
    SCENES,
    UNCOUNTABLE,
    mention,
    names_of,
    plural,
)
from dataengine_lib.models.teacher import Reply

SKIP = (
    "Question: Skip\nChoices: Skip\nAnswer: Skip\n"
    "Explanation: What is known about the picture does not prove an answer."
)

LARGER = 2.5  # ratio of box areas; at 1.5 one in thirty outlines in COCO is the other way round, at 2.5 none
GAP = 0.03  # clear space between two things, in shares of the picture
OVERLAP = 0.5  # two things side by side share this part of the lower one's height
MARGIN = 0.01  # a thing is in a third of the picture when it stays this far from the next third
SEEN = 0.01  # a thing that covers less of the picture is too small to be asked for


@dataclass(frozen=True)
class Draft:
    """A question with its proven answer and three answers that are proven wrong."""

    question: str
    answer: str
    wrong: tuple[str, ...]
    why: str


class AnnotationsTeacher:
    """`ask(query)` answers from the COCO-style folder that holds the query's image.

    Raises DataEngineError when the folder cannot be read or is not COCO's kind, or a query's image is not in it.
    """

    def __init__(self, coco_dataset: Path) -> None:
        self.pool = read_pool(coco_dataset)
        if self.pool.kind != COCO:
            raise DataEngineError(
                f"{coco_dataset}: teacher 'annotations' needs boxes around everything of COCO's kinds, "
                f"which a {self.pool.kind} does not have; give a COCO folder or another teacher"
            )

    async def ask(self, query: Query, room: int | None = None) -> Reply:
        """A QA of the query's type about its image, or Skip."""
        return Reply(text=self.write(query), finish_reason="stop", model="annotations")

    def write(self, query: Query) -> str:
        """The reply's text, as `raw_instructions` holds it."""
        image = self._image(query)
        writer = WRITERS.get(query.question_type)
        if writer is None or image.skip in (TOO_MANY_BOXES, NO_SIZE):
            return SKIP
        key = query.query_id or f"{query.image_id} {query.question_type} {query.prompt}"
        draft = writer(Facts.of(image, self.pool.categories), Random(f"annotations {key}"))
        if draft is None or len({draft.answer, *draft.wrong}) != 4:
            return SKIP
        place = int(hashlib.sha256(f"letter {key}".encode()).hexdigest(), 16) % 4
        choices = list(draft.wrong)
        choices.insert(place, draft.answer)
        return (
            f"Question: {draft.question}\nChoices: {options_text(choices)}\n"
            f"Answer: The answer is ({LETTERS[place]}): {draft.answer}.\nExplanation: {draft.why}"
        )

    def _image(self, query: Query) -> PoolImage:
        image = self.pool.find(query.image_id)
        if image is None:
            raise DataEngineError(
                f"{self.pool.root}: no annotations of image {query.image_id}, of query {query.query_id!r}; "
                "give the COCO folder that the queries were made from"
            )
        names = {PurePosixPath(path).name for path in (query.image_path, image.path) if path}
        if len(names) > 1:
            raise DataEngineError(
                f"{self.pool.root}: image {query.image_id} is {image.path} there but "
                f"{query.image_path} in query {query.query_id!r}; "
                "give the COCO folder that the queries were made from"
            )
        return image


def _is(name: str) -> str:
    return "are" if name in PLURAL_FORM else "is"


def _it(name: str) -> str:
    return "them" if name in PLURAL_FORM else "it"


# --- one writer per question type -------------------------------------------------------------------------

_COLUMNS, _ROWS = ("left", "middle", "right"), ("top", "middle", "bottom")


def _third(low: float, high: float) -> int | None:
    """Which third of 0 to 1 the span lies in, clear of the others by MARGIN."""
    for third in range(3):
        begin, end = third / 3, (third + 1) / 3
        if (third == 0 or low >= begin + MARGIN) and (third == 2 or high <= end - MARGIN):
            return third
    return None


def _localization(facts: Facts, rng: Random) -> Draft | None:
    found: list[tuple[str, str, list[str]]] = []
    for name, (x1, y1, x2, y2) in facts.singles().items():
        column, row = _third(x1, x2), _third(y1, y2)
        cells = [f"{r} {c}" if r != c else "the very middle" for r in _ROWS for c in _COLUMNS]
        if column is not None and row is not None:
            found.append((name, cells[3 * row + column], cells))
        elif column is not None:
            found.append(
                (
                    name,
                    f"the {_COLUMNS[column]} third",
                    [*(f"the {c} third" for c in _COLUMNS), "the whole width"],
                )
            )
        elif row is not None:
            bands = ("top", "middle", "bottom")
            found.append(
                (name, f"the {bands[row]} third", [*(f"the {b} third" for b in bands), "the whole height"])
            )
    if not found:
        return None
    name, answer, places = rng.choice(found)
    wrong = tuple(rng.sample([place for place in places if place != answer], 3))
    question = f"Which part of the picture {_is(name)} the {name} in?"
    return Draft(
        question, answer, wrong, f"The {name} {_is(name)} wholly in this part of the picture: {answer}."
    )


_SIDES = {"left": "to the left of", "right": "to the right of", "above": "above", "below": "below"}


def _side(a: tuple[float, ...], b: tuple[float, ...]) -> str | None:
    """Where `a` is seen from `b`, when only one of the four words is true."""
    shared_x, shared_y = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if shared_y >= OVERLAP * min(a[3] - a[1], b[3] - b[1]) and shared_x <= -GAP:
        return "left" if a[0] < b[0] else "right"
    if shared_x >= OVERLAP * min(a[2] - a[0], b[2] - b[0]) and shared_y <= -GAP:
        return "above" if a[1] < b[1] else "below"
    return None


def _spatial(facts: Facts, rng: Random) -> Draft | None:
    pairs = [
        (a, b, side) for (a, p), (b, q) in permutations(facts.singles().items(), 2) if (side := _side(p, q))
    ]
    if not pairs:
        return None
    a, b, side = rng.choice(pairs)
    sides = {key: f"{words} {_it(b)}" for key, words in _SIDES.items()}
    wrong = [words for key, words in sides.items() if key != side]
    rng.shuffle(wrong)
    question = f"Where in the picture {_is(a)} the {a}, compared with the {b}?"
    return Draft(question, sides[side], tuple(wrong), f"The {a} {_is(a)} {_SIDES[side]} the {b}.")


def _comparison(facts: Facts, rng: Random) -> Draft | None:
    sizes = {name: area(box) for name, box in facts.singles().items()}
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
    pairs = [(a, b) for a, b in permutations(wide, 2) if sizes[a] >= LARGER * sizes[b]]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    first, second = rng.sample((a, b), 2)
    question = f"Which takes up more room in the picture, the {first} or the {second}?"
    wrong = (f"the {b}", "both the same", "neither of them is there")
    return Draft(
        question,
        f"the {a}",
        tuple(rng.sample(wrong, 3)),
        f"The {a} takes up much more room in the picture than the {b}.",
    )


def _count(facts: Facts, rng: Random) -> Draft | None:
    counts = {name: n for name, n in facts.counts().items() if name not in UNCOUNTABLE}
    if not counts:
        return None
    most = [name for name, n in counts.items() if n > 1] or list(counts)
    name = rng.choice(most)
    wrong = rng.sample([n for n in range(1, MAX_COUNT + 3) if n != counts[name]], 3)
    seen = f"One {name} is" if counts[name] == 1 else f"{counts[name]} {plural(name)} are"
    question = f"How many {plural(name)} are there in the picture?"
    return Draft(question, str(counts[name]), tuple(map(str, wrong)), f"{seen} in the picture.")


def _presence(facts: Facts, rng: Random) -> Draft | None:
    there = [name for name in facts.boxes if facts.area(name) >= SEEN]
    absent = facts.absent()
    if not there or len(absent) < 3:
        return None
    name = rng.choice(there)
    question = "Which of these is in the picture?"
    return Draft(question, name, tuple(rng.sample(absent, 3)), f"Of these only the {name} can be seen.")


def _topic(facts: Facts, rng: Random) -> Draft | None:
    """What every caption names and nothing in the picture outdoes."""
    absent = facts.absent()
    named = [
        name
        for name in facts.boxes
        if all(mention(names_of(name)).search(caption) for caption in facts.captions)
    ]
    if len(named) != 1 or len(facts.captions) < 3 or len(absent) < 3 or facts.area(named[0]) < 10 * SEEN:
        return None
    wrong = tuple(rng.sample(absent, 3))
    return Draft(
        "Which of these is the picture about?",
        named[0],
        wrong,
        f"The picture is about the {named[0]}; the others are not in it.",
    )


def _scene(facts: Facts, rng: Random) -> Draft | None:
    """A scene that two captions name while none names another."""
    shown = {
        scene: sum(
            bool(mention(tuple(words.shown_by.split("|"))).search(caption)) for caption in facts.captions
        )
        for scene, words in SCENES.items()
    }
    named = [scene for scene, captions in shown.items() if captions]
    if len(named) != 1 or shown[named[0]] < 2:
        return None
    things = {*facts.boxes, *facts.crowds}
    wrong = [
        scene
        for scene, words in SCENES.items()
        if scene != named[0]
        and not facts.mentioned(tuple(words.hinted_by.split("|")))
        and things.isdisjoint(words.things.split("|"))
    ]
    if len(wrong) < 3:
        return None
    return Draft(
        "Which place does the picture show?",
        named[0],
        tuple(rng.sample(wrong, 3)),
        f"The picture shows {named[0]}.",
    )


WRITERS: dict[str, Callable[[Facts, Random], Draft | None]] = {
    "object_localization": _localization,
    "spatial_relationship": _spatial,
    "attribute_comparison": _comparison,
    "attribute_recognition": _count,
    "identity_reasoning": _presence,
    "image_topic": _topic,
    "image_scene": _scene,
}
