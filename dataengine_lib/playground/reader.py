"""The playground's scripted reader (step 4): answers a question from captions and boxes, or guesses without them.

It works from the form of the question, independently of how questions are written, and knows nothing but the prompt.
"""

import hashlib
import re
from collections.abc import Callable, Iterable

from dataengine_lib.core.records import LETTERS
from dataengine_lib.playground.answer_tables import (
    EMOTIONS,
    NATURE_ANSWERS,
    OUTCOMES,
    RELATION_ANSWERS,
    SOCIAL_ANSWERS,
    USES,
    VOICES,
    YOUNG,
)
from dataengine_lib.playground.captions import FAULT_WORDS, STYLE_WORDS, KnownThing, PictureFacts, place_of
from dataengine_lib.playground.other_kinds import answer_of
from dataengine_lib.replies.answer_choice import CANNOT_TELL

QUESTION_HEADING = "Question to answer:"  # stands in every prompt that asks for an answer
# Matches "Question: What color is the dog?\nChoices: (A) red (B) blue"; the next one its single choices.
_QUESTION = re.compile(r"^Question: (.+)\nChoices: (.+)$", re.M)
_BARE_QUESTION = re.compile(r"^Question: (.+)$", re.M)
_CHOICE = re.compile(r"\(([A-Z])\) (.*?)(?= \([A-Z]\) |$)")


def read_question(prompt: str, facts: PictureFacts | None) -> str:
    """The letter of the right choice, or `cannot tell` if not exactly one choice is right.

    Without `facts` it is a guess, always the same for a question with its choices in whatever order.
    """
    found = _QUESTION.search(prompt.rpartition(QUESTION_HEADING)[2])
    if found is None:
        return _answer_in_words(prompt, facts)
    question, choices = found[1], [text for _, text in _CHOICE.findall(found[2])]
    if facts is None:
        texts = sorted(choices)
        # SHA-256, since hash() of a text changes from run to run
        guess = int(hashlib.sha256("\0".join([question, *texts]).encode()).hexdigest(), 16) % len(texts)
        return LETTERS[choices.index(texts[guess])]
    right = [place for place, choice in enumerate(choices) if choice in _answers(question, choices, facts)]
    return LETTERS[right[0]] if len(right) == 1 else CANNOT_TELL


def _answer_in_words(prompt: str, facts: PictureFacts | None) -> str:
    """The answer to a question without choices; without `facts` a guess, No or `cannot tell`."""
    asked = _BARE_QUESTION.search(prompt.rpartition(QUESTION_HEADING)[2])
    is_yes_no = "Yes or No" in prompt or "Yes, No or" in prompt
    if asked is None or facts is None:
        return "No" if asked and is_yes_no else CANNOT_TELL
    if is_yes_no:
        return answer_of(asked[1], facts) or CANNOT_TELL
    # answers that are longer than a short one are those of multiple choice: "on the left"
    right = _answers(asked[1], [], facts)
    return right.pop() if len(right) == 1 else CANNOT_TELL


def _answers(question: str, choices: list[str], facts: PictureFacts) -> set[str]:
    """The answers that the facts prove, whether they are among the choices or not."""
    for pattern, answer in _FORMS:
        if found := pattern.fullmatch(question):
            return {text for text in answer(facts, choices, *found.groups()) if text}
    return set()


# The functions below take the facts, the choices and what the question names, and return the answers that are proven.


def _thing(facts: PictureFacts, kind: str) -> KnownThing | None:
    return next((thing for thing in facts.things if thing.kind == kind), None)


def _vignette(facts: PictureFacts, family: str) -> str:
    """The value of the scene's vignette (how two of its things belong together) if it is of this family."""
    return facts.vignette[1] if facts.vignette and facts.vignette[0] == family else ""


def _people(facts: PictureFacts, noun: str, part: int) -> list[str]:
    """Of the people called `noun`: their job (`part` 1) or what they do (2)."""
    return [person[part] for person in facts.people if person[0] == noun]


def _material(facts: PictureFacts, choices: list[str], kind: str) -> list[str]:
    thing = _thing(facts, kind)
    return [thing.material or ""] if thing else []


def _color(facts: PictureFacts, choices: list[str], kind: str) -> list[str]:
    thing = _thing(facts, kind)
    return [thing.color or ""] if thing else []


def _uses(facts: PictureFacts, choices: list[str]) -> list[str]:
    return [USES[thing.kind] for thing in facts.things if thing.kind in USES]


