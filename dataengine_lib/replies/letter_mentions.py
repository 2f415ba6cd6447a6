"""Step 4: letters of choices in a text, "(B) is right", adapted when the order of the choices changes.

Only what is certainly a choice's letter is replaced. Where that is unclear, as of "C", a vitamin or a grade, the text is
given up, so that it never says something wrong; an article stays as it is.
"""

import re
from collections.abc import Sequence

# Single letters: "(B)" · "option C" · "B's" · "A is". Not the letters of "U.S", "A-frame" and "isn't a"; an "a" before a
# word is an article, unless the word is a verb or "option" stands before it.
_LETTER = re.compile(  # begins with a set of letters: faster to search for than the lookbehinds
    r"[A-Da-d](?!\w)(?<![\w.].)(?!-(?![B-Db-d]\b)|['’](?![sS]\b)\w|\.\w)(?<!\w['’].)"
    r"(?:(?<!-.)|(?i:(?<=option-.)|(?<=choice-.)|(?<=answer-.)))"
    r"(?:(?<!a)|(?! [\w'])|(?= (?:is|are|was|were|has|had|and|or|nor|as|can|could|"
    r"would|will|does|did|because|since|in|at|on)\b)|(?<=option a)|(?<=options a)|(?<=choice a)|(?<=choices a)|"
    r"(?<=answer a)|(?<=answers a)|(?<=-a))"
)
# matches "option " before a letter, and "answer is: " with " is" as `between`
_OPTION = re.compile(r"\b(?:options?|choices?|answers?)(?P<between>\b[\w ]{0,15})?:?[\s-]$", re.IGNORECASE)
_IS = re.compile(r" (?:is|are|was|were|would be|must be|should be|has to be)", re.IGNORECASE)
# between two letters of a list: ", and " · " or " · "/"
_LIST_GOES_ON = re.compile(r"(?:, (?:and |or )?| and | or | nor | & |/)")
# matches "A-D" · "(A) to (C)": the letters between the two may be meant too
_RANGE = re.compile(
    r"[A-Da-d][)\]\"'”’]?(?:\s?[-–—~]\s?|\s(?:to|through|thru)\s)[(\[\"'“‘]?[B-Db-d](?![\w'’])"
)
# What no noun begins with, so that an "a" before it is a letter: ")" · "'s" · " is" · " and"
_NO_NOUN = re.compile(
    r"\s?(?:[.,;:!?)]|\Z)|['’][sS]\b|\s(?:is|are|was|were|has|had|and|or|nor|as|can|could|would|will|does|did|"
    r"because|since|in|at|on)\b"
)
_VERB = re.compile(r"\s[a-z]{2,20}(?<![suian])s\b")  # "A shows", but not "A glass", "A bus", "A lens"
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;]\s|[\"'“‘(])\s?$")
# The next patterns are searched for in casefolded texts, and only where a word of theirs occurs: `in` is much faster.
# matches "the second option" · "the above choices" · "option 3" · "choice at the top" · "none of the above"
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
# matches "all above" · "both of these two above" · "the options above", not "the above-ground pool"
_ABOVE = re.compile(
    r"\b(?:all|none|any|both|neither|either|some|most|two|three|the)(?:\s(?:of|the|these|those|two|three)){0,3}"
    r"\sabove\b(?![\s-](?!(?:is|are|two|three|ones?)\b)\w)"
    r"|\b(?:options?|choices?|answers?|alternatives?)\sabove\b"
)


def _after_place(word: str) -> str:
    """A pattern of `word` behind a place: "the last one", but not "at least one"; begins with what is fast to find."""
    places = "first second third fourth last 1st 2nd 3rd 4th previous preceding next final top bottom middle"
    behind = "|".join(rf"(?<={place} {word})(?<!\w{place} {word})" for place in places.split())
    return rf" {word}\b(?:{behind})"


_ONE = re.compile(_after_place("one"))
_TWO = re.compile(_after_place("two") + r"(?!\s(?!are\b)\w)")
# matches ")" of "1) is" · "(2) and (3)": choices by number
_NUMBERED = re.compile(
    r"\)(?<=[1-4]\))(?<![\w.,]..)(?:\s(?:is|are|was|were)\b|,?\s(?:(?:and|or|nor|&)\s)?(?:\(|(?<=\s))[1-4]\))"
)
# matches "the former is" · "the latter."
_FORMER = re.compile(
    r"\bthe (?:former|latter)(?=\s?(?:[.,;:!?]|\Z)|\s(?:is|are|was|were|would|must|should|can|cannot|could|does|do|has|"
    r"have|fits?|match|matches|seems?|one|ones|two|three)\b)"
)
_TWO_NAMED = re.compile(r"\b(?:and|or|nor)\b|[&/,]")
# Letters and places in other scripts, which are never replaced: "Ａ" · "Ⓑ" · "以上" · "第二个选项" · "选项A"
_OTHER_SCRIPTS = re.compile(
    r"[Ａ-Ｄａ-ｄⒶ-Ⓓⓐ-ⓓ⒜-⒟𝐀-𝐃𝗔-𝗗]|以上|上述|第[一二三四1-4]个?(?:选项|答案|项)|前[两三](?:项|者|个选项)"
    r"|[A-Da-d](?![A-Za-z0-9])(?<![A-Za-z0-9].)(?:(?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])"
    r"|(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af].))"
)
_UNMOVED = [0, 1, 2, 3]
_LONGEST_PLACE = 64  # characters of the longest match of _BY_PLACE before its last word
_LONE = re.compile(r"[A-Da-d](?!\w)(?<!\w.)(?!(?<=a)\s\w)")
# matches letters in a question or a choice that mean choices: "(A)" · "both A" · "only B" · "A and C" · "a & b"
_AMONG_CHOICES = re.compile(
    r"\( ?[A-Da-d] ?\)|\b(?i:both|neither|either|options?|choices?) (?:[A-D]\b|[a-d]$)"
    r"|\b(?i:only|just|except|but|not|answers?) (?:[A-D]\b(?!['’-]|\s(?!is\b)[a-z])|[a-d]$)"
    r"|\b[A-D](?: only\b|\)?(?:\s(?:and|or|nor)\s|\s?[&/+,]\s?)\(?[A-D]\b)"
    r"|\b[a-d](?: only\b|\)?(?:\s(?:and|or|nor)\s|\s?[&/+,]\s?)\(?(?:[b-d]\b|a$))",
    re.MULTILINE,
)


