"""The playground's scenes as data: what is where, before anything is drawn, said or asked.

A scene is laid out on the unit square (x to the right, y down). The ground has four columns that people,
a topic's prop, one vignette (two things that have to do with each other) and loose things share; things that
fly or hang have the sky. Every kind appears at most once in a scene, so a name in a question is unambiguous.
"""

from dataclasses import dataclass
from random import Random

Box = tuple[float, float, float, float]

INDOORS = ("kitchen", "living room", "classroom", "bedroom")
OUTDOORS = ("street", "park", "beach", "farm", "forest", "desert")
SETTINGS = INDOORS + OUTDOORS
TIMES = ("day", "night")
WEATHERS = ("sunny", "rainy", "snowy", "cloudy")
STYLES = ("plain", "sketch", "painting", "poster")
FAULTS = ("none", "blur", "dark", "noise")
MOODS = ("festive", "calm", "gloomy", "spooky")
TOPICS = {
    "cooking": "stove",
    "football": "goal",
    "travel": "suitcase",
    "birthday": "cake",
    "school": "blackboard",
    "farming": "tractor",
    "music": "drum",
}  # topic -> the prop that shows it
COLORS = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white")
SUPPORT_MATERIALS = ("wood", "metal", "glass", "stone")
PERSON_ROLES = (
    "chef",
    "doctor",
    "firefighter",
    "police officer",
    "farmer",
    "builder",
    "painter",
    "football player",
)
ACTIONS = (
    "waving",
    "running",
    "jumping",
    "reading",
    "holding an umbrella",
    "playing the guitar",
    "lifting weights",
    "carrying a box",
)
SOCIAL = ("parent and child", "couple", "teammates", "doctor and patient", "teacher and pupil")
ANIMALS = ("dog", "cat", "cow", "sheep", "horse", "rabbit", "bear", "penguin", "elephant", "duck")
VEHICLES = ("car", "bus", "bicycle", "boat", "truck")
FOOD = ("apple", "pizza", "banana", "ice cream")
FURNITURE = ("chair", "bed", "sofa", "lamp")
PLANTS = ("potted plant", "mushroom")
OBJECTS = ("umbrella", "book", "cup", "clock", "backpack", "telephone")
SKY_OUTDOORS = ("kite", "airplane", "bird", "hot-air balloon")
SKY_INDOORS = ("wall clock", "picture", "hanging lamp", "shelf")
SUPPORTS = ("table", "bench", "crate")  # what carries a material and holds something
SUPPORTED = ("ball", "teddy bear", "vase", "hat")
RELATIONS = ("on", "under", "in front of", "next to")
NATURE = {
    "hunting": ("fox", "mouse"),
    "grazing": ("goat", "grass"),
    "nesting": ("owl", "tree"),
    "pollinating": ("bee", "flower"),
}  # the relation -> who, and with whom or what
EVENTS = {
    "pop": ("balloon", "cactus"),
    "fall": ("bottle", "stool"),
    "hatch": ("egg", "nest"),
    "stop": ("scooter", "red traffic light"),
    "melt": ("snowman", "campfire"),
    "rain": ("storm cloud", "laundry"),
}  # what will happen -> the two things that show it
COLORED = frozenset(
    (
        *VEHICLES,
        "chair",
        "sofa",
        "bed",
        "umbrella",
        "book",
        "cup",
        "backpack",
        "telephone",
        "kite",
        "hot-air balloon",
        "ball",
        "hat",
        "vase",
        "balloon",
        "suitcase",
        "tractor",
        "drum",
    )
)


@dataclass(frozen=True)
class SceneThing:
    """Something that is not a person; `color` and `material` are None where the kind has its own."""

    kind: str
    box: Box
    color: str | None = None
    material: str | None = None


@dataclass(frozen=True)
class Person:
    """A person; `role` and `action` may be empty (plain clothes, just standing)."""

    noun: str  # man, woman, boy, girl
    role: str
    action: str
    box: Box


