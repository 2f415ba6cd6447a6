"""Step 3, annotations teacher: what somebody in the picture does, where two captions agree."""

import re
from random import Random

from dataengine_lib.annotations.draft import Draft
from dataengine_lib.annotations.facts import Facts
from dataengine_lib.annotations.vocabulary import called, mention, names_of, plural
from dataengine_lib.annotations.writers.attributes import AGREE

# What people do with a thing of this category, and how captions say so. `WORDS` stand before the thing's name.
WORDS = r"(?:(?!and\b|next\b|near\b|by\b|of\b|behind\b|with\b)[\w-]+ (?:(?<=pair )of |(?<=piece )of |(?<=slice )of )?){0,3}"
DEEDS: dict[str, tuple[str, str]] = {
    "skis": ("skiing", r"\bskiing\b|\bskiers?\b|\bskis (?:down|across|through|along)\b"),
    "snowboard": ("snowboarding", r"\bsnow ?board(?:ing|ers?)\b|\brid\w+ " + WORDS + r"snow ?boards?\b"),
    "surfboard": ("surfing", r"\bsurfing\b|\bsurfers?\b|\brid\w+ " + WORDS + r"waves?\b"),
    "skateboard": ("skateboarding", r"\bskate ?board(?:ing|ers?)\b|\brid\w+ " + WORDS + r"skate ?boards?\b"),
    "frisbee": ("playing frisbee", r"\b(?:play|throw|catch|toss)\w* " + WORDS + r"frisbees?\b"),
    "kite": ("flying a kite", r"\bfly(?:ing)? (?:an?|the|his|her|their|some|\w+) ?kites?\b"),
    "tennis racket": ("playing tennis", r"\bplay\w* " + WORDS + r"tennis\b|\btennis players?\b"),
    "baseball bat": ("playing baseball", r"\bbaseball (?:players?|game|match)\b|\bplay\w* " + WORDS + r"baseball\b"),
    "horse": ("riding a horse", r"\brid(?:es?|ing) " + WORDS + r"horses?\b|\bhorseback\b"),
    "elephant": ("riding an elephant", r"\brid(?:es?|ing) " + WORDS + r"elephants?\b"),
    "bicycle": ("riding a bicycle", r"\brid(?:es?|ing) " + WORDS + r"(?:bikes?|bicycles?)\b"),
    "motorcycle": ("riding a motorcycle", r"\brid(?:es?|ing) " + WORDS + r"(?:motor(?:cycle|bike)|moped)s?\b"),
    "pizza": ("eating pizza", r"\beat(?:s|ing)? " + WORDS + r"pizzas?\b"),
    "banana": ("eating a banana", r"\beat(?:s|ing)? " + WORDS + r"bananas?\b"),
    "donut": ("eating a donut", r"\beat(?:s|ing)? " + WORDS + r"(?:donuts?|doughnuts?)\b"),
    "sandwich": ("eating a sandwich", r"\beat(?:s|ing)? " + WORDS + r"sandwich(?:es)?\b"),
    "hot dog": ("eating a hot dog", r"\beat(?:s|ing)? " + WORDS + r"(?:hot ?dogs?)\b"),
    "cake": ("cutting a cake", r"\bcut(?:s|ting)? " + WORDS + r"cakes?\b"),
    "laptop": ("using a laptop", r"\b(?:us|work|typ)\w* (?:on )?" + WORDS + r"laptops?\b"),
    "toothbrush": ("brushing teeth", r"\bbrush(?:es|ing)? (?:\w+ )?teeth\b"),
    "cell phone": ("talking on a phone", r"\btalk(?:s|ing)? on " + WORDS + r"(?:cell ?)?phone\b"),
    "dog": ("walking a dog", r"\bwalk(?:s|ing)? (?:an?|the|his|her|their|some|two) " + WORDS + r"dogs?\b"),
    "umbrella": ("holding an umbrella", r"\b(?:hold|carry|carri)\w* " + WORDS + r"umbrellas?\b"),
}  # fmt: skip

