"""The playground's scenes: draws at random what is in a scene and where each thing stands."""

from random import Random

from dataengine_lib.playground import world
from dataengine_lib.playground.world import Box, Person, Scene, SceneThing

# heights of things on the ground, as a share of the picture; other kinds have 0.22
_HEIGHTS = {
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


def make_scene(image_id: int, seed: int) -> Scene:
    """The scene of an image id: the same id and seed give the same scene, on every machine."""
    # the order of draws is part of the format: another order gives other scenes for the same seed
    rng = Random(f"scene {seed} {image_id}")
    setting = rng.choice(world.SETTINGS)
    indoors = setting in world.INDOORS
    style = rng.choices(world.STYLES, (4, 2, 2, 2))[0]
    vignette = rng.choice(
        (
            ("relation", rng.choice(world.RELATIONS)),
            ("nature", rng.choice(tuple(world.NATURE))),
            ("event", rng.choice(tuple(world.EVENTS))),
            None,
        )
    )
    people_count = rng.choices((0, 1, 2), (2, 4, 3))[0]
    topic = rng.choice(tuple(world.TOPICS)) if rng.random() < 0.5 else ""
    # of the four columns, what people and a vignette leave free is for a topic's prop and loose things
    free = 4 - people_count - (2 if vignette else 0)
    if free <= 0:
        topic = ""
    loose = max(0, free - bool(topic))
    blocks = (
        ["people"] * bool(people_count)
        + ["vignette"] * bool(vignette)
        + ["topic"] * bool(topic)
        + ["loose"] * loose
    )
    rng.shuffle(blocks)
    # a pencil sketch has no colors
    color = _Colors(rng, none=style == "sketch")
    people, social, things, pair = _fill_columns(rng, blocks, people_count, vignette, topic, color)
    # two in three scenes have one thing at the top
    for kind in rng.sample(world.SKY_INDOORS if indoors else world.SKY_OUTDOORS, rng.choice((0, 1, 1))):
        left, top = rng.uniform(0.04, 0.72), rng.uniform(0.04, 0.10)
        things.append(SceneThing(kind, _round((left, top, left + 0.22, top + 0.20)), color(kind)))
    return Scene(
        image_id=image_id,
        setting=setting,
        time=rng.choices(world.TIMES, (3, 2))[0],
        weather="" if indoors else rng.choice(world.WEATHERS),
        style=style,
        fault=rng.choices(world.FAULTS, (5, 2, 2, 2))[0],
        mood=rng.choice(world.MOODS),
        topic=topic,
        people=tuple(people),
        social=social,
        # the vignette's two things come last, as Scene promises
        things=tuple(things + pair),
        vignette=vignette,
    )


def _fill_columns(
    rng: Random,
    blocks: list[str],
    people_count: int,
    vignette: tuple[str, str] | None,
    topic: str,
    color: "_Colors",
) -> tuple[list[Person], str, list[SceneThing], list[SceneThing]]:
    """Place the blocks from left to right: the people, how two of them belong together, the things, the vignette's."""
    loose_kinds = list(
        rng.sample(
            world.ANIMALS + world.VEHICLES + world.FOOD + world.FURNITURE + world.PLANTS + world.OBJECTS,
            blocks.count("loose"),
        )
    )
    social = rng.choice(world.SOCIAL) if people_count == 2 else ""
    people: list[Person] = []
    things: list[SceneThing] = []
    pair: list[SceneThing] = []
    x = 0.0
    for block in blocks:
        if block == "people":
            people = _pair_of_people(rng, social, x) if social else [_person(rng, x)]
            x += 0.25 * people_count
        elif block == "vignette":
            assert vignette is not None
            pair = _vignette(rng, *vignette, x, color)
            x += 0.5
        else:
            kind = world.TOPICS[topic] if block == "topic" else loose_kinds.pop()
            things.append(SceneThing(kind, _ground_box(rng, kind, x), color(kind)))
            x += 0.25
    return people, social, things, pair


class _Colors:
    """Gives a colour to each kind of thing that has one, no colour twice in a scene (so a colour names one thing)."""

    def __init__(self, rng: Random, none: bool):
        self._unused = [] if none else rng.sample(world.COLORS, len(world.COLORS))

    def __call__(self, kind: str) -> str | None:
        return self._unused.pop() if self._unused and kind in world.COLORED else None


def _round(box: Box) -> Box:
    x0, y0, x1, y1 = (round(min(max(value, 0.0), 1.0), 4) for value in box)
    return x0, y0, x1, y1


def _ground_box(rng: Random, kind: str, x: float) -> Box:
    """A box on the ground in the column that begins at `x`; near things are lower in the picture and larger."""
    near = rng.random() < 0.5  # else further back
    width = 0.235 if near else 0.165
    height = _HEIGHTS.get(kind, 0.22) * (1.0 if near else 0.7)
    # inside the column, which is 0.25 wide
    left = x + rng.uniform(0.005, 0.245 - width)
    bottom = rng.uniform(0.93, 0.97) if near else rng.uniform(0.78, 0.83)
    return _round((left, bottom - height, left + width, bottom))


def _person(rng: Random, x: float) -> Person:
    noun = rng.choice(("man", "woman", "boy", "girl"))
    role = rng.choice(world.PERSON_ROLES) if noun in ("man", "woman") and rng.random() < 0.8 else ""
    return Person(noun, role, rng.choice(world.ACTIONS), _person_box(rng, noun, x))


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
    bottom = rng.uniform(0.91, 0.95)  # both stand on one line
    boxes = []
    for column, noun in ((x, first), (x + 0.25, second)):
        height = 0.56 if noun in adults else 0.42
        boxes.append(_round((column + 0.015, bottom - height, column + 0.235, bottom)))
    return [Person(first, one, "", boxes[0]), Person(second, two, "", boxes[1])]


def _vignette(rng: Random, family: str, value: str, x: float, color: _Colors) -> list[SceneThing]:
    """The two things of a vignette, subject first, in the two columns that begin at `x`."""
    bottom = rng.uniform(0.90, 0.95)
    if family == "relation":
        support = SceneThing(
            rng.choice(world.SUPPORTS),
            _round((x + 0.04, bottom - 0.25, x + 0.32, bottom)),
            None,
            rng.choice(world.SUPPORT_MATERIALS),
        )
        # the subject's left edge from x, and its top above the ground
        offsets = {
            "on": (0.10, 0.25 + 0.15),
            "under": (0.10, 0.15),
            "in front of": (0.11, 0.11),
            "next to": (0.335, 0.15),
        }
        dx, dy = offsets[value]
        kind = rng.choice(world.SUPPORTED_THINGS)
        top = bottom - dy + (0.04 if value == "in front of" else 0)
        subject = SceneThing(kind, _round((x + dx, top, x + dx + 0.15, top + 0.15)), color(kind))
        return [subject, support]
    subject_kind, object_kind = (world.NATURE if family == "nature" else world.EVENTS)[value]
    # boxes of both: left and right from x, top and bottom from the ground
    boxes = {
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
        SceneThing(kind, _round((x + left, bottom + top, x + right, bottom + base)), color(kind))
        for kind, (left, top, right, base) in zip((subject_kind, object_kind), boxes, strict=True)
    ]
