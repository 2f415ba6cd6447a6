"""Step 3, annotations teacher: questions about what somebody in the image does, where two captions agree."""

import re
from random import Random

from dataengine_lib.annotations.draft import QaDraft
from dataengine_lib.annotations.facts import AGREEING_CAPTIONS, ImageFacts
from dataengine_lib.annotations.vocabulary import mention_pattern, plural, with_related_words, with_synonyms

# Up to three words between a verb and the thing's name, none of which starts another phrase: riding "his big brown" horse,
# eating "a slice of" pizza, but not holding "a ball next to a" dog.
WORDS_BETWEEN = (
    r"(?:(?!and\b|next\b|near\b|by\b|of\b|behind\b|with\b)[\w-]+ "
    r"(?:(?<=pair )of |(?<=piece )of |(?<=slice )of )?){0,3}"
)
_BETWEEN = WORDS_BETWEEN  # short, for the table
# What people do with a thing of this category, and how captions say so: "rides his big brown horse".
_ACTIONS: dict[str, tuple[str, str]] = {
    "skis": ("skiing", r"\bskiing\b|\bskiers?\b|\bskis (?:down|across|through|along)\b"),
    "snowboard": ("snowboarding", r"\bsnow ?board(?:ing|ers?)\b|\brid\w+ " + _BETWEEN + r"snow ?boards?\b"),
    "surfboard": ("surfing", r"\bsurfing\b|\bsurfers?\b|\brid\w+ " + _BETWEEN + r"waves?\b"),
    "skateboard": ("skateboarding", r"\bskate ?board(?:ing|ers?)\b|\brid\w+ " + _BETWEEN + r"skate ?boards?\b"),
    "frisbee": ("playing frisbee", r"\b(?:play|throw|catch|toss)\w* " + _BETWEEN + r"frisbees?\b"),
    "kite": ("flying a kite", r"\bfly(?:ing)? (?:an?|the|his|her|their|some|\w+) ?kites?\b"),
    "tennis racket": ("playing tennis", r"\bplay\w* " + _BETWEEN + r"tennis\b|\btennis players?\b"),
    "baseball bat": ("playing baseball", r"\bbaseball (?:players?|game|match)\b|\bplay\w* " + _BETWEEN + r"baseball\b"),
    "horse": ("riding a horse", r"\brid(?:es?|ing) " + _BETWEEN + r"horses?\b|\bhorseback\b"),
    "elephant": ("riding an elephant", r"\brid(?:es?|ing) " + _BETWEEN + r"elephants?\b"),
    "bicycle": ("riding a bicycle", r"\brid(?:es?|ing) " + _BETWEEN + r"(?:bikes?|bicycles?)\b"),
    "motorcycle": ("riding a motorcycle", r"\brid(?:es?|ing) " + _BETWEEN + r"(?:motor(?:cycle|bike)|moped)s?\b"),
    "pizza": ("eating pizza", r"\beat(?:s|ing)? " + _BETWEEN + r"pizzas?\b"),
    "banana": ("eating a banana", r"\beat(?:s|ing)? " + _BETWEEN + r"bananas?\b"),
    "donut": ("eating a donut", r"\beat(?:s|ing)? " + _BETWEEN + r"(?:donuts?|doughnuts?)\b"),
    "sandwich": ("eating a sandwich", r"\beat(?:s|ing)? " + _BETWEEN + r"sandwich(?:es)?\b"),
    "hot dog": ("eating a hot dog", r"\beat(?:s|ing)? " + _BETWEEN + r"(?:hot ?dogs?)\b"),
    "cake": ("cutting a cake", r"\bcut(?:s|ting)? " + _BETWEEN + r"cakes?\b"),
    "laptop": ("using a laptop", r"\b(?:us|work|typ)\w* (?:on )?" + _BETWEEN + r"laptops?\b"),
    "toothbrush": ("brushing teeth", r"\bbrush(?:es|ing)? (?:\w+ )?teeth\b"),
    "cell phone": ("talking on a phone", r"\btalk(?:s|ing)? on " + _BETWEEN + r"(?:cell ?)?phone\b"),
    "dog": ("walking a dog", r"\bwalk(?:s|ing)? (?:an?|the|his|her|their|some|two) " + _BETWEEN + r"dogs?\b"),
    "umbrella": ("holding an umbrella", r"\b(?:hold|carry|carri)\w* " + _BETWEEN + r"umbrellas?\b"),
}  # fmt: skip

