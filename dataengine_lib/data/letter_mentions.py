"""Step 4: letters of choices that a text names, "(B) is right", moved along when the choices change places.

What can only be a choice's letter is moved. Where it cannot be told, "C" as a vitamin or a grade, the text is given
up rather than made to say something else; an article stays as it is.
"""

import re
from collections.abc import Sequence

# Single letters, but no "a" that a word follows: an article, unless that word is a verb or an option is spoken of.
_LETTER = re.compile(  # begins with a set of letters, which is found faster than what is looked at around it
    r"[A-Da-d](?![\w'’-]|\.\w)(?<![\w.'’-].)(?:(?<!a)|(?! [\w'])|(?= (?:is|are|was|were|has|had|and|or|nor|as|can|could|"
    r"would|will|does|did|because|since|in|at|on)\b)|(?<=option a)|(?<=options a)|(?<=choice a)|(?<=choices a)|"
    r"(?<=answer a)|(?<=answers a))"
)
_OPTION = re.compile(r"\b(?:options?|choices?|answers?)(?P<told>\b[\w ]{0,15})?:?\s$", re.IGNORECASE)
_TOLD = re.compile(r" (?:is|are|was|were|would be|must be|should be|has to be)", re.IGNORECASE)
_GOES_ON = re.compile(r"(?:, (?:and |or )?| and | or | nor | & |/)")
# No noun begins like this, so an "a" before it is a letter.
_NO_NOUN = re.compile(
    r"\s?(?:[.,;:!?)]|\Z)|\s(?:is|are|was|were|has|had|and|or|nor|as|can|could|would|will|does|did|because|since|in|"
    r"at|on)\b"
)
_VERB = re.compile(r"\s[a-z]{2,20}(?<![suian])s\b")  # "A shows", but not "A glass", "A bus", "A lens"
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;]\s|[\"“‘(])\s?$")
_BY_PLACE = re.compile(
    r"\b(?:first|second|third|fourth|last|1st|2nd|3rd|4th|previous|next|preceding)\s(?:\w{1,20}\s){0,2}"
    r"(?:options?|choices?|answers?|alternatives?)\b"
    r"|\b(?:option|choice)s?\s(?:number\s|no\.\s|#\s?)?(?:[1-4]|one|two|three|four)\b"
    r"|\bof the (?:above|below|preceding|previous|following)\b",
    re.IGNORECASE,
)
_PLACES = (
    "first",
    "second",
    "third",
    "four",
    "last",
    "1st",
    "2nd",
    "3rd",
    "4th",
    "previous",
    "next",
    "preceding",
)
_CAPITAL = re.compile(r"[A-D](?!\w)(?<!\w.)")
_AMONG_CHOICES = re.compile(
    r"\( ?[A-D] ?\)|\b(?:[Bb]oth|[Nn]either|[Ee]ither|[Oo]ptions?|[Cc]hoices?) [A-D]\b|\b[A-D] (?:and|or|nor|&) [A-D]\b"
)


def names_places(*texts: str) -> bool:
    """A question or choice speaks of choices by letter or place ("all of the above"): their order has to stay."""
    text = "\n|\n".join(texts)
    if _speaks_of_place(text):
        return True
    return any(map(text.__contains__, "ABCD")) and bool(_CAPITAL.search(text) and _AMONG_CHOICES.search(text))


def _speaks_of_place(text: str) -> bool:
    plain = text.casefold()
    if "option" not in plain and "choice" not in plain and "of the " not in plain:
        # an answer or alternative has a place only by one of these words
        if "answer" not in plain and "alternative" not in plain:
            return False
        if not any(word in plain for word in _PLACES):
            return False
    return bool(_BY_PLACE.search(text))


def moved(text: str, places: Sequence[int], choices: Sequence[str] = ()) -> str | None:
    """The text with the letters that its choices have after a move; None where that cannot be told.

    `places[i]` is where the choice stood that stands at `i` now. A letter inside one of `choices`, quoted by the
    text, is none of theirs.
    """
    if list(places) == sorted(places):
        return text
    if _speaks_of_place(text):
        return None
    kept, end, listed = [], 0, -1  # `listed`: where the mention before ends
    quoted: list[tuple[int, int]] | None = None
    for match in _LETTER.finditer(text):
        at, letter = match.start(), match[0]
        if quoted is None:
            quoted = _quoted(text, choices)
        if any(low <= at < high for low, high in quoted):
            continue
        says = _says(text, at, listed)
        if says == "a letter":
            listed = at + 1
        new = "ABCD"[places.index("ABCD".index(letter.upper()))]
        if says == "an article" or new == letter.upper():
            continue
        if says == "unclear":
            return None
        kept += [text[end:at], new if letter.isupper() else new.lower()]
        end = at + 1
    return "".join([*kept, text[end:]])


def _says(text: str, at: int, listed: int) -> str:
    """What the single letter at `at` is: "a letter" of a choice, "an article" or "unclear"."""
    letter, before, after = text[at], text[max(0, at - 40) : at], text[at + 1 : at + 41]
    opening = before.rstrip(" ")[-1:]
    marked = opening in ("(", "[") and after.lstrip(" ")[:1] in (")", "]")
    if marked and letter.isupper():
        return "a letter"
    quoted = opening in ('"', "'", "“", "‘") and after[:1] in ('"', "'", "”", "’")
    if marked or quoted:
        before = before.rstrip(" ")[:-1]
    alone = marked or quoted or bool(_NO_NOUN.match(after))
    if listed >= 0 and _GOES_ON.fullmatch(text[listed:at].strip(")][(\"'“”‘’")) and (alone or letter != "a"):
        return "a letter"
    option = _OPTION.search(before)
    if option is not None:
        told = option["told"] or ""
        if not told.strip():
            return "a letter" if alone or letter != "a" else "unclear"
        if _TOLD.fullmatch(told.rstrip()):
            if alone or letter not in "Aa":
                return "a letter"
            return "an article" if letter == "a" else "unclear"
    if letter.isupper() and after[:1] == ")":
        return "a letter"
    if letter == "a" and not alone:
        return "an article"
    if letter == "A" and not alone and _SENTENCE_BEGINS.search(before) and not _VERB.match(after):
        return "an article"
    return "unclear"


def _quoted(text: str, choices: Sequence[str]) -> list[tuple[int, int]]:
    """Where the text quotes a choice that holds a single letter itself."""
    lower = text.lower()
    if len(lower) != len(text):
        return []
    return [
        found.span()
        for choice in choices
        if len(choice) > 3 and _LETTER.search(choice)
        for found in re.finditer(re.escape(choice.lower()), lower)
    ]
