"""The playground's yes/no and open-ended questions, by what a picture's captions and boxes say, and their answers."""

import re
from random import Random

from dataengine_lib.playground import world
from dataengine_lib.playground.captions import PictureFacts
from dataengine_lib.playground.questions import QA, QUESTION_WRITERS, write_question

# The types that the questions of public benchmarks have, by words of their names, as the types of the playground.
_KNOWN_AS = (
    (r"colou?r", "attribute_recognition"),
    (r"\bscene|room|place", "image_scene"),
    (r"action|doing", "action_recognition"),
    (r"material|made_of", "physical_property_reasoning"),
)
_PRESENCE = re.compile(r"existence|random|popular|adversarial|object$|is_there|are_there|presence")
# Kinds that could be taken for each other, or that a person may hold without their being listed.
_ALIKE = (
    {"clock", "wall clock"}, {"lamp", "hanging lamp"}, {"bird", "duck", "penguin", "owl"}, {"book", "picture"},
    {"chair", "sofa", "stool", "bench"}, {"car", "bus", "truck", "tractor", "scooter"}, {"balloon", "hot-air balloon"},
    {"potted plant", "flower", "mushroom", "tree", "grass", "cactus"}, {"cup", "vase", "bottle", "drum"},
    {"backpack", "suitcase", "crate"}, {"ball", "apple", "egg"}, {"umbrella", "kite"}, {"dog", "fox"}, {"sheep", "goat"},
)  # fmt: skip
_GROUPS = (world.ANIMALS, world.VEHICLES, world.FOOD, world.FURNITURE, world.OBJECTS)
_NO_CHOICES_NEEDED = re.compile(r"(?!.*\bof these\b)")  # not "Which of these is the largest in the picture?"
_LONGEST = 5  # words of a short answer


def type_of_playground(question_type: str) -> str:
    """The playground's own name of a benchmark's question type; a name that it does not know as it is."""
    if question_type in QUESTION_WRITERS:
        return question_type
    return next((name for words, name in _KNOWN_AS if re.search(words, question_type)), question_type)


def is_written(question_type: str) -> bool:
    """Whether yes/no or open-ended questions of the type are written."""
    return bool(_PRESENCE.search(question_type)) or type_of_playground(question_type) in QUESTION_WRITERS


def write_open(question_type: str, facts: PictureFacts, rng: Random) -> QA | None:
    """An open-ended question of the type with a short answer; None where the facts do not support one."""
    name = type_of_playground(question_type)
    found = write_question(name, facts, rng) if name in QUESTION_WRITERS else None
    if found is None or not _NO_CHOICES_NEEDED.match(found.question):
        return None
    answer = found.answer if len(found.answer.split()) <= _LONGEST else found.short
    return QA(found.question, answer, (), found.why) if answer else None


def write_yes_no(question_type: str, facts: PictureFacts, wants_yes: bool, rng: Random) -> QA | None:
    """A yes/no question of the type with the wanted answer; None where the facts do not support one."""
    answer = "Yes" if wants_yes else "No"
    if _PRESENCE.search(question_type) or question_type == "identity_reasoning":
        kind = _present(facts, rng) if wants_yes else _absent(facts, rng)
        if not kind:
            return None
        there = f"There is {_a(kind)}." if wants_yes else f"There is no {kind}."
        return QA(f"Is there {_a(kind)} in the picture?", answer, (), there)
    name = type_of_playground(question_type)
    form = _STATEMENTS.get(name)
    found = write_question(name, facts, rng) if form else None
    if form is None or found is None:
        return None
    claimed = found.answer if wants_yes else rng.choice(found.wrong)
    about = next(filter(None, (re.fullmatch(pattern, found.question) for pattern in form[0])), None)
    if about is None:
        return None
    return QA(form[1].format(*about.groups(), claimed), answer, (), found.why)


def answer_of(question: str, facts: PictureFacts) -> str:
    """`Yes`, `No` or empty: the answer to a yes/no question of `write_yes_no`, worked out from its words alone."""
    if found := re.fullmatch(r"Is there an? (.+) in the picture\?", question):
        return "Yes" if any(thing.kind == found[1] for thing in facts.things) else "No"
    if found := re.fullmatch(r"Does the picture show an? (.+)\?", question):
        return ("Yes" if facts.setting == found[1] else "No") if facts.setting else ""
    if found := re.fullmatch(r"Is the (.+) made of (\w+)\?", question):
        known = [thing.material for thing in facts.things if thing.kind == found[1] and thing.material]
        return ("Yes" if found[2] in known else "No") if known else ""
    actions = {action for _, _, action in facts.people if action}
    if (found := re.fullmatch(r"Is the (man|woman|boy|girl) (.+)\?", question)) and actions:
        return "Yes" if found[2] in actions else "No"
    if found := re.fullmatch(r"Is the (.+) (\w+)\?", question):
        colors = [thing.color for thing in facts.things if thing.kind == found[1] and thing.color]
        return ("Yes" if found[2] in colors else "No") if colors else ""
    return ""


# Per type: the forms of its question, and the statement that they become, with what they ask about and an answer.
_STATEMENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "attribute_recognition": (
        (r"What color is the (.+)\?", r"Which color does the (.+) have\?"),
        "Is the {} {}?",
    ),
    "physical_property_reasoning": (
        (r"What is the (.+) made of\?", r"Which material is the (.+)\?"),
        "Is the {} made of {}?",
    ),
    "image_scene": ((r".+",), "Does the picture show a {}?"),
    "action_recognition": (
        (r"What is the (\w+) doing\?", r"What does the (\w+) do in the picture\?"),
        "Is the {} {}?",
    ),
}


def _present(facts: PictureFacts, rng: Random) -> str:
    kinds = sorted({thing.kind for thing in facts.things})
    return rng.choice(kinds) if kinds else ""


def _absent(facts: PictureFacts, rng: Random) -> str:
    """A thing that is not there, of a group of which something is, so that it could well be; POPE's hard negatives."""
    there = {thing.kind for thing in facts.things}
    if not there:
        return ""
    held = {"umbrella", "book", "crate"} if any(action for _, _, action in facts.people) else set[str]()
    doubtful = there | held | {kind for group in _ALIKE if group & (there | held) for kind in group}
    groups = [group for group in _GROUPS if there & {*group}] or list(_GROUPS)
    kinds = sorted({kind for group in groups for kind in group} - doubtful)
    return rng.choice(kinds) if kinds else ""


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