@dataclass(frozen=True)
class Scene:
    """One scene; `vignette` names what the two last things show: ("relation"|"nature"|"event", value)."""

    image_id: int
    setting: str
    time: str
    weather: str  # empty indoors
    style: str
    fault: str
    mood: str
    topic: str  # may be empty
    people: tuple[Person, ...]
    social: str  # of two people; else empty
    things: tuple[SceneThing, ...]  # a vignette's two things come last: subject, object
    vignette: tuple[str, str] | None

    @property
    def indoors(self) -> bool:
        return self.setting in INDOORS


def make_scene(image_id: int, seed: int) -> Scene:
    """The scene of an image id: the same id and seed give the same scene, on every machine."""
    rng = Random(f"scene {seed} {image_id}")
    setting = rng.choice(SETTINGS)
    indoors = setting in INDOORS
    style = rng.choices(STYLES, (4, 2, 2, 2))[0]
    vignette = rng.choice(
        (
            ("relation", rng.choice(RELATIONS)),
            ("nature", rng.choice(tuple(NATURE))),
            ("event", rng.choice(tuple(EVENTS))),
            None,
        )
    )
    crowd = rng.choices((0, 1, 2), (2, 4, 3))[0]
    topic = rng.choice(tuple(TOPICS)) if rng.random() < 0.5 else ""
    free = 4 - crowd - (2 if vignette else 0)
    if free <= 0:
        topic = ""
    loose = max(0, free - bool(topic))
    blocks = (
        ["people"] * bool(crowd) + ["vignette"] * bool(vignette) + ["topic"] * bool(topic) + ["loose"] * loose
    )
    rng.shuffle(blocks)
    color = _Colors(rng, none=style == "sketch")
    kinds = list(rng.sample(ANIMALS + VEHICLES + FOOD + FURNITURE + PLANTS + OBJECTS, loose))
    people: list[Person] = []
    things: list[SceneThing] = []
    pair: list[SceneThing] = []
    social = rng.choice(SOCIAL) if crowd == 2 else ""
    x = 0.0
    for block in blocks:
        if block == "people":
            people = _pair_of_people(rng, social, x) if social else [_person(rng, x)]
            x += 0.25 * crowd
        elif block == "vignette":
            assert vignette is not None
            pair = _vignette(rng, *vignette, x, color)
            x += 0.5
        else:
            kind = TOPICS[topic] if block == "topic" else kinds.pop()
            things.append(SceneThing(kind, _ground_box(rng, kind, x), color(kind)))
            x += 0.25
    for kind in rng.sample(SKY_INDOORS if indoors else SKY_OUTDOORS, rng.choice((0, 1, 1))):
        left, top = rng.uniform(0.04, 0.72), rng.uniform(0.04, 0.10)
        things.append(SceneThing(kind, _round((left, top, left + 0.22, top + 0.20)), color(kind)))
    return Scene(
        image_id=image_id,
        setting=setting,
        time=rng.choices(TIMES, (3, 2))[0],
        weather="" if indoors else rng.choice(WEATHERS),
        style=style,
        fault=rng.choices(FAULTS, (5, 2, 2, 2))[0],
        mood=rng.choice(MOODS),
        topic=topic,
        people=tuple(people),
        social=social,
        things=tuple(things + pair),
        vignette=vignette,
    )


class _Colors:
    """Hands out a colour to each kind that takes one, no colour twice in a scene."""

    def __init__(self, rng: Random, none: bool):
        self.left = [] if none else rng.sample(COLORS, len(COLORS))

    def __call__(self, kind: str) -> str | None:
        return self.left.pop() if self.left and kind in COLORED else None


def _round(box: Box) -> Box:
    x0, y0, x1, y1 = (round(min(max(value, 0.0), 1.0), 4) for value in box)
    return x0, y0, x1, y1


HEIGHTS = {
    "clock": 0.2,
    "cup": 0.17,
    "apple": 0.16,
    "banana": 0.14,
    "book": 0.16,
    "mushroom": 0.17,
    "telephone": 0.17,
    "bus": 0.26,
    "truck": 0.24,
    "elephant": 0.28,
    "lamp": 0.36,
    "goal": 0.24,
    "blackboard": 0.3,
}


