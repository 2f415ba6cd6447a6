"""Step 3, annotations teacher: what holds, carries or supports what, where two captions agree and boxes touch."""

import re
from itertools import chain
from random import Random

from dataengine_lib.annotations.draft import Draft, a, is_are
from dataengine_lib.annotations.facts import Facts
from dataengine_lib.annotations.geometry import touches
from dataengine_lib.annotations.vocabulary import called
from dataengine_lib.annotations.writers.actions import WORDS, agents_of, said_of_people
from dataengine_lib.annotations.writers.attributes import AGREE

_SEATS = "bench|couch|bed|chair|toilet|suitcase|motorcycle|horse|elephant|skateboard|boat|truck|car"
# How captions say it, what can take part, and whether nobody does it with two things at once.
HOLDS: dict[str, tuple[str, str, bool]] = {
    "holding": (
        r"(?:hold|carry)(?:s|ing)?|carries",
        "umbrella|frisbee|kite|surfboard|skateboard|snowboard|tennis racket|baseball bat|teddy bear|banana|pizza|"
        "donut|sandwich|hot dog|cake|suitcase|laptop|scissors|cell phone|toothbrush|remote|wine glass|cat|dog|skis",
        False,
    ),
    "eating": (r"eat(?:s|ing)?", "banana|pizza|donut|sandwich|hot dog|cake|apple|carrot|broccoli|orange", True),
    "riding": (
        r"rid(?:es|ing)(?: on)?",
        "horse|elephant|bicycle|motorcycle|skateboard|surfboard|snowboard|boat|cow|bus|train",
        True,
    ),
    "sitting on": (r"(?:sit(?:s|ting)?(?: down)?|seated) (?:on top of|on|in|atop)", _SEATS, True),
    "standing on": (r"stand(?:s|ing)? (?:on top of|on|atop|in)", _SEATS + "|surfboard|snowboard|skis", True),
    "lying on": (r"(?:lay|ly)(?:s|ing)?(?: down)? (?:on top of|on|in|atop)", _SEATS + "|laptop|keyboard", True),
}  # fmt: skip
_SURFACES = "table|plate|tray|counter|desk|shelf|bed|couch|bench|chair|toilet|sink|oven|refrigerator|suitcase"
_ALIKE = (
    {"couch", "chair", "bed"},
    {"chair", "bench"},
    {"bicycle", "motorcycle"},
    {"skis", "snowboard"},
    {"car", "truck"},
    {"bus", "train"},
    {"apple", "orange"},
    {"carrot", "orange", "broccoli"},
    {"sandwich", "hot dog", "pizza"},
    {"donut", "cake"},
    {"table", "plate", "tray", "counter", "desk", "shelf"},  # the plate is on the table
    {"sink", "counter"},
    {"oven", "counter"},
)


def hold(facts: Facts, rng: Random) -> Draft | None:
    """What the only animal or person, or one of several people, holds, rides or is on."""
    agents = agents_of(facts)
    alone = len(agents) == 1 and agents[0] in facts.singles()
    who = agents[0] if alone else "person"
    if who not in agents or who not in facts.boxes:
        return None
    absent = set(facts.absent())
    found: list[tuple[str, str, list[str]]] = []
    for relation, (verb, able, only_one) in HOLDS.items():
        said = {thing: _captions(facts, verb, thing, alone) for thing in able.split("|")}
        named = [thing for thing, captions in said.items() if captions]
        if len(named) != 1 or said[named[0]] < AGREE or not _touch(facts, named[0], who):
            continue
        others = [
            other
            for other in said
            if not _alike(other, named[0])
            and (other in absent or (alone and (other not in facts.boxes or _apart(facts, other, who))))
            and (only_one or other in absent or other in facts.boxes)
            and not facts.mentioned(called(other))
        ]
        if len(others) >= 3:
            found.append((relation, named[0], others))
    if not found:
        return None
    relation, thing, others = rng.choice(found)
    wrong = tuple(a(other) for other in facts.drawn(rng, others))
    somebody = f"the {who}" if alone else "somebody in the picture"
    why = f"{'The ' + who if alone else 'Somebody'} is {relation} {a(thing)}."
    return Draft(f"What is {somebody} {relation}?", a(thing), wrong, why)


def support(facts: Facts, rng: Random) -> Draft | None:
    """What a thing that does not move by itself lies or stands on."""
    if not facts.complete:
        return None
    surfaces = _SURFACES.split("|")
    found: list[tuple[str, str]] = []
    for name in facts.singles():
        if name in surfaces or facts.kinds.get(name) in (
            "animal",
            "person",
            "vehicle",
            "outdoor",
            "furniture",
        ):
            continue
        words = "|".join(map(re.escape, called(name)))
        lies = r"(?: (?:that )?(?:is |are )?(?:sitting|sits|laying|lying|lays|resting|rests|placed|set|standing))?"
        said = {
            surface: sum(
                bool(
                    re.search(
                        rf"\b(?:{words}){lies} (?:on top of|on|in|atop|top of) {WORDS}(?:{_named(surface)})\b",
                        caption,
                    )
                )
                for caption in facts.captions
            )
            for surface in surfaces
        }
        named = [surface for surface in surfaces if said[surface]]
        if len(named) == 1 and said[named[0]] >= AGREE:
            found.append((name, named[0]))
    if not found:
        return None
    name, surface = rng.choice(found)
    others = [
        other
        for other in surfaces
        if not _alike(other, surface) and other not in facts.boxes and not facts.mentioned(called(other))
    ]
    if len(others) < 3:
        return None
    wrong = tuple(a(other) for other in facts.drawn(rng, others))
    verb = is_are(name)
    return Draft(f"What {verb} the {name} on?", a(surface), wrong, f"The {name} {verb} on {a(surface)}.")


def _captions(facts: Facts, verb: str, thing: str, alone: bool) -> int:
    """How many captions say it; where there are several who could do it, of a person."""
    # A bus stop is no bus.
    pattern = re.compile(
        rf"\b(?:{verb}) {WORDS}(?:{_named(thing)})\b(?! (?:stop|rack|station|shop|park|tracks?|seat)\b)"
    )
    if alone:
        return sum(bool(pattern.search(caption)) for caption in facts.captions)
    return said_of_people(facts, pattern)


def _named(thing: str) -> str:
    return "|".join(map(re.escape, chain.from_iterable((word, word + "s") for word in called(thing))))


def _alike(one: str, other: str) -> bool:
    return one == other or any({one, other} <= alike for alike in _ALIKE)


def _touch(facts: Facts, thing: str, who: str) -> bool:
    return any(touches(one, other) for one in facts.boxes.get(thing, []) for other in facts.boxes[who])


def _apart(facts: Facts, thing: str, who: str) -> bool:
    return thing not in facts.crowds and not _touch(facts, thing, who)
