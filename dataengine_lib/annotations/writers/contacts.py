"""Step 3, annotations teacher: what holds, carries or supports what, if two captions agree and boxes touch."""

import re
from itertools import chain
from random import Random

from dataengine_lib.annotations.draft import QaDraft, is_or_are, with_article
from dataengine_lib.annotations.facts import AGREEING_CAPTIONS, ImageFacts
from dataengine_lib.annotations.geometry import touches
from dataengine_lib.annotations.vocabulary import with_synonyms
from dataengine_lib.annotations.writers.actions import (
    WORDS_BETWEEN,
    animals_and_people,
    captions_about_people,
)

_SEATS = "bench|couch|bed|chair|toilet|suitcase|motorcycle|horse|elephant|skateboard|boat|truck|car"
# For each relation: how captions say it, the things that can take part, and whether one can do it with one thing only.
_RELATIONS: dict[str, tuple[str, str, bool]] = {
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
# Supercategories of things that stand by themselves.
_NOT_SUPPORTED = ("animal", "person", "vehicle", "outdoor", "furniture")
_SURFACES = "table|plate|tray|counter|desk|shelf|bed|couch|bench|chair|toilet|sink|oven|refrigerator|suitcase"
# Things that are easily confused, or that may both be right (the plate is on the table): where one is the right answer,
# the other is never used as a wrong one.
_CONFUSABLE = (
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
    {"table", "plate", "tray", "counter", "desk", "shelf"},
    {"sink", "counter"},
    {"oven", "counter"},
)


def write_holding(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """What the only animal or person, or one of several people, holds, eats, rides or is on."""
    agents = animals_and_people(facts)
    alone = len(agents) == 1 and agents[0] in facts.single_things()
    # where there are several, only what a person does is asked
    who = agents[0] if alone else "person"
    if who not in agents or who not in facts.boxes:
        return None
    absent = set(facts.absent_things())
    found: list[tuple[str, str, list[str]]] = []
    for relation, (verb, things, only_one) in _RELATIONS.items():
        captions = {thing: _captions_that_say(facts, verb, thing, alone) for thing in things.split("|")}
        named = [thing for thing, number in captions.items() if number]
        # captions that name two things for one relation contradict each other
        if len(named) != 1 or captions[named[0]] < AGREEING_CAPTIONS or not _touch(facts, named[0], who):
            continue
        others = [
            other
            for other in captions
            # a wrong answer is certainly absent or, beside the only person or animal, certainly out of reach
            if not _confusable(other, named[0])
            and (other in absent or (alone and (other not in facts.boxes or _apart(facts, other, who))))
            and (only_one or other in absent or other in facts.boxes)
            and not facts.mentioned(with_synonyms(other))
        ]
        if len(others) >= 3:
            found.append((relation, named[0], others))
    if not found:
        return None
    relation, thing, others = rng.choice(found)
    wrong = tuple(with_article(other) for other in facts.draw_plausible(rng, others))
    somebody = f"the {who}" if alone else "somebody in the picture"
    why = f"{'The ' + who if alone else 'Somebody'} is {relation} {with_article(thing)}."
    return QaDraft(f"What is {somebody} {relation}?", with_article(thing), wrong, why)


def write_support(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """What a thing that does not move by itself lies or stands on."""
    if not facts.boxes_are_complete:
        return None
    surfaces = _SURFACES.split("|")
    found: list[tuple[str, str]] = []
    for name in facts.single_things():
        if name in surfaces or facts.kinds.get(name) in _NOT_SUPPORTED:
            continue
        captions = {surface: _captions_on(facts, name, surface) for surface in surfaces}
        named = [surface for surface in surfaces if captions[surface]]
        if len(named) == 1 and captions[named[0]] >= AGREEING_CAPTIONS:
            found.append((name, named[0]))
    if not found:
        return None
    name, surface = rng.choice(found)
    others = [
        other
        for other in surfaces
        if not _confusable(other, surface)
        and other not in facts.boxes
        and not facts.mentioned(with_synonyms(other))
    ]
    if len(others) < 3:
        return None
    wrong = tuple(with_article(other) for other in facts.draw_plausible(rng, others))
    verb = is_or_are(name)
    return QaDraft(
        f"What {verb} the {name} on?",
        with_article(surface),
        wrong,
        f"The {name} {verb} on {with_article(surface)}.",
    )


def _captions_on(facts: ImageFacts, name: str, surface: str) -> int:
    """The number of captions that say that the thing is on the surface: "a laptop that is sitting on a wooden desk"."""
    words = "|".join(map(re.escape, with_synonyms(name)))
    lies = (
        r"(?: (?:that )?(?:is |are )?(?:sitting|sits|laying|lying|lays|resting|rests|placed|set|standing))?"
    )
    pattern = re.compile(
        rf"\b(?:{words}){lies} (?:on top of|on|in|atop|top of) {WORDS_BETWEEN}(?:{_plural_or_not(surface)})\b"
    )
    return sum(bool(pattern.search(caption)) for caption in facts.captions)


def _captions_that_say(facts: ImageFacts, verb: str, thing: str, alone: bool) -> int:
    """The number of captions that say it; if not `alone`, only those that say it about a person."""
    # "riding on a red bus", but not "a bus stop"
    pattern = re.compile(
        rf"\b(?:{verb}) {WORDS_BETWEEN}(?:{_plural_or_not(thing)})\b(?! (?:stop|rack|station|shop|park|tracks?|seat)\b)"
    )
    if alone:
        return sum(bool(pattern.search(caption)) for caption in facts.captions)
    return captions_about_people(facts, pattern)


def _plural_or_not(thing: str) -> str:
    """A pattern of the thing's names: `bicycle|bicycles|bike|bikes`."""
    return "|".join(map(re.escape, chain.from_iterable((word, word + "s") for word in with_synonyms(thing))))


def _confusable(one: str, other: str) -> bool:
    return one == other or any({one, other} <= group for group in _CONFUSABLE)


def _touch(facts: ImageFacts, thing: str, who: str) -> bool:
    return any(touches(one, other) for one in facts.boxes.get(thing, []) for other in facts.boxes[who])


def _apart(facts: ImageFacts, thing: str, who: str) -> bool:
    return thing not in facts.crowds and not _touch(facts, thing, who)
