"""Step 1, `rank: generate`: which option a written answer names; what names none or two is never guessed."""

import re
from collections.abc import Sequence

from dataengine_lib.data.records import LETTERS

_LEAD = re.compile(
    r"^\W*(?:(?:so|thus|therefore|hence)\W+)?(?:(?:the|my)\s+)?(?:(?:correct|best|right|final)\s+)*"
    r"(?:answer|option|choice)\b\s*(?:is\b|:|=)?\s*",
    re.IGNORECASE,
)
_OR = re.compile(r"(?:or|and|/|&)\s*\(?[A-Z]\)?(?:\W|$)|,\s*\([A-Z]\)", re.IGNORECASE)  # a second letter
CANNOT_TELL = "cannot tell"  # what a student may say in place of an option


def written_choice(text: str, choices: Sequence[str]) -> int | None:
    """The place of the option that `text` names, None when that cannot be told.

    Read as an option: its letter (`B`, `b.`, `(B)`, `B) cat`, `Answer: B`, `**B**`), its text, or a sentence that
    holds one option's letter in parentheses or one option's whole text and no other. A letter beside another
    option's text names none.
    """
    said = _plain(text)
    if not said:
        return None
    texts = [_plain(choice) for choice in choices]
    exact = [i for i, choice in enumerate(texts) if choice == said]
    if exact:
        return exact[0] if len(exact) == 1 else None
    if said == CANNOT_TELL:  # an option may be in these words
        return None
    first = text.strip().split("\n")[0]
    rest = _LEAD.sub("", first, count=1)
    marked = re.match(r"^\W*([A-Za-z])(?:\W*$|\s*[).:\]*]+\s*(.*)$)", rest)
    if marked and (place := LETTERS.find(marked[1].upper())) >= 0 and place < len(choices):
        return None if _OR.match(marked[2] or "") else _agreed(place, marked[2] or "", texts)
    in_brackets = {LETTERS.find(letter.upper()) for letter in re.findall(r"\(([A-Za-z])\)", text)}
    in_brackets &= set(range(len(choices)))
    if len(in_brackets) == 1:
        return _agreed(in_brackets.pop(), "", texts)
    if in_brackets:
        return None
    return _only(_plain(rest), texts)


def _agreed(place: int, behind: str, texts: Sequence[str]) -> int | None:
    """The letter's option, unless what stands behind the letter is another option's text."""
    named = _only(_plain(behind), texts) if behind else None
    return place if named is None or named == place or texts[place] in _plain(behind) else None


def _only(said: str, texts: Sequence[str]) -> int | None:
    """The option whose whole text stands in `said`; one inside a longer option that is there does not count."""
    found = [
        i
        for i, choice in enumerate(texts)
        if choice and re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", said)
    ]
    longest = [
        i for i in found if not any(i != j and texts[i] != texts[j] and texts[i] in texts[j] for j in found)
    ]
    return longest[0] if len(longest) == 1 else None


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"^[\W_]+|[\W_]+$", "", text.casefold())).strip()