def _ground_box(rng: Random, kind: str, x: float) -> Box:
    """A box that stands on the ground in the column from `x`: near things stand lower and are larger."""
    near = rng.random() < 0.5
    width = 0.235 if near else 0.165
    height = HEIGHTS.get(kind, 0.22) * (1.0 if near else 0.7)
    left = x + rng.uniform(0.005, 0.245 - width)
    bottom = rng.uniform(0.93, 0.97) if near else rng.uniform(0.78, 0.83)
    return _round((left, bottom - height, left + width, bottom))


def _person(rng: Random, x: float) -> Person:
    noun = rng.choice(("man", "woman", "boy", "girl"))
    role = rng.choice(PERSON_ROLES) if noun in ("man", "woman") and rng.random() < 0.8 else ""
    return Person(noun, role, rng.choice(ACTIONS), _person_box(rng, noun, x))


def _person_box(rng: Random, noun: str, x: float) -> Box:
    height = 0.56 if noun in ("man", "woman") else 0.42
    bottom = rng.uniform(0.90, 0.95)
    return _round((x + 0.015, bottom - height, x + 0.235, bottom))


def _pair_of_people(rng: Random, social: str, x: float) -> list[Person]:
    adults, children = ("man", "woman"), ("boy", "girl")
    first = rng.choice(adults)
    second = rng.choice(children if social in ("parent and child", "teacher and pupil") else adults)
    if social == "couple":
        second = "woman" if first == "man" else "man"
    roles = {"teammates": ("football player", "football player"), "doctor and patient": ("doctor", "")}
    one, two = roles.get(social, ("", ""))
    bottom = rng.uniform(0.91, 0.95)
    boxes = []
    for column, noun in ((x, first), (x + 0.25, second)):
        height = 0.56 if noun in adults else 0.42
        boxes.append(_round((column + 0.015, bottom - height, column + 0.235, bottom)))
    return [Person(first, one, "", boxes[0]), Person(second, two, "", boxes[1])]


def _vignette(rng: Random, family: str, value: str, x: float, color: _Colors) -> list[SceneThing]:
    """The two things of a vignette in the two columns from `x`: subject first."""
    bottom = rng.uniform(0.90, 0.95)
    if family == "relation":
        support = SceneThing(
            rng.choice(SUPPORTS),
            _round((x + 0.04, bottom - 0.25, x + 0.32, bottom)),
            None,
            rng.choice(SUPPORT_MATERIALS),
        )
        places = {
            "on": (0.10, 0.25 + 0.15),
            "under": (0.10, 0.15),
            "in front of": (0.11, 0.11),
            "next to": (0.335, 0.15),
        }
        dx, dy = places[value]
        kind = rng.choice(SUPPORTED)
        top = bottom - dy + (0.04 if value == "in front of" else 0)
        subject = SceneThing(kind, _round((x + dx, top, x + dx + 0.15, top + 0.15)), color(kind))
        return [subject, support]
    one, other = (NATURE if family == "nature" else EVENTS)[value]
    wide = {
        "hunting": ((0.02, -0.24, 0.28, 0), (0.34, -0.12, 0.48, 0)),
        "grazing": ((0.03, -0.27, 0.31, 0), (0.30, -0.12, 0.47, 0)),
        "nesting": ((0.20, -0.48, 0.36, -0.30), (0.08, -0.58, 0.46, 0)),
        "pollinating": ((0.26, -0.42, 0.43, -0.27), (0.10, -0.36, 0.30, 0)),
        "pop": ((0.04, -0.40, 0.22, -0.08), (0.24, -0.36, 0.44, 0)),
        "fall": ((0.27, -0.47, 0.42, -0.24), (0.08, -0.26, 0.36, 0)),
        "hatch": ((0.17, -0.26, 0.34, -0.06), (0.06, -0.14, 0.45, 0)),
        "stop": ((0.03, -0.26, 0.28, 0), (0.33, -0.52, 0.45, 0)),
        "melt": ((0.04, -0.42, 0.24, 0), (0.28, -0.24, 0.47, 0)),
        "rain": ((0.06, -0.72, 0.44, -0.52), (0.06, -0.34, 0.44, 0)),
    }[value]
    return [
        SceneThing(kind, _round((x + left, bottom + top, x + right, bottom + low)), color(kind))
        for kind, (left, top, right, low) in zip((one, other), wide, strict=True)
    ]
