"""Step 4: letters of choices in a text, "(B) is right", adapted when the order of the choices changes.

Only what is certainly a choice's letter is replaced. Where that is unclear, as of "C", a vitamin or a grade, the text is
given up, so that it never says something wrong; an article stays as it is. Which letters and places can mean a choice
depends on the number of choices; with fewer than four they are those of four.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from dataengine_lib.core.number_words import NUMBER_WORDS
from dataengine_lib.core.records import LETTERS

# matches "option " before a letter, and "answer is: " with " is" as `between`
_OPTION = re.compile(r"\b(?:options?|choices?|answers?)(?P<between>\b[\w ]{0,15})?:?[\s-]$", re.IGNORECASE)
_IS = re.compile(r" (?:is|are|was|were|would be|must be|should be|has to be)", re.IGNORECASE)
# between two letters of a list: ", and " · " or " · "/"
_LIST_GOES_ON = re.compile(r"(?:, (?:and |or )?| and | or | nor | & |/)")
# What no noun begins with, so that an "a" before it is a letter: ")" · "'s" · " is" · " and"
_NO_NOUN = re.compile(
    r"\s?(?:[.,;:!?)]|\Z)|['’][sS]\b|\s(?:is|are|was|were|has|had|and|or|nor|as|can|could|would|will|does|did|"
    r"because|since|in|at|on)\b"
)
_VERB = re.compile(r"\s[a-z]{2,20}(?<![suian])s\b")  # "A shows", but not "A glass", "A bus", "A lens"
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;]\s|[\"'“‘(])\s?$")
_TWO_NAMED = re.compile(r"\b(?:and|or|nor)\b|[&/,]")
_LONGEST_PLACE = 64  # characters of the longest match of `by_place` before its last word
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_SHORT_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th")


class _Patterns(NamedTuple):
    """What can mean one of a number of choices; `by_place` to `former` are searched for in casefolded texts.

    They are searched for only where a word of theirs occurs: `in` is much faster.
    """

    # Single letters: "(B)" · "option C" · "B's" · "A is". Not the letters of "U.S", "A-frame" and "isn't a"; an "a"
    # before a word is an article, unless the word is a verb or "option" stands before it.
    letter: re.Pattern[str]
    # matches "A-D" · "(A) to (C)": the letters between the two may be meant too
    range: re.Pattern[str]
    # matches "the second option" · "the above choices" · "option 3" · "choice at the top" · "none of the above"
    by_place: re.Pattern[str]
    # matches "all above" · "both of these two above" · "the options above", not "the above-ground pool"
    above: re.Pattern[str]
    # matches "the last one" and "the last two", but not "at least one"
    one: re.Pattern[str]
    two: re.Pattern[str]
    # matches ")" of "1) is" · "(2) and (3)": choices by number
    numbered: re.Pattern[str]
    # matches "the former is" · "the latter."
    former: re.Pattern[str]
    # Letters and places in other scripts, which are never replaced: "Ａ" · "Ⓑ" · "以上" · "第二个选项" · "选项A"
    other_scripts: re.Pattern[str]
    # a letter that stands alone, and letters in a question or a choice that mean choices: "(A)" · "both A" · "only B" ·
    # "A and C" · "a & b"
    lone: re.Pattern[str]
    among_choices: re.Pattern[str]


@lru_cache(maxsize=len(LETTERS))
def _patterns(count: int) -> _Patterns:
    """The patterns of `count` choices, four or more."""
    last = LETTERS[count - 1]
    upper, lower, but_a = f"A-{last}", f"a-{last.lower()}", f"B-{last}b-{last.lower()}"
    any_letter = f"[{upper}{lower}]"
    ordinals, short = _ORDINALS[:count], _SHORT_ORDINALS[:count]
    words = NUMBER_WORDS[: count + 1]
    some, several = "|".join(words[2:count]), "|".join(words[2:])  # of four: two|three, two|three|four
    digit = f"[1-{min(count, 9)}]"
    tens = "|".join(map(str, range(10, count + 1)))  # with two digits
    number = f"(?:{tens}|{digit})" if tens else digit
    two_digits = rf"|(?<=(?:{tens})\))(?<![\w.,]...)" if tens else ""
    places = (
        f"{' '.join(ordinals)} last {' '.join(short)} previous preceding next final top bottom middle".split()
    )
    return _Patterns(
        letter=re.compile(  # begins with a set of letters: faster to search for than the lookbehinds
            rf"{any_letter}(?!\w)(?<![\w.].)(?!-(?![{but_a}]\b)|['’](?![sS]\b)\w|\.\w)(?<!\w['’].)"
            r"(?:(?<!-.)|(?i:(?<=option-.)|(?<=choice-.)|(?<=answer-.)))"
            r"(?:(?<!a)|(?! [\w'])|(?= (?:is|are|was|were|has|had|and|or|nor|as|can|could|"
            r"would|will|does|did|because|since|in|at|on)\b)|(?<=option a)|(?<=options a)|(?<=choice a)|(?<=choices a)|"
            r"(?<=answer a)|(?<=answers a)|(?<=-a))"
        ),
        range=re.compile(
            rf"{any_letter}[)\]\"'”’]?(?:\s?[-–—~]\s?|\s(?:to|through|thru)\s)[(\[\"'“‘]?[{but_a}](?![\w'’])"
        ),
        by_place=re.compile(
            rf"\b(?:{'|'.join(ordinals)}|last|{'|'.join(short)}|previous|next|preceding)\s(?:\w{{1,20}}\s){{0,2}}"
            r"(?:options?|choices?|answers?|alternatives?)\b"
            rf"|\b(?:top|bottom|middle|above|below|former|latter)\s(?:(?:{several}|other|answer)\s)?"
            r"(?:options?|choices?|answers?|alternatives?)\b"
            rf"|\bfinal\s(?:(?:{several}|other|answer)\s)?(?:options?|choices?)\b"  # a "final answer" is at no place
            r"|\b(?:options?|choices?)\s(?:below|in the middle|at the (?:top|bottom|end))\b"
            rf"|\b(?:option|choice)s?[\s-](?:number\s|no\.\s|#\s?)?\(?(?:{number}|one|{several})\b"
            r"|\bof the (?:above|below|preceding|previous|following)\b"
        ),
        above=re.compile(
            rf"\b(?:all|none|any|both|neither|either|some|most|{some}|the)(?:\s(?:of|the|these|those|{some})){{0,3}}"
            rf"\sabove\b(?![\s-](?!(?:is|are|{some}|ones?)\b)\w)"
            r"|\b(?:options?|choices?|answers?|alternatives?)\sabove\b"
        ),
        one=re.compile(_after_place("one", places)),
        two=re.compile(_after_place("two", places) + r"(?!\s(?!are\b)\w)"),
        numbered=re.compile(
            rf"\)(?:(?<={digit}\))(?<![\w.,]..){two_digits})"
            rf"(?:\s(?:is|are|was|were)\b|,?\s(?:(?:and|or|nor|&)\s)?(?:\(|(?<=\s)){number}\))"
        ),
        former=re.compile(
            r"\bthe (?:former|latter)(?=\s?(?:[.,;:!?]|\Z)|\s(?:is|are|was|were|would|must|should|can|cannot|could|"
            rf"does|do|has|have|fits?|match|matches|seems?|one|ones|{some})\b)"
        ),
        other_scripts=re.compile(
            f"[{_letters_from('Ａ', count)}{_letters_from('ａ', count)}{_letters_from('Ⓐ', count)}"
            f"{_letters_from('ⓐ', count)}{_letters_from('⒜', count)}{_letters_from('𝐀', count)}"
            f"{_letters_from('𝗔', count)}]|以上|上述|第(?:[{'一二三四五六七八九十'[:count]}]|{number})个?(?:选项|答案|项)"
            f"|前[{'两三四五六七八九'[: count - 2]}](?:项|者|个选项)"
            rf"|{any_letter}(?![A-Za-z0-9])(?<![A-Za-z0-9].)(?:(?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])"
            r"|(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af].))"
        ),
        lone=re.compile(rf"{any_letter}(?!\w)(?<!\w.)(?!(?<=a)\s\w)"),
        among_choices=re.compile(
            rf"\( ?{any_letter} ?\)"
            rf"|\b(?i:both|neither|either|options?|choices?) (?:[{upper}]\b|[{lower}]$)"
            rf"|\b(?i:only|just|except|but|not|answers?) (?:[{upper}]\b(?!['’-]|\s(?!is\b)[a-z])|[{lower}]$)"
            rf"|\b[{upper}](?: only\b|\)?(?:\s(?:and|or|nor)\s|\s?[&/+,]\s?)\(?[{upper}]\b)"
            rf"|\b[{lower}](?: only\b|\)?(?:\s(?:and|or|nor)\s|\s?[&/+,]\s?)\(?(?:[b-{last.lower()}]\b|a$))",
            re.MULTILINE,
        ),
    )


def _after_place(word: str, places: Sequence[str]) -> str:
    """A pattern of `word` behind a place, "the last one"; begins with what is fast to find."""
    behind = "|".join(rf"(?<={place} {word})(?<!\w{place} {word})" for place in places)
    return rf" {word}\b(?:{behind})"


def _letters_from(first: str, count: int) -> str:
    """The range of `count` letters of another script."""
    return f"{first}-{chr(ord(first) + count - 1)}"


def names_places(*texts: str, count: int = 4) -> bool:
    """Whether a question or choice refers to one of `count` choices by letter or place ("all of the above").

    Then the order of the choices must stay.
    """
    text, patterns = "\n|\n".join(texts), _patterns(max(count, 4))
    return _refers_to_places(text, patterns) or bool(
        patterns.lone.search(text) and patterns.among_choices.search(text)
    )


LETTER, PLACE = "letter", "place"
"""What `mentioned` finds in a text."""


def mentioned(text: str, count: int = 4) -> str:
    """How a text may name one of `count` choices: by PLACE, where `moved` gives None, by LETTER, or "", not at all."""
    patterns = _patterns(max(count, 4))
    if _refers_to_places(text, patterns):
        return PLACE
    return LETTER if patterns.letter.search(text) else ""


def names_letters(text: str, count: int = 4) -> bool:
    """Whether the text would mean another choice, or be unclear, once all of `count` choices have changed places."""
    return moved(text, [*range(1, max(count, 4)), 0]) != text


def _refers_to_places(text: str, patterns: _Patterns) -> bool:
    """Whether a text refers to choices by their place, or by a letter in a form that is never replaced."""
    plain = text.casefold()
    if ("option" in plain or "choice" in plain or "of the " in plain) and patterns.by_place.search(plain):
        return True
    if "answer" in plain and _has_place(plain, "answer", patterns):
        return True
    if "alternative" in plain and _has_place(plain, "alternative", patterns):
        return True
    if (" one" in plain and patterns.one.search(plain)) or (" two" in plain and patterns.two.search(plain)):
        return True
    if "above" in plain and patterns.above.search(plain):
        return True
    if ") " in plain and patterns.numbered.search(plain):
        return True
    if "the former" in plain or "the latter" in plain:
        found = patterns.former.search(plain)
        if found and not _TWO_NAMED.search(plain[: found.start()]):  # not where the text itself names the two
            return True
    return not text.isascii() and bool(patterns.other_scripts.search(text))


def _has_place(plain: str, word: str, patterns: _Patterns) -> bool:
    """Whether `by_place` matches up to an occurrence of `word`: "the second answer"."""
    at = plain.find(word)
    while at >= 0:
        if patterns.by_place.search(plain, max(0, at - _LONGEST_PLACE), at + len(word)):
            return True
        at = plain.find(word, at + 1)
    return False


def moved(text: str, places: Sequence[int], choices: Sequence[str] = ()) -> str | None:
    """The text with the letters of the choices' new order; None where a letter or place is unclear.

    `places[i]` is the old place of the choice, one of four or more, that is at `i` now. A letter inside one of `choices`
    that the text quotes means no choice.
    """
    if list(places) == list(range(len(places))):
        return text
    if _refers_to_places(text, _patterns(len(places))):
        return None
    return moved_letters(text, places, choices)


def moved_letters(text: str, places: Sequence[int], choices: Sequence[str] = ()) -> str | None:
    """As `moved`, of a text that names choices by LETTER at most."""
    patterns = _patterns(len(places))
    kept, end, listed = [], 0, -1  # `listed`: where the letter before ends
    quoted: list[tuple[int, int]] | None = None
    for match in patterns.letter.finditer(text):
        at, letter = match.start(), match[0]
        if quoted is None:
            quoted = _quoted(text, choices, patterns.letter)
        if any(low <= at < high for low, high in quoted):
            continue
        if patterns.range.match(text, at):
            return None
        kind = _kind_of_letter(text, at, listed)
        if kind == "a letter":
            listed = at + 1
        new = LETTERS[places.index(LETTERS.index(letter.upper()))]
        # an unclear letter does no harm where it stays the same
        if kind == "a word" or new == letter.upper():
            continue
        if kind == "unclear":
            return None
        kept += [text[end:at], new if letter.isupper() else new.lower()]
        end = at + 1
    return "".join([*kept, text[end:]])


def _kind_of_letter(text: str, at: int, listed: int) -> str:
    """What the single letter at `at` is: "a letter" of a choice, "a word" (an article, or "I") or "unclear".

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
        and (alone or letter not in "aI")
    ):
        return "a letter"
    # behind "option" or "the answer is"; there, "a" may also be an article: "the answer is a dog"
    option = _OPTION.search(before)
    if option is not None:
        between = option["between"] or ""
        if not between.strip():
            return "a letter" if alone or letter not in "aI" else "unclear"
        if _IS.fullmatch(between.rstrip()):
            if alone or letter not in "AaI":
                return "a letter"
            return "a word" if letter == "a" else "unclear"
    # "B) has horns"
    if letter.isupper() and after[:1] == ")":
        return "a letter"
    if letter in "aI" and not alone:
        return "a word"
    # "A dog runs" at the start of a sentence, but not "A shows a dog"
    if letter == "A" and not alone and _SENTENCE_BEGINS.search(before) and not _VERB.match(after):
        return "a word"
    return "unclear"


def _quoted(text: str, choices: Sequence[str], letter: re.Pattern[str]) -> list[tuple[int, int]]:
    """(begin, end) of every quote of a choice that holds a single letter itself, such as "vitamin C"."""
    if not letter.search("\n".join(choices)):
        return []
    lower = text.lower()
    # a character such as İ is two in lower case: places in the one text would not fit the other
    if len(lower) != len(text):
        return []
    return [
        found.span()
        for choice in choices
        if len(choice) > 3 and letter.search(choice)
        for found in re.finditer(re.escape(choice.lower()), lower)
    ]
