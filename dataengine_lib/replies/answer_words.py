"""Step 1, `rank: generate`: the words of a written answer: where it speaks of which option, and what it denies."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import answer_key, without_article

OUTSIDE = -1  # the place of a letter that no option has

_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_THINKING = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_TYPOGRAPHY = str.maketrans(
    {
        "（": "(",
        "）": ")",
        "：": ":",
        "．": ".",
        "。": ".",
        "，": ",",
        "−": "-",
        "’": "'",
        "\u00a0": " ",
        "\r": "\n",
    }
    | dict.fromkeys("\0\u200b\ufeff")
)
_EMPHASIS = re.compile(
    r"\*\*|__|`|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])"
)
_DOTTED = re.compile(r"(?<![\w.])[A-Za-z](?:\.[A-Za-z])+(?!\w)\.?")  # a.m., D.C.
_LIST_START = re.compile(r"^[\s\"'“”‘«»•]+")  # matches the start of `• "dog"`
_BULLET = re.compile(r"^\s*[-*•]\s+(?=[^\W\d])")
# What touches a word or a number and makes another of it: 0.5 is no 5, $1,200 no $200, -5 no 5, C++ no C.
_BEFORE = r"(?<![\w$€£¥#@&+\-–=%/\\^])(?<!\d[.,:])(?<!\w')(?<!minus )"
_AFTER = r"(?!\w|[+#°$€£¥/=^×]|\s?%|[-–']\w|[.,:]\d)"
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_END = re.compile(r"[.!?;](?=\s|$)|\n")
_ASIDE = re.compile(
    r"\b(?:because|since|due to|whereas|while|rather than|instead of|unlike|as (?:it|its|the|this|that|there|they)"
    r"|as (?:he|she|we))\b|[,;]\s*(?:and |but )?not\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|no(?!,)|never|cannot|neither|nor|none|without|wrong|incorrect|false|unlikely|too|except"
    r"|ruled out|eliminated|excluded)\b|n't\b",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:maybe|perhaps|possibly|might|may|could|or|either|unsure|unclear|uncertain|if)\b", re.IGNORECASE
)
_IN_BRACKETS = re.compile(r"(?<!\w)[(\[]\s?([A-Za-z])\s?[)\]]")
_CALLED = re.compile(r"\b(?:option|choice|letter|answer)\s+(?-i:([A-Z]))(?![\w'&+#]|-\w)", re.IGNORECASE)
_ALONE = re.compile(r"(?<![\w'.&$+-])([A-HJ-Z])(?![\w'&+#]|-\w|\.\w)")
_AN_ARTICLE = re.compile(r"\s+(?!(?:is|or|and|because|since|are|was|has|looks|seems)\b)\w{2}")


def behind_thoughts(text: str) -> tuple[str, bool]:
    """What a reply says behind its thoughts and before any that it did not finish, and whether there are such."""
    said, *unfinished = _THINKING.split(_THOUGHT.split(text)[-1], maxsplit=1)
    return said, bool(unfinished)


def cleaned(text: str) -> str:
    """The text without Markdown emphasis and typography, abbreviations without dots, one space between words."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).translate(_TYPOGRAPHY)
    text = re.sub(r"[^\S\n]+", " ", text)
    return _DOTTED.sub(lambda found: found[0].replace(".", ""), _EMPHASIS.sub("", text))


def option_key(text: str) -> str:
    """What options and a reply's words are compared by: `answer_key` of the cleaned text without a list's mark."""
    return answer_key(_LIST_START.sub("", _BULLET.sub("", cleaned(text))))


@dataclass(frozen=True)
class Options:
    """A question's options, as they may be written."""

    choices: Sequence[str]

    @cached_property
    def texts(self) -> list[str]:
        """The options folded; empty for one that is nothing but punctuation."""
        return [option_key(choice) for choice in self.choices]

    @cached_property
    def patterns(self) -> "list[re.Pattern[str] | None]":
        """What finds each option's text in a sentence; None where it cannot be told from other words."""
        return [_pattern(text) for text in self.texts]

    def place(self, letter: str) -> int:
        """The option that a letter stands for, OUTSIDE for none."""
        place = LETTERS.find(letter.upper())
        return place if place < len(self.choices) else OUTSIDE

    def same(self, text: str) -> set[int]:
        """The options whose text this is: as it stands, else folded, else without the articles."""
        stripped, said = text.strip(), option_key(text)
        found = {i for i, choice in enumerate(self.choices) if choice.strip() == stripped}
        if not found and said:
            found = {i for i, own in enumerate(self.texts) if own == said}
        if not found and (bare := without_article(said)):
            found = {i for i, own in enumerate(self.texts) if own and without_article(own) == bare}
        return found

    def behind(self, place: int, text: str) -> str | None:
        """What follows where the text begins with the option's own, None where it does not."""
        own = self.patterns[place] if place >= 0 else None
        start = re.match(r"[\s\"'“‘:,.–—-]*(?:(?:an?|the)\s+)?", text, re.IGNORECASE)
        found = own.match(text, start.end()) if own and start else None
        if found is None and place >= 0 and place in self.same(text):
            return ""
        return None if found is None else text[found.end() :]


