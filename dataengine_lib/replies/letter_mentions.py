"""Step 4: letters of choices that a text names, "(B) is right", moved along when the choices change places.

What can only be a choice's letter is moved. Where it cannot be told, "C" as a vitamin or a grade, the text is given
up rather than made to say something else; an article stays as it is.
"""

import re
from collections.abc import Sequence

# Single letters, but no "a" that a word follows: an article, unless that word is a verb or an option is spoken of.
_LETTER = re.compile(  # begins with a set of letters, which is found faster than what is looked at around it
    r"[A-Da-d](?!\w)(?<![\w.].)(?!-(?![B-Db-d]\b)|['’](?![sS]\b)\w|\.\w)(?<!\w['’].)"
    r"(?:(?<!-.)|(?i:(?<=option-.)|(?<=choice-.)|(?<=answer-.)))"
    r"(?:(?<!a)|(?! [\w'])|(?= (?:is|are|was|were|has|had|and|or|nor|as|can|could|"
    r"would|will|does|did|because|since|in|at|on)\b)|(?<=option a)|(?<=options a)|(?<=choice a)|(?<=choices a)|"
    r"(?<=answer a)|(?<=answers a)|(?<=-a))"
)
_OPTION = re.compile(r"\b(?:options?|choices?|answers?)(?P<told>\b[\w ]{0,15})?:?[\s-]$", re.IGNORECASE)
_TOLD = re.compile(r" (?:is|are|was|were|would be|must be|should be|has to be)", re.IGNORECASE)
_GOES_ON = re.compile(r"(?:, (?:and |or )?| and | or | nor | & |/)")
# letters between the two may be meant, too
_RANGE = re.compile(
    r"[A-Da-d][)\]\"'”’]?(?:\s?[-–—~]\s?|\s(?:to|through|thru)\s)[(\[\"'“‘]?[B-Db-d](?![\w'’])"
)
# No noun begins like this, so an "a" before it is a letter.
_NO_NOUN = re.compile(
    r"\s?(?:[.,;:!?)]|\Z)|['’][sS]\b|\s(?:is|are|was|were|has|had|and|or|nor|as|can|could|would|will|does|did|"
    r"because|since|in|at|on)\b"
)
_VERB = re.compile(r"\s[a-z]{2,20}(?<![suian])s\b")  # "A shows", but not "A glass", "A bus", "A lens"
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;]\s|[\"'“‘(])\s?$")
# These are looked for in casefolded texts, and only where a word of theirs is: a search costs much more than `in`.
_BY_PLACE = re.compile(
    r"\b(?:first|second|third|fourth|last|1st|2nd|3rd|4th|previous|next|preceding)\s(?:\w{1,20}\s){0,2}"
    r"(?:options?|choices?|answers?|alternatives?)\b"
    r"|\b(?:top|bottom|middle|above|below|former|latter)\s(?:(?:two|three|four|other|answer)\s)?"
    r"(?:options?|choices?|answers?|alternatives?)\b"
    r"|\bfinal\s(?:(?:two|three|four|other|answer)\s)?(?:options?|choices?)\b"  # a "final answer" is at no place
    r"|\b(?:options?|choices?)\s(?:below|in the middle|at the (?:top|bottom|end))\b"
    r"|\b(?:option|choice)s?[\s-](?:number\s|no\.\s|#\s?)?\(?(?:[1-4]|one|two|three|four)\b"
    r"|\bof the (?:above|below|preceding|previous|following)\b"
)
_ABOVE = re.compile(
    r"\b(?:all|none|any|both|neither|either|some|most|two|three|the)(?:\s(?:of|the|these|those|two|three)){0,3}"
    r"\sabove\b(?![\s-](?!(?:is|are|two|three|ones?)\b)\w)"
    r"|\b(?:options?|choices?|answers?|alternatives?)\sabove\b"
)


def _after_place(word: str) -> str:
    """Begins with what is found fast; "the last one", but not "at least one"."""
    places = "first second third fourth last 1st 2nd 3rd 4th previous preceding next final top bottom middle"
    behind = "|".join(rf"(?<={place} {word})(?<!\w{place} {word})" for place in places.split())
    return rf" {word}\b(?:{behind})"