def names_places(*texts: str) -> bool:
    """Whether a question or choice refers to choices by letter or place ("all of the above"): their order must stay."""
    text = "\n|\n".join(texts)
    return _refers_to_places(text) or bool(_LONE.search(text) and _AMONG_CHOICES.search(text))


def names_letters(text: str) -> bool:
    """Whether the text would mean another choice, or be unclear, once all four choices have changed places."""
    return moved(text, (1, 2, 3, 0)) != text


def _refers_to_places(text: str) -> bool:
    """Whether a text refers to choices by their place, or by a letter in a form that is never replaced."""
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
        if found and not _TWO_NAMED.search(plain[: found.start()]):  # not where the text itself names the two
            return True
    return not text.isascii() and bool(_OTHER_SCRIPTS.search(text))


def _has_place(plain: str, word: str) -> bool:
    """Whether `_BY_PLACE` matches up to an occurrence of `word`: "the second answer"."""
    at = plain.find(word)
    while at >= 0:
        if _BY_PLACE.search(plain, max(0, at - _LONGEST_PLACE), at + len(word)):
            return True
        at = plain.find(word, at + 1)
    return False


def moved(text: str, places: Sequence[int], choices: Sequence[str] = ()) -> str | None:
    """The text with the letters of the choices' new order; None where a letter or place is unclear.

    `places[i]` is the old place of the choice that is at `i` now. A letter inside one of `choices` that the text
    quotes means no choice.
    """
    if list(places) == _UNMOVED:
        return text
    if _refers_to_places(text):
        return None
    kept, end, listed = [], 0, -1  # `listed`: where the letter before ends
    quoted: list[tuple[int, int]] | None = None
    for match in _LETTER.finditer(text):
        at, letter = match.start(), match[0]
        if quoted is None:
            quoted = _quoted(text, choices)
        if any(low <= at < high for low, high in quoted):
            continue
        if _RANGE.match(text, at):
            return None
        kind = _kind_of_letter(text, at, listed)
        if kind == "a letter":
            listed = at + 1
        new = "ABCD"[places.index("ABCD".index(letter.upper()))]
        # an unclear letter does no harm where it stays the same
        if kind == "an article" or new == letter.upper():
            continue
        if kind == "unclear":
            return None
        kept += [text[end:at], new if letter.isupper() else new.lower()]
        end = at + 1
    return "".join([*kept, text[end:]])


def _kind_of_letter(text: str, at: int, listed: int) -> str:
    """What the single letter at `at` is: "a letter" of a choice, "an article" or "unclear".

    `listed` is the end of the choice's letter before it, -1 without one: "(A) and B" names two.
    """
    letter, before, after = text[at], text[max(0, at - 40) : at], text[at + 1 : at + 41]
    opening = before.rstrip(" ")[-1:]
    marked = opening in ("(", "[") and after.lstrip(" ")[:1] in (")", "]")
    if marked and letter.isupper():
        return "a letter"
    quoted = opening in ('"', "'", "“", "‘") and after[:1] in ('"', "'", "”", "’")
    if marked or quoted:
        # without the opening mark: "option (b)" is looked at as "option b"
        before = before.rstrip(" ")[:-1]
    alone = marked or quoted or bool(_NO_NOUN.match(after))
    if (
        # "(A), (C) and D": the list goes on
        listed >= 0
        and _LIST_GOES_ON.fullmatch(text[listed:at].strip(")][(\"'“”‘’"))
        and (alone or letter != "a")
    ):
        return "a letter"
    # behind "option" or "the answer is"; there, "a" may also be an article: "the answer is a dog"
    option = _OPTION.search(before)
    if option is not None:
        between = option["between"] or ""
        if not between.strip():
            return "a letter" if alone or letter != "a" else "unclear"
        if _IS.fullmatch(between.rstrip()):
            if alone or letter not in "Aa":
                return "a letter"
            return "an article" if letter == "a" else "unclear"
    # "B) has horns"
    if letter.isupper() and after[:1] == ")":
        return "a letter"
    if letter == "a" and not alone:
        return "an article"
    # "A dog runs" at the start of a sentence, but not "A shows a dog"
    if letter == "A" and not alone and _SENTENCE_BEGINS.search(before) and not _VERB.match(after):
        return "an article"
    return "unclear"


def _quoted(text: str, choices: Sequence[str]) -> list[tuple[int, int]]:
    """(begin, end) of every quote of a choice that holds a single letter itself, such as "vitamin C"."""
    if not _LETTER.search("\n".join(choices)):
        return []
    lower = text.lower()
    # a character such as İ is two in lower case: places in the one text would not fit the other
    if len(lower) != len(text):
        return []
    return [
        found.span()
        for choice in choices
        if len(choice) > 3 and _LETTER.search(choice)
        for found in re.finditer(re.escape(choice.lower()), lower)
    ]
