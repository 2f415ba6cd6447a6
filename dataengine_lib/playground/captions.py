"""Writes the captions of a playground picture, and reads the facts back out of captions.

Both are in one file so that a change of a sentence is made together with what reads it. The reader serves the scripted
teacher, which knows a picture only through its captions and boxes.
"""

import re
from dataclasses import dataclass
from random import Random

from dataengine_lib.playground import world
from dataengine_lib.playground.world import Box, Scene

# how captions and answers name the values of a scene
STYLE_WORDS = {
    "plain": "flat drawing",
    "sketch": "pencil sketch",
    "painting": "oil painting",
    "poster": "bold poster",
}
FAULT_WORDS = {"none": "sharp", "blur": "blurry", "dark": "much too dark", "noise": "grainy"}
_MOOD_WORDS = {
    "festive": "bunting and confetti",
    "calm": "drifting petals",
    "gloomy": "hanging drops",
    "spooky": "bats and cobwebs",
}
_MATERIAL_WORDS = {"wood": "wooden", "metal": "metal", "glass": "glass", "stone": "stone"}
_TOPIC_WORDS = {topic: topic for topic in world.TOPICS} | {"birthday": "a birthday"}
# sentences about the two things or people of a pair: {0} with its article, {1} without
_EVENT_WORDS = {
    "pop": "{0} floats against a {1}",
    "fall": "{0} tips over the edge of a {1}",
    "hatch": "{0} with a crack lies in a {1}",
    "stop": "{0} drives up to a {1}",
    "melt": "{0} stands beside a {1}",
    "rain": "{0} hangs over the {1}",
}
_SOCIAL_WORDS = {
    "parent and child": "A {0} holds the hand of a little {1}",
    "couple": "A {0} and a {1} hold hands below a heart",
    "teammates": "A {0} and a {1} wear the same football shirt",
    "doctor and patient": "A {0} in a white coat looks after a {1} with a bandage",
    "teacher and pupil": "A {0} with a pointer explains something to a {1}",
}
_NATURE_WORDS = {
    "hunting": "{0} sneaks up to a {1}",
    "grazing": "{0} stands at some {1}",
    "nesting": "{0} looks out of a {1}",
    "pollinating": "{0} flies at a {1}",
}


@dataclass(frozen=True)
class KnownThing:
    """A thing that is known to be in a picture; `box` is None where only a caption names it."""

    kind: str
    box: Box | None = None
    color: str | None = None
    material: str | None = None


@dataclass(frozen=True)
class PictureFacts:
    """What is known about a picture; an empty string or tuple means "not known" or "none"."""

    setting: str = ""
    time: str = ""
    weather: str = ""
    style: str = ""
    fault: str = ""
    mood: str = ""
    topic: str = ""
    people: tuple[tuple[str, str, str], ...] = ()  # noun, role, action
    social: str = ""
    things: tuple[KnownThing, ...] = ()
    vignette: tuple[str, str, str, str] | None = None  # family, value, subject, object


def scene_facts(scene: Scene) -> PictureFacts:
    """All facts of a scene."""
    vignette = None
    if scene.vignette:
        vignette = (*scene.vignette, scene.things[-2].kind, scene.things[-1].kind)
    return PictureFacts(
        scene.setting, scene.time, scene.weather, scene.style, scene.fault, scene.mood, scene.topic,
        tuple((person.noun, person.role, person.action) for person in scene.people), scene.social,
        tuple(KnownThing(thing.kind, thing.box, thing.color, thing.material) for thing in scene.things), vignette,
    )  # fmt: skip


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _thing(thing: world.SceneThing | KnownThing) -> str:
    material = _MATERIAL_WORDS[thing.material] if thing.material else None
    return " ".join(word for word in (thing.color, material, thing.kind) if word)


