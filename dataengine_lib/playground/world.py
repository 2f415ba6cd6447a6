"""The playground's scenes as data: what there is, before it is laid out, drawn, captioned or asked about.

A scene lies on the unit square (x to the right, y down). The ground has four columns, shared by people, a topic's prop,
one vignette (two related things) and loose things; things that fly or hang are at the top. Each kind of thing appears
at most once in a scene, so that its name in a question is unambiguous.
"""

from dataclasses import dataclass

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
SUPPORTS = ("table", "bench", "crate")  # they have a material and carry something
SUPPORTED_THINGS = ("ball", "teddy bear", "vase", "hat")
RELATIONS = ("on", "under", "in front of", "next to")
NATURE = {
    "hunting": ("fox", "mouse"),
    "grazing": ("goat", "grass"),
    "nesting": ("owl", "tree"),
    "pollinating": ("bee", "flower"),
}  # relation -> its two living things
EVENTS = {
    "pop": ("balloon", "cactus"),
    "fall": ("bottle", "stool"),
    "hatch": ("egg", "nest"),
    "stop": ("scooter", "red traffic light"),
    "melt": ("snowman", "campfire"),
    "rain": ("storm cloud", "laundry"),
}  # what will happen next -> the two things that show it
# kinds that are drawn in one of COLORS; the others have a colour of their own
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
    """A thing (not a person) in a scene; `color` and `material` are None for kinds that have none to choose."""

    kind: str
    box: Box
    color: str | None = None
    material: str | None = None


@dataclass(frozen=True)
class Person:
    """A person; `role` and `action` may be empty (plain clothes, only standing)."""

    noun: str  # man, woman, boy, girl
    role: str
    action: str
    box: Box


@dataclass(frozen=True)
class Scene:
    """One scene; `vignette`, ("relation" | "nature" | "event", value), names what its last two things show."""

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
