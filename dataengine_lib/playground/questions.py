"""A-OKVQA-style questions about playground pictures, one writer per question type.

A writer gets the known facts of a picture and returns a question with its answer, or None when the facts do not support
its type. The playground's sets are written from all facts of a scene; the scripted teacher writes from captions and boxes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from dataengine_lib.playground import world
from dataengine_lib.playground.answer_tables import (
    EMOTIONS,
    NATURE_ANSWERS,
    OUTCOMES,
    PLACES,
    RELATION_ANSWERS,
    SIDES,
    SOCIAL_ANSWERS,
    USES,
    USES_BY_ACTION,
    VOICES,
    YOUNG,
)
from dataengine_lib.playground.captions import FAULT_WORDS, STYLE_WORDS, KnownThing, PictureFacts, place_of


@dataclass(frozen=True)
class QA:
    """A question with its answer, at least three wrong answers to draw from, and the reason for the answer."""

    question: str
    answer: str
    wrong: tuple[str, ...]
    why: str
    short: str = ""  # the answer as people would say it in one or two words


def write_question(question_type: str, facts: PictureFacts, rng: Random) -> QA | None:
    """A question of the type about a picture with these facts, None when they do not support the type."""
    return QUESTION_WRITERS[question_type](facts, rng)


def _others(table: dict[str, str], key: str) -> tuple[str, ...]:
    """All answers of a table that differ from the one of `key`."""
    return tuple(value for value in table.values() if value != table[key])


def _identity(facts: PictureFacts, rng: Random) -> QA | None:
    if len(facts.people) != 1 or not facts.people[0][1]:
        return None
    noun, role, _ = facts.people[0]
    question = rng.choice((f"What is the job of the {noun}?", f"Who is the {noun} in the picture?"))
    return QA(
        question,
        role,
        tuple(r for r in world.PERSON_ROLES if r != role),
        f"The {noun} is dressed as a {role}.",
    )


def _physical_property(facts: PictureFacts, rng: Random) -> QA | None:
    known = [thing for thing in facts.things if thing.material]
    if not known:
        return None
    thing = known[0]
    assert thing.material
    question = rng.choice((f"What is the {thing.kind} made of?", f"Which material is the {thing.kind}?"))
    wrong = tuple(m for m in world.SUPPORT_MATERIALS if m != thing.material)
    return QA(
        question, thing.material, wrong, f"The surface of the {thing.kind} looks like {thing.material}."
    )


def _attribute(facts: PictureFacts, rng: Random) -> QA | None:
    known = [thing for thing in facts.things if thing.color]
    if not known:
        return None
    thing = rng.choice(known)
    question = rng.choice((f"What color is the {thing.kind}?", f"Which color does the {thing.kind} have?"))
    return QA(
        question,
        str(thing.color),
        tuple(c for c in world.COLORS if c != thing.color),
        f"The {thing.kind} is {thing.color}.",
    )


def _function(facts: PictureFacts, rng: Random) -> QA | None:
    present = {USES[thing.kind]: thing.kind for thing in facts.things if thing.kind in USES}
    if not present or not facts.style:
        return None
    use = rng.choice(sorted(present))
    # uses that something else in the picture has too would be right answers: they cannot be wrong choices
    also = {USES_BY_ACTION[action] for _, _, action in facts.people if action in USES_BY_ACTION}
    if any(thing.kind == "wall clock" for thing in facts.things):
        also.add(USES["clock"])
    if any("lamp" in thing.kind for thing in facts.things):
        also.add(USES["lamp"])
    if any(thing.kind in ("sofa", "bench", "stool") for thing in facts.things):
        also.add(USES["chair"])
    if any(thing.kind in ("sofa", "suitcase", "crate", "car", "truck", "bus") for thing in facts.things):
        also |= {USES["bed"], USES["backpack"], USES["bus"]}
    # sorted, since the order of a set of texts changes from run to run, and draws depend on it
    wrong = tuple(sorted(set(USES.values()) - set(present) - also))
    question = rng.choice(
        ("What is something in the picture good for?", "What could somebody use a thing here for?")
    )
    return QA(question, use, wrong, f"There is a {present[use]}, which is good for {use}.")


def _localization(facts: PictureFacts, rng: Random) -> QA | None:
    placed = [(thing.kind, place) for thing in facts.things if (place := place_of(thing.box))]
    if not placed:
        return None
    kind, place = rng.choice(placed)
    question = rng.choice(
        (f"Where in the picture is the {kind}?", f"In which part of the picture is the {kind}?")
    )
    return QA(question, place, tuple(p for p in PLACES if p != place), f"The {kind} is {place} of the picture.",
              # "left" for "on the left"
              place.split()[-1])  # fmt: skip


def _area(thing: KnownThing) -> float:
    assert thing.box
    return (thing.box[2] - thing.box[0]) * (thing.box[3] - thing.box[1])


def _comparison(facts: PictureFacts, rng: Random) -> QA | None:
    things = sorted((thing for thing in facts.things if thing.box), key=_area)
    if len(things) < 2:
        return None
    # the largest must have 1.3 times the area of the next one, the smallest be 1.3 times smaller
    clear = {
        True: _area(things[-1]) >= 1.3 * _area(things[-2]),
        False: _area(things[1]) >= 1.3 * _area(things[0]),
    }
    if not any(clear.values()):
        return None
    most = rng.choice([most for most in clear if clear[most]])
    right = things[-1] if most else things[0]
    wrong = tuple(thing.kind for thing in things if thing is not right)
    size = "largest" if most else "smallest"
    # where there are fewer than three other things, names of absent things fill up the wrong answers
    absent = [
        kind for kind in world.ANIMALS + world.VEHICLES + world.FOOD if all(kind != t.kind for t in things)
    ]
    wrong += tuple(rng.sample(absent, max(0, 3 - len(wrong))))
    return QA(f"Which of these is the {size} in the picture?", right.kind, wrong,
              f"The {right.kind} takes up the {'most' if most else 'least'} room.")  # fmt: skip


def _nature(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.vignette or facts.vignette[0] != "nature":
        return None
    _, value, one, other = facts.vignette
    question = rng.choice(
        ("How do the two living things belong together?", "What are the two living things to each other?")
    )
    return QA(
        question, NATURE_ANSWERS[value], _others(NATURE_ANSWERS, value), f"There is a {one} with a {other}."
    )


def _future(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.vignette or facts.vignette[0] != "event":
        return None
    _, value, one, other = facts.vignette
    question = rng.choice(("What will probably happen next?", "What is about to happen?"))
    return QA(question, OUTCOMES[value], _others(OUTCOMES, value), f"There is a {one} with a {other}.")


def _scene(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.setting:
        return None
    question = rng.choice(("Where does the scene take place?", "Which place does the picture show?"))
    return QA(
        question,
        facts.setting,
        tuple(s for s in world.SETTINGS if s != facts.setting),
        f"It shows a {facts.setting}.",
    )


def _spatial(facts: PictureFacts, rng: Random) -> QA | None:
    boxed = [thing for thing in facts.things if thing.box]
    pairs = [(a, b, side) for a in boxed for b in boxed if a is not b and (side := _side(a, b))]
    if not pairs:
        return None
    one, other, side = rng.choice(pairs)
    question = rng.choice((f"Where is the {one.kind} compared with the {other.kind}?",
                           f"Seen from the {other.kind}, where is the {one.kind}?"))  # fmt: skip
    return QA(question, side, tuple(s for s in SIDES if s != side),
    f"The {one.kind} is {side.replace('it', 'the ' + other.kind)}.",
              # "left" for "to the left of it", "above" for "above it"
              side.split()[2] if side.startswith("to") else side.split()[0])  # fmt: skip


def _side(one: KnownThing, other: KnownThing) -> str:
    """The side of `other` on which `one` clearly is: boxes apart along one axis, centres close along the other."""
    assert one.box and other.box
    a, b = one.box, other.box
    # from the center of `other` to that of `one`; y grows downwards
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    if (a[2] <= b[0] or b[2] <= a[0]) and abs(dy) < 0.6 * abs(dx):
        return "to the left of it" if dx < 0 else "to the right of it"
    if (a[3] <= b[1] or b[3] <= a[1]) and abs(dx) < 0.6 * abs(dy):
        return "above it" if dy < 0 else "below it"
    return ""


def _quality(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.fault:
        return None
    question = rng.choice(
        ("How good is the quality of the picture?", "What can be said about the picture quality?")
    )
    answers = {key: f"it is {words}" for key, words in FAULT_WORDS.items()}
    return QA(question, answers[facts.fault], _others(answers, facts.fault),
    f"The picture is {FAULT_WORDS[facts.fault]}.",
              FAULT_WORDS[facts.fault])  # fmt: skip


def _physical_relation(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.vignette or facts.vignette[0] != "relation":
        return None
    _, value, one, other = facts.vignette
    question = rng.choice(
        (f"How is the {one} placed at the {other}?", f"Where does the {one} rest at the {other}?")
    )
    return QA(
        question,
        RELATION_ANSWERS[value],
        _others(RELATION_ANSWERS, value),
        f"The {one} is {value} the {other}.",
        value,
    )


def _action(facts: PictureFacts, rng: Random) -> QA | None:
    if len(facts.people) != 1 or not facts.people[0][2]:
        return None
    noun, _, action = facts.people[0]
    question = rng.choice((f"What is the {noun} doing?", f"What does the {noun} do in the picture?"))
    return QA(question, action, tuple(a for a in world.ACTIONS if a != action), f"The {noun} is {action}.")


def _social(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.social:
        return None
    question = rng.choice(("How do the two people know each other?", "What connects the two people?"))
    return QA(
        question,
        SOCIAL_ANSWERS[facts.social],
        _others(SOCIAL_ANSWERS, facts.social),
        f"It shows a {facts.social}.",
    )


def _style(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.style:
        return None
    question = rng.choice(("How was the picture made?", "Which style does the picture have?"))
    return QA(
        question,
        STYLE_WORDS[facts.style],
        _others(STYLE_WORDS, facts.style),
        f"It is a {STYLE_WORDS[facts.style]}.",
    )


def _emotion(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.mood:
        return None
    question = rng.choice(("What feeling does the picture give?", "Which mood does the picture have?"))
    return QA(
        question,
        EMOTIONS[facts.mood],
        _others(EMOTIONS, facts.mood),
        f"The picture is {EMOTIONS[facts.mood]}.",
    )


def _topic(facts: PictureFacts, rng: Random) -> QA | None:
    if not facts.topic:
        return None
    question = rng.choice(("What is the picture about?", "Which topic does the picture have?"))
    return QA(
        question,
        facts.topic,
        tuple(t for t in world.TOPICS if t != facts.topic),
        f"There is a {world.TOPICS[facts.topic]}.",
    )


def _knowledge(facts: PictureFacts, rng: Random) -> QA | None:
    animals = [thing.kind for thing in facts.things if thing.kind in world.ANIMALS]
    if len(animals) != 1:
        return None
    kind = animals[0]
    # every animal is in at least one of the two tables
    possible = [(question, table) for question, table in (
        ("What is the young of the animal in the picture called?", YOUNG),
        ("How does the animal in the picture speak?", VOICES),
    ) if kind in table]  # fmt: skip
    question, table = rng.choice(possible)
    return QA(question, table[kind], _others(table, kind), f"The animal is a {kind}.")


QUESTION_WRITERS: dict[str, Callable[[PictureFacts, Random], QA | None]] = {
    "identity_reasoning": _identity, "physical_property_reasoning": _physical_property,
    "attribute_recognition": _attribute,
    "function_reasoning": _function, "object_localization": _localization, "attribute_comparison": _comparison,
    "nature_relation": _nature, "future_prediction": _future, "image_scene": _scene, "spatial_relationship": _spatial,
    "image_quality": _quality, "physical_relation": _physical_relation, "action_recognition": _action,
    "social_relation": _social, "image_style": _style, "image_emotion": _emotion, "image_topic": _topic,
    "knowledge-based_reasoning": _knowledge,
}  # fmt: skip