def write_captions(scene: Scene, seed: int = 0) -> list[str]:
    """Five captions that together state every fact of the scene, in random order."""
    rng = Random(f"captions {seed} {scene.image_id}")
    facts = scene_facts(scene)
    weather = f"{scene.weather} " if scene.weather else ""
    # "on a sunny day", and indoors "by night"
    when = f"{'on' if scene.weather else 'by'} {_a(weather + scene.time) if scene.weather else scene.time}"
    # a vignette's two things have a sentence of their own
    loose = [known for known in facts.things if not facts.vignette or known.kind not in facts.vignette[2:]]
    lines = [
        f"{_a(STYLE_WORDS[scene.style]).capitalize()} of {_a(scene.setting)} {when}.",
        _people_line(facts),
        f"There is {_listing([_a(_thing(known)) for known in loose])}."
        if loose
        else "There is nothing else around.",
        _vignette_line(facts) if facts.vignette else _place_line(facts, rng),
        f"{_a(FAULT_WORDS[scene.fault]).capitalize()} picture"
        f"{f' about {_TOPIC_WORDS[scene.topic]}' if scene.topic else ''}, with {_MOOD_WORDS[scene.mood]}.",
    ]
    rng.shuffle(lines)
    return lines


def _listing(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _people_line(facts: PictureFacts) -> str:
    if not facts.people:
        return "Nobody is in the picture."
    if facts.social:
        return _SOCIAL_WORDS[facts.social].format(facts.people[0][0], facts.people[1][0]) + "."
    noun, role, action = facts.people[0]
    return f"{_a(noun).capitalize()}{f' dressed as {_a(role)}' if role else ''} is {action}."


def _vignette_line(facts: PictureFacts) -> str:
    assert facts.vignette is not None
    family, value, subject, other = facts.vignette
    if family == "relation":
        known = {thing.kind: thing for thing in facts.things}
        return f"{_a(_thing(known[subject])).capitalize()} is {value} {_a(_thing(known[other]))}."
    words = (_NATURE_WORDS if family == "nature" else _EVENT_WORDS)[value]
    color = next((f"{thing.color} " for thing in facts.things if thing.kind == subject and thing.color), "")
    return words.format(_a(color + subject).capitalize(), other) + "."


def _place_line(facts: PictureFacts, rng: Random) -> str:
    placed = [(known.kind, place) for known in facts.things if (place := place_of(known.box))]
    if not placed:
        return "It is a simple picture."
    kind, place = rng.choice(placed)
    return f"The {kind} is {place}."


def place_of(box: Box | None) -> str:
    """Where in the picture a box is, empty when it is not clearly in one place.

    Bands around the borders (x about 1/3 and 2/3, y from 0.3 to 0.5) belong to no place.
    """
    if box is None:
        return ""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if y < 0.3:
        return "at the top"
    if y < 0.5 or 0.3 < x < 0.37 or 0.63 < x < 0.7:
        return ""
    return "on the left" if x <= 0.3 else "on the right" if x >= 0.7 else "in the middle"


# From here on: the reader. Its patterns are made from the same tables as the sentences.
_INVERSE = {
    "style": {words: key for key, words in STYLE_WORDS.items()},
    "fault": {words: key for key, words in FAULT_WORDS.items()},
    "mood": {words: key for key, words in _MOOD_WORDS.items()},
    "topic": {words: key for key, words in _TOPIC_WORDS.items()},
    "material": {words: key for key, words in _MATERIAL_WORDS.items()},
}


def _one_of(words: object) -> str:
    # longest first: of alternatives the first that matches is taken
    return "|".join(sorted((re.escape(word) for word in words), key=len, reverse=True))  # type: ignore[attr-defined]


_COLOR = f"(?:(?P<color>{_one_of(world.COLORS)}) )?"
_MATERIAL = f"(?:(?P<material>{_one_of(_INVERSE['material'])}) )?"
# "a red bicycle", "an umbrella", "a blue wooden table"
_THING = re.compile(rf"an? {_COLOR}{_MATERIAL}(?P<kind>[a-z-]+(?: [a-z-]+)*)")
# "A pencil sketch of a beach on a sunny day.", "An oil painting of a kitchen by night."
_SETTING = re.compile(rf"An? ({_one_of(_INVERSE['style'])}) of an? ({_one_of(world.SETTINGS)})"
                    rf" (?:by|on an?)(?: ({_one_of(world.WEATHERS)}))? (day|night)\.")  # fmt: skip
# "A blurry picture about a birthday, with bats and cobwebs."
_QUALITY = re.compile(rf"An? ({_one_of(_INVERSE['fault'])}) picture(?: about ({_one_of(_INVERSE['topic'])}))?,"
                   rf" with ({_one_of(_INVERSE['mood'])})\.")  # fmt: skip
# "A woman dressed as a chef is reading."
_PERSON = re.compile(
    rf"An? (man|woman|boy|girl)(?: dressed as an? ({_one_of(world.PERSON_ROLES)}))? is ({_one_of(world.ACTIONS)})\."
)
_NOUN = "(man|woman|boy|girl)"
# "A man in a white coat looks after a woman with a bandage."
_SOCIAL = {key: re.compile(words.format(_NOUN, _NOUN) + r"\.") for key, words in _SOCIAL_WORDS.items()}
# "A ball is under a stone bench."
_RELATION = re.compile(rf"(An? .+?) is ({_one_of(world.RELATIONS)}) (an? .+)\.")
# "A fox sneaks up to a mouse.", "A green balloon floats against a cactus."
_PAIRS = [
    (family, value, re.compile(words.format(f"An? {_COLOR}{re.escape(one)}", re.escape(other)) + r"\."), one, other)
    for family, table, pairs in (("nature", _NATURE_WORDS, world.NATURE), ("event", _EVENT_WORDS, world.EVENTS))
    for value, words in table.items()
    for one, other in [pairs[value]]
]  # fmt: skip


def read_captions(captions: list[str], objects: list[tuple[str, Box]]) -> PictureFacts:
    """The facts that captions and boxes state; a sentence of any other form adds nothing."""
    found: dict[str, object] = {}
    described: dict[str, KnownThing] = {}
    for line in captions:
        if match := _SETTING.fullmatch(line):
            style, setting, weather, time = match.groups()
            found |= {
                "style": _INVERSE["style"][style],
                "setting": setting,
                "weather": weather or "",
                "time": time,
            }
        elif match := _QUALITY.fullmatch(line):
            fault, topic, mood = match.groups()
            found |= {
                "fault": _INVERSE["fault"][fault],
                "topic": _INVERSE["topic"].get(topic or "", ""),
                "mood": _INVERSE["mood"][mood],
            }
        elif match := _PERSON.fullmatch(line):
            found["people"] = ((match[1], match[2] or "", match[3]),)
        elif line.startswith("There is "):
            # "a red bicycle, an apple and a cup"; "nothing else around" is no thing
            for known in map(_read_thing, re.split(r", | and ", line.removeprefix("There is ").rstrip("."))):
                if known:
                    described[known.kind] = known
        elif match := _RELATION.fullmatch(line):
            # the subject begins the sentence with a capital: "A ball"
            subject, other = _read_thing(match[1].lower()), _read_thing(match[3])
            if subject and other:
                described |= {subject.kind: subject, other.kind: other}
                found["vignette"] = ("relation", match[2], subject.kind, other.kind)
        else:
            _read_pairs(line, found, described)
    things = []
    for kind, box in objects:
        # a box has no color or material, a caption may state them
        known = described.pop(kind, KnownThing(kind))
        if kind != "person":
            things.append(KnownThing(kind, box, known.color, known.material))
    return PictureFacts(**found, things=tuple(things) + tuple(described.values()))  # type: ignore[arg-type]


def _read_thing(words: str) -> KnownThing | None:
    match = _THING.fullmatch(words)
    if not match:
        return None
    material = match["material"]
    return KnownThing(
        match["kind"], None, match["color"], _INVERSE["material"][material] if material else None
    )


def _read_pairs(line: str, found: dict[str, object], described: dict[str, KnownThing]) -> None:
    for social, pattern in _SOCIAL.items():
        if match := pattern.fullmatch(line):
            found |= {"social": social, "people": ((match[1], "", ""), (match[2], "", ""))}
    for family, value, pattern, one, other in _PAIRS:
        if match := pattern.fullmatch(line):
            described |= {one: KnownThing(one, None, match["color"]), other: KnownThing(other)}
            found["vignette"] = (family, value, one, other)