_ONE = re.compile(_after_place("one"))
_TWO = re.compile(_after_place("two") + r"(?!\s(?!are\b)\w)")
_NUMBERED = re.compile(
    r"\)(?<=[1-4]\))(?<![\w.,]..)(?:\s(?:is|are|was|were)\b|,?\s(?:(?:and|or|nor|&)\s)?(?:\(|(?<=\s))[1-4]\))"
)
_FORMER = re.compile(
    r"\bthe (?:former|latter)(?=\s?(?:[.,;:!?]|\Z)|\s(?:is|are|was|were|would|must|should|can|cannot|could|does|do|has|"
    r"have|fits?|match|matches|seems?|one|ones|two|three)\b)"
)
_TWO_NAMED = re.compile(r"\b(?:and|or|nor)\b|[&/,]")
# letters and places that are told in no other way here: full-width and other forms, and in Chinese or Japanese
_OTHER_SCRIPTS = re.compile(
    r"[Ａ-Ｄａ-ｄⒶ-Ⓓⓐ-ⓓ⒜-⒟𝐀-𝐃𝗔-𝗗]|以上|上述|第[一二三四1-4]个?(?:选项|答案|项)|前[两三](?:项|者|个选项)"
    r"|[A-Da-d](?![A-Za-z0-9])(?<![A-Za-z0-9].)(?:(?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])"
    r"|(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af].))"
)
_UNMOVED = [0, 1, 2, 3]
_LONE = re.compile(r"[A-Da-d](?!\w)(?<!\w.)(?!(?<=a)\s\w)")
_AMONG_CHOICES = re.compile(
    r"\( ?[A-Da-d] ?\)|\b(?i:both|neither|either|options?|choices?) (?:[A-D]\b|[a-d]$)"
    r"|\b(?i:only|just|except|but|not|answers?) (?:[A-D]\b(?!['’-]|\s(?!is\b)[a-z])|[a-d]$)"
    r"|\b[A-D](?: only\b|\)?(?:\s(?:and|or|nor)\s|\s?[&/+,]\s?)\(?[A-D]\b)"
    r"|\b[a-d](?: only\b|\)?(?:\s(?:and|or|nor)\s|\s?[&/+,]\s?)\(?(?:[b-d]\b|a$))",
    re.MULTILINE,
)


def names_places(*texts: str) -> bool:
    """A question or choice speaks of choices by letter or place ("all of the above"): their order has to stay."""
    text = "\n|\n".join(texts)
    return _speaks_of_place(text) or bool(_LONE.search(text) and _AMONG_CHOICES.search(text))


def names_letters(text: str) -> bool:
    """The text means another choice, or nothing that can be told, once all four choices have changed places."""
    return moved(text, (1, 2, 3, 0)) != text


def _speaks_of_place(text: str) -> bool:
    """By a place, or by a letter in a form that is never moved."""
    plain = text.casefold()
    if ("option" in plain or "choice" in plain or "of the " in plain) and _BY_PLACE.search(plain):
        return True
    if _has_place(plain, "answer") or _has_place(plain, "alternative"):
        return True
    if (" one" in plain and _ONE.search(plain)) or (" two" in plain and _TWO.search(plain)):
        return True
    if "above" in plain and _ABOVE.search(plain):
        return True
    if ") " in plain and _NUMBERED.search(plain):
        return True
    if "the former" in plain or "the latter" in plain:
        found = _FORMER.search(plain)
        if found and not _TWO_NAMED.search(plain[: found.start()]):  # it may be about two that the text names
            return True
    return not text.isascii() and bool(_OTHER_SCRIPTS.search(text))


def _has_place(plain: str, word: str) -> bool:
    """The words before it, near enough for the longest pattern, give it a place."""
    at = plain.find(word)
    while at >= 0:
        if _BY_PLACE.search(plain, max(0, at - 64), at + len(word)):
            return True
        at = plain.find(word, at + 1)
    return False


def moved(text: str, places: Sequence[int], choices: Sequence[str] = ()) -> str | None:
    """The text with the letters that its choices have after a move; None where that cannot be told.

    `places[i]` is where the choice stood that stands at `i` now. A letter inside one of `choices`, quoted by the
    text, is none of theirs.
    """
    if list(places) == _UNMOVED:
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
        if _RANGE.match(text, at):
            return None
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
    if not _LETTER.search("\n".join(choices)):
        return []
    lower = text.lower()
    if len(lower) != len(text):
        return []
    return [
        found.span()
        for choice in choices
        if len(choice) > 3 and _LETTER.search(choice)
        for found in re.finditer(re.escape(choice.lower()), lower)
    ]
