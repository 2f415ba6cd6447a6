"""Step 1: a question in other words, by fixed rules without a model, for the contamination probe."""

import hashlib
import re
from typing import NamedTuple

# Rules that keep the meaning; the first that matches at a place counts, so longer phrases come before shorter ones.
_RULES = [
    (r"is there (an? [\w -]+?) in the (?:image|picture|photo)", r"does the picture show \1"),
    (r"are there (?:any )?([\w -]+?) in the (?:image|picture|photo)", r"does the picture show any \1"),
    (r"(?:which|what) of the following", "which one of these"),
    (r"which of these", "which one of the following"),
    (r"what (?:kind|sort) of", "which type of"),
    (r"what type of", "which kind of"),
    (r"what colou?r", "which color"),
    (r"how many", "what number of"),
    (r"why (is|are|was|were|do|does|did|would|might|has|have)", r"for what reason \1"),
    (r"where (is|are|was|were|do|does|did|would|might)", r"in which place \1"),
    (r"when (is|are|was|were|do|does|did|would|might)", r"at what time \1"),
    (r"what's", "what is"),
    (r"what is", "what's"),
    (r"who's", "who is"),
    (r"who is", "who's"),
    (r"photo(?:graph)?", "picture"),
    (r"picture", "image"),
    (r"image", "picture"),
    (r"large", "big"),
    (r"next to", "beside"),
]
_PATTERNS = [(re.compile(rf"(?<!\w){pattern}(?!\w)", re.IGNORECASE), words) for pattern, words in _RULES]
_OPENINGS = (
    "Please answer a question on this picture: ",
    "Look at the picture and give the answer. ",
    "The following is asked about the picture. ",
    "Use the picture to answer this: ",
)


class Reworded(NamedTuple):
    """A question in other words; `inside` says whether words of the question itself changed, not its opening alone."""

    text: str
    inside: bool


def reworded(question: str) -> Reworded:
    """The question with an opening sentence and, where the rules know them, other words of the same meaning.

    The same question always gives the same text.
    """
    changed = _in_other_words(question)
    # Python's own hash() differs between runs
    number = hashlib.sha256(question.encode()).digest()[0]
    return Reworded(_OPENINGS[number % len(_OPENINGS)] + changed, changed != question)


def _in_other_words(question: str) -> str:
    """`Where is the large dog?` as `In which place is the big dog?`; no place is changed twice."""
    parts: list[str] = []
    at = 0
    while True:
        found = [(match, words) for one, words in _PATTERNS if (match := one.search(question, at))]
        if not found:
            return "".join([*parts, question[at:]])
        # min takes the first of equal ones, so the order of the rules counts
        match, words = min(found, key=lambda pair: pair[0].start())
        changed = match.expand(words)
        capital = match[0][0].isupper()
        parts += [question[at : match.start()], changed[0].upper() + changed[1:] if capital else changed]
        at = match.end()
