"""Step 3, annotations teacher: the words that a caption puts before a noun, or after it and "is"."""

import re
from collections.abc import Collection

from dataengine_lib.annotations.vocabulary import called, mention

# May stand between the word that is looked for and its noun.
_ADJECTIVES = (
    "big large small little tiny huge tall short long old new young modern antique vintage shiny bright dark light "
    "pale deep dirty clean parked open closed empty round square rectangular metal wooden wood brick stone glass "
    "plastic leather concrete marble steel double decker passenger city public commercial electric stuffed baby "
    "fluffy furry shaggy very pretty beautiful cute nice lone single plain solid fancy ornate adult male female "
    "pickup cargo garbage dump fire tow delivery school tour freight steam polar mountain dirt folding park"
)
_BEFORE = frozenset({*_ADJECTIVES.split(), "and", ",", "&"})
# A noun before any other word may only be the first half of another noun: a bus stop, a car door.
_GOES_ON = re.compile(
    r"(?:is|are|was|were|has|have|had|that|which|who|and|or|but|in|on|at|of|to|by|for|from|with|without|near|next|"
    r"beside|besides|behind|under|underneath|below|above|over|against|along|alongside|atop|around|across|between|"
    r"inside|outside|off|down|up|through|into|onto|among|amongst|as|while|front|sit|stand|lie|lay|rest|sits|stands|"
    r"lays|lies|rests|drives|goes|passes|flies|waits|travels|rides|moves|eats|looks|walks|runs|grazes|\w+ing|\w+ed)\Z"
)
_TOKEN = re.compile(r"[\w'-]+|[^\w\s]")
_PLURALS = frozenset({"walls", "flowers", "cabinets", "scissors", "skis"})


def said_of(noun: str, caption: str, words: Collection[str]) -> set[str]:
    """Which of the words the caption says of the noun: "a red and white bus", "the bus is red"."""
    found: set[str] = set()
    forms = (noun,) if is_plural(noun) else called(noun)
    for match in mention(forms).finditer(caption):
        after = _TOKEN.findall(caption[match.end() :])[:4]
        if after and re.match(r"\w", after[0]) and not _GOES_ON.match(after[0]):
            continue
        for token in reversed(_TOKEN.findall(caption[: match.start()])):
            if token in words:
                found.add(token)
            elif token not in _BEFORE:
                break
        if len(after) > 1 and after[0] in ("is", "are"):
            found |= {token for token in after[1:2] if token in words}
            if after[1] in words and len(after) == 4 and after[2] in ("and", "&", ","):
                found |= {after[3]} & {*words}
    return found


def is_plural(noun: str) -> bool:
    """The noun is a plural as it stands here."""
    return noun in _PLURALS