def _pattern(text: str) -> re.Pattern[str] | None:
    bare = without_article(text)
    if not bare or (len(bare) == 1 and bare.isascii() and bare.isalpha()):  # a letter, or an article
        return None
    words = r"\s+".join(re.escape(word) for word in bare.split())
    before = _BEFORE if bare[0].isalnum() else r"(?<![\w+\-–])"
    after = _AFTER if bare[-1].isalnum() else r"(?![\w+\-–])"
    return re.compile(before + words + after, re.IGNORECASE)


class Words:
    """What a cleaned text says of the options, clause by clause."""

    def __init__(self, text: str, options: Options) -> None:
        self.text, self.options = text, options
        self.mentions = self._mentions()
        self.aside = self._aside()

    def texts(self) -> set[int]:
        """The options whose whole text is said; of a number only where it is the only one."""
        found = {place for start, _, place in self.mentions if not self.is_aside(start)}
        numbers = {place for place in found if _NUMBER.fullmatch(self.options.texts[place].lstrip("+-$€£"))}
        said = [one for one in _NUMBER.finditer(self.text) if not self.is_aside(one.start())]
        return found | {OUTSIDE} if numbers and len({one[0] for one in said}) > 1 else found

    def named_letters(self) -> set[int]:
        """The options whose letter is said as such: `(B)`, `option B`; OUTSIDE for a letter that none has."""
        found = [*_IN_BRACKETS.finditer(self.text), *_CALLED.finditer(self.text)]
        return {self.options.place(one[1]) for one in found if self._counts(one.start(1))}

    def letters(self) -> set[int]:
        """The options whose letter stands there in any way but as an article."""
        alone = {
            self.options.place(one[1])
            for one in _ALONE.finditer(self.text)
            if self._counts(one.start(1)) and not (one[1] == "A" and _AN_ARTICLE.match(self.text, one.end()))
        }
        return self.named_letters() | (alone - {OUTSIDE})

    def doubts(self) -> bool:
        """Whether it weighs one thing against another."""
        return any(self._counts(one.start()) for one in _DOUBT.finditer(self.text))

    def is_aside(self, at: int) -> bool:
        """Whether the character stands in a part that names no answer: a denial, a question, a reason."""
        return any(start <= at < end for start, end in self.aside)

    def first_sentence(self) -> str:
        """Up to the first full stop that is not an option's own."""
        return self.text[: next(iter(self._ends()), len(self.text))]

    def _mentions(self) -> list[tuple[int, int, int]]:
        """(begin, end, place) of every option's text; one inside a longer one does not count."""
        found = [
            (one.start(), one.end(), place)
            for place, pattern in enumerate(self.options.patterns)
            if pattern
            for one in pattern.finditer(self.text)
        ]
        found.sort(key=lambda one: (one[0], -one[1]))
        kept: list[tuple[int, int, int]] = []
        for one in found:  # sorted: only an earlier one can hold it
            if not kept or one[1] > kept[-1][1] or one[:2] == kept[-1][:2]:
                kept.append(one)
        return kept

    def _inside(self, at: int) -> bool:
        """Whether the character belongs to an option's text."""
        return any(start <= at < end for start, end, _ in self.mentions)

    def _counts(self, at: int) -> bool:
        return not self._inside(at) and not self.is_aside(at)

    def _ends(self) -> list[int]:
        return [one.end() for one in _END.finditer(self.text) if not self._inside(one.start())]

    def _aside(self) -> list[tuple[int, int]]:
        """The parts that name no answer: a sentence that denies or asks something, and reasons up to its end."""
        parts: list[tuple[int, int]] = []
        start = 0
        for end in [*self._ends(), len(self.text)]:
            reasons = (one.start() for one in _ASIDE.finditer(self.text, start, end))
            reason = next((at for at in reasons if not self._inside(at)), end)
            denials = _DENIED.finditer(self.text, start, reason)
            denied = any(not self._inside(one.start()) for one in denials)
            asked = self.text[start:end].rstrip().endswith("?")
            parts.append((start if denied or asked else reason, end))
            start = end
        return [part for part in parts if part[0] < part[1]]