# What a single animal or person does, how captions say so, and what may be true beside it.
POSES: dict[str, tuple[str, str]] = {
    "sitting": (r"\bsit(?:s|ting)?\b|\bseated\b", "lying down"),
    "standing": (r"\bstand(?:s|ing)?\b", "walking|grazing"),
    "lying down": (r"\b(?:lay|ly)ing\b|\blies\b|\blays\b", "sitting|sleeping"),
    "walking": (r"\bwalk(?:s|ing)?\b", "standing|running|grazing"),
    "running": (r"\brun(?:s|ning)?\b", "walking|jumping"),
    "sleeping": (r"\b(?:sleep(?:s|ing)?|asleep|nap(?:s|ping)?)\b", "lying down|sitting"),
    "grazing": (r"\bgraz(?:es|ing)\b|\beat(?:s|ing)? (?:some |the )?grass\b", "standing|walking"),
    "jumping": (r"\b(?:jump|leap)(?:s|ing)?\b|\bin the air\b|\bmid-?air\b", "running|flying"),
    "swimming": (r"\bswim(?:s|ming)?\b", ""),
    "flying": (r"\bfl(?:y|ies|ying)\b|\bin flight\b", "jumping"),
}
_ANY_POSE = {
    "person": ("sitting", "standing", "lying down", "walking", "running", "sleeping", "jumping", "swimming"),
    "bird": ("sleeping", "walking", "swimming", "flying", "standing"),
    "": ("sitting", "standing", "lying down", "walking", "running", "sleeping", "jumping", "swimming"),
    "hoofed": ("standing", "lying down", "grazing", "running", "swimming", "jumping", "walking", "sleeping"),
}
_HOOFED = frozenset({"horse", "cow", "sheep", "zebra", "giraffe", "elephant"})


def deed(facts: Facts, rng: Random) -> Draft | None:
    """What somebody does with a thing; the things of the wrong answers are not there."""
    if not facts.complete or "person" not in (*facts.boxes, *facts.crowds):
        return None
    found = [
        words
        for thing, (words, said) in DEEDS.items()
        if thing in facts.boxes and said_of_people(facts, re.compile(said)) >= AGREE
    ]
    if not found:
        return None
    answer = rng.choice(found)
    absent, captions = set(facts.absent()), " ".join(facts.captions)
    others = [other for other in DEEDS if other in absent and not re.search(DEEDS[other][1], captions)]
    if len(others) < 3:
        return None
    wrong = tuple(DEEDS[other][0] for other in facts.drawn(rng, others))
    return Draft("What is somebody in the picture doing?", answer, wrong, f"Somebody is {answer}.")


def said_of_people(facts: Facts, deed: re.Pattern[str]) -> int:
    """How many captions say this of a person, with no animal named before that might do it."""
    people = mention(names_of("person"))
    animals = [mention(called(name)) for name, kind in facts.kinds.items() if kind == "animal"]
    count = 0
    for caption in facts.captions:
        if match := deed.search(caption):
            by_animal = any(animal.search(caption[: match.start()]) for animal in animals)
            count += bool(people.search(caption[: match.end()])) and not by_animal
    return count


def pose(facts: Facts, rng: Random) -> Draft | None:
    """What the only animal or person, or all animals of the only kind, do."""
    agents = agents_of(facts)
    if len(agents) != 1:
        return None
    who, need = agents[0], AGREE
    several = who not in facts.singles()
    if several:
        need = AGREE + 1  # it must be true of each
        if who == "person" or facts.counts().get(who, 0) < 2:
            return None
    said = {
        name: sum(bool(re.search(words, c)) for c in facts.captions) for name, (words, _) in POSES.items()
    }
    most = max(said, key=lambda name: (said[name], name))
    beside = {most, *POSES[most][1].split("|")}
    if said[most] < need or any(captions and name not in beside for name, captions in said.items()):
        return None
    kind = "hoofed" if who in _HOOFED else who if who in _ANY_POSE else ""
    others = [name for name in _ANY_POSE[kind] if name not in beside]
    if len(others) < 3:
        return None
    whom = f"are the {plural(who)}" if several else f"is the {who}"
    verb, _, rest = whom.partition(" ")
    why = f"{rest.capitalize()} {verb} {most}."
    return Draft(f"What {whom} doing?", most, tuple(rng.sample(others, 3)), why)


def agents_of(facts: Facts) -> list[str]:
    """The kinds of animals in the picture, and "person"; none where boxes do not tell."""
    if not facts.complete:
        return []
    names = dict.fromkeys((*facts.boxes, *facts.crowds))
    return [name for name in names if facts.kinds.get(name) in ("person", "animal")]