def _place(facts: PictureFacts, choices: list[str], kind: str) -> list[str]:
    thing = _thing(facts, kind)
    return [place_of(thing.box)] if thing else []


def _size(facts: PictureFacts, choices: list[str], which: str) -> list[str]:
    """The kind of thing with the largest or smallest box, of those that are choices."""
    areas = {}
    for thing in facts.things:
        if thing.kind in choices and thing.box:
            x1, y1, x2, y2 = thing.box
            areas[thing.kind] = (x2 - x1) * (y2 - y1)
    if not areas:
        return []
    return [max(areas, key=areas.__getitem__) if which == "largest" else min(areas, key=areas.__getitem__)]


def _side(facts: PictureFacts, one: str, other: str) -> list[str]:
    """Where `one` is seen from `other`, by the direction in which their centres are further apart."""
    a, b = _thing(facts, one), _thing(facts, other)
    if not a or not b or not a.box or not b.box:
        return []
    # Twice the distance of the centres; y grows downwards.
    dx, dy = (a.box[i] + a.box[i + 2] - b.box[i] - b.box[i + 2] for i in (0, 1))
    if abs(dx) > abs(dy):
        return ["to the left of it" if dx < 0 else "to the right of it"]
    return ["above it" if dy < 0 else "below it"]


def _animal(facts: PictureFacts, table: dict[str, str]) -> list[str]:
    return [table[thing.kind] for thing in facts.things if thing.kind in table]


def _meaning(table: dict[str, str], key: str) -> Iterable[str]:
    return [table.get(key, "")]


_Answer = Callable[..., Iterable[str]]
# The forms of questions, each with the function that answers it; groups become the function's last arguments. A form
# with "|" has a group in either half, of which one is None.
_FORMS: list[tuple[re.Pattern[str], _Answer]] = [
    (re.compile(pattern), answer)
    for pattern, answer in (
        (r"What is the job of the (\w+)\?|Who is the (\w+) in the picture\?",
         lambda f, c, one, two: _people(f, one or two, 1)),
        (r"What is the (?P<kind>.+) made of\?", _material),
        (r"Which material is the (?P<kind>.+)\?", _material),
        (r"What color is the (?P<kind>.+)\?", _color),
        (r"Which color does the (?P<kind>.+) have\?", _color),
        (r"What is something in the picture good for\?|What could somebody use a thing here for\?", _uses),
        (r"Where in the picture is the (?P<kind>.+)\?", _place),
        (r"In which part of the picture is the (?P<kind>.+)\?", _place),
        (r"Which of these is the (largest|smallest) in the picture\?", _size),
        (r"How do the two living things belong together\?|What are the two living things to each other\?",
         lambda f, c: _meaning(NATURE_ANSWERS, _vignette(f, "nature"))),
        (r"What will probably happen next\?|What is about to happen\?",
         lambda f, c: _meaning(OUTCOMES, _vignette(f, "event"))),
        (r"Where does the scene take place\?|Which place does the picture show\?", lambda f, c: [f.setting]),
        (r"Where is the (.+) compared with the (.+)\?", lambda f, c, one, other: _side(f, one, other)),
        (r"Seen from the (.+), where is the (.+)\?", lambda f, c, other, one: _side(f, one, other)),
        (r"How good is the quality of the picture\?|What can be said about the picture quality\?",
         lambda f, c: [f"it is {FAULT_WORDS[f.fault]}" if f.fault else ""]),
        (r"How is the (?:.+) placed at the (?:.+)\?|Where does the (?:.+) rest at the (?:.+)\?",
         lambda f, c: _meaning(RELATION_ANSWERS, _vignette(f, "relation"))),
        (r"What is the (\w+) doing\?|What does the (\w+) do in the picture\?",
         lambda f, c, one, two: _people(f, one or two, 2)),
        (r"How do the two people know each other\?|What connects the two people\?",
         lambda f, c: _meaning(SOCIAL_ANSWERS, f.social)),
        (r"How was the picture made\?|Which style does the picture have\?",
         lambda f, c: _meaning(STYLE_WORDS, f.style)),
        (r"What feeling does the picture give\?|Which mood does the picture have\?",
         lambda f, c: _meaning(EMOTIONS, f.mood)),
        (r"What is the picture about\?|Which topic does the picture have\?", lambda f, c: [f.topic]),
        (r"What is the young of the animal in the picture called\?", lambda f, c: _animal(f, YOUNG)),
        (r"How does the animal in the picture speak\?", lambda f, c: _animal(f, VOICES)),
    )
]  # fmt: skip