# What a single animal or person does: how captions say so, and which other poses may be true at the same time.
_POSES: dict[str, tuple[str, str]] = {
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
# The poses that are plausible as wrong answers, by who it is; "" stands for all other animals.
_PLAUSIBLE_POSES = {
    "person": ("sitting", "standing", "lying down", "walking", "running", "sleeping", "jumping", "swimming"),
    "bird": ("sleeping", "walking", "swimming", "flying", "standing"),
    "": ("sitting", "standing", "lying down", "walking", "running", "sleeping", "jumping", "swimming"),
    "hoofed": ("standing", "lying down", "grazing", "running", "swimming", "jumping", "walking", "sleeping"),
}
_HOOFED = frozenset({"horse", "cow", "sheep", "zebra", "giraffe", "elephant"})


def write_action(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """What somebody does with a thing; the things of the wrong answers are not in the image."""
    if not facts.boxes_are_complete or "person" not in (*facts.boxes, *facts.crowds):
        return None
    found = [
        words
        for thing, (words, pattern) in _ACTIONS.items()
        if thing in facts.boxes and captions_about_people(facts, re.compile(pattern)) >= AGREEING_CAPTIONS
    ]
    if not found:
        return None
    answer = rng.choice(found)
    absent, captions = set(facts.absent_things()), " ".join(facts.captions)
    others = [other for other in _ACTIONS if other in absent and not re.search(_ACTIONS[other][1], captions)]
    if len(others) < 3:
        return None
    wrong = tuple(_ACTIONS[other][0] for other in facts.draw_plausible(rng, others))
    return QaDraft("What is somebody in the picture doing?", answer, wrong, f"Somebody is {answer}.")


def captions_about_people(facts: ImageFacts, action: re.Pattern[str]) -> int:
    """The number of captions that say this about a person, with no animal named before that might do it instead."""
    people = mention_pattern(with_related_words("person"))
    animals = [mention_pattern(with_synonyms(name)) for name, kind in facts.kinds.items() if kind == "animal"]
    count = 0
    for caption in facts.captions:
        if match := action.search(caption):
            by_animal = any(animal.search(caption[: match.start()]) for animal in animals)
            count += bool(people.search(caption[: match.end()])) and not by_animal
    return count


def write_pose(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """What the only animal or person does, or all animals if they are of one category."""
    agents = animals_and_people(facts)
    if len(agents) != 1:
        return None
    who, needed = agents[0], AGREEING_CAPTIONS
    several = who not in facts.single_things()
    if several:
        needed = AGREEING_CAPTIONS + 1  # it must be true of each of them
        if who == "person" or facts.counts().get(who, 0) < 2:
            return None
    captions = {
        name: sum(bool(re.search(words, c)) for c in facts.captions) for name, (words, _) in _POSES.items()
    }
    most = max(captions, key=lambda name: (captions[name], name))
    compatible = {most, *_POSES[most][1].split("|")}
    # a caption with a pose that cannot go with it contradicts it
    if captions[most] < needed or any(number and name not in compatible for name, number in captions.items()):
        return None
    kind = "hoofed" if who in _HOOFED else who if who in _PLAUSIBLE_POSES else ""
    others = [name for name in _PLAUSIBLE_POSES[kind] if name not in compatible]
    if len(others) < 3:
        return None
    subject = f"are the {plural(who)}" if several else f"is the {who}"
    verb, _, noun = subject.partition(" ")
    why = f"{noun.capitalize()} {verb} {most}."
    return QaDraft(f"What {subject} doing?", most, tuple(rng.sample(others, 3)), why)


def animals_and_people(facts: ImageFacts) -> list[str]:
    """The animal categories in the image, and "person"; empty if boxes are not complete."""
    if not facts.boxes_are_complete:
        return []
    names = dict.fromkeys((*facts.boxes, *facts.crowds))
    return [name for name in names if facts.kinds.get(name) in ("person", "animal")]
