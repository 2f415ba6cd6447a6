"""Step 1, `rank: generate`: a written answer in words: where it mentions which option, and what it denies or doubts."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import answer_key, without_article

NO_OPTION = -1  # the index of a letter that no option has

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
    | dict.fromkeys("\0\u200b\ufeff")  # removed: NUL, zero-width space, byte order mark
)
# matches the marks of **bold**, __bold__, `code`, _italic_ and *italic*; not those of snake_case and 2 * 3
_EMPHASIS = re.compile(
    r"\*\*|__|`|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])"
)
_DOTTED = re.compile(r"(?<![\w.])[A-Za-z](?:\.[A-Za-z])+(?!\w)\.?")  # matches "a.m." · "D.C."
_LIST_START = re.compile(r"^[\s\"'“”‘«»•]+")  # matches the start of `• "dog"`
_BULLET = re.compile(r"^\s*[-*•]\s+(?=[^\W\d])")  # matches the start of "- dog", not of "- 5"

# Around an option's text: characters that make another word or number of it when they touch it.
# 0.5 is not 5, $1,200 is not $200, -5 is not 5, C++ is not C.
_BEFORE = r"(?<![\w$€£¥#@&+\-–=%/\\^])(?<!\d[.,:])(?<!\w')(?<!minus )"
_AFTER = r"(?!\w|[+#°$€£¥/=^×]|\s?%|[-–']\w|[.,:]\d)"
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")  # matches "7" · "1,200" · "3.5" · "10:30"
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\n")

# What follows gives a reason or a contrast: "B, because A has no horns" · "B, not A"
_EXCLUDES = re.compile(
    r"\b(?:because|since|due to|whereas|while|rather than|instead of|unlike|as (?:it|its|the|this|that|there|they)"
    r"|as (?:he|she|we))\b|[,;]\s*(?:and |but )?not\b",
    re.IGNORECASE,
)
# A sentence with one of these denies: "A is wrong" · "it isn't a cat"; a "No," that answers the question does not
_DENIES = re.compile(
    r"\b(?:not|no(?!,)|never|cannot|neither|nor|none|without|wrong|incorrect|false|unlikely|too|except"
    r"|ruled out|eliminated|excluded)\b|n't\b",
    re.IGNORECASE,
)
# "maybe B" · "either B or C"
_DOUBTS = re.compile(
    r"\b(?:maybe|perhaps|possibly|might|may|could|or|either|unsure|unclear|uncertain|if)\b", re.IGNORECASE
)

_IN_BRACKETS = re.compile(r"(?<!\w)[(\[]\s?([A-Za-z])\s?[)\]]")  # matches "(B)" · "[ b ]"
# matches "option B" · "Answer C", not "option B&W" or "choice A-list"
_CALLED = re.compile(r"\b(?:option|choice|letter|answer)\s+(?-i:([A-Z]))(?![\w'&+#]|-\w)", re.IGNORECASE)
# matches the B of "I think B", not the pronoun I, nor a letter of "B's", "B&W", "C++", "T-shirt", "U.S"
_ALONE = re.compile(r"(?<![\w'.&$+-])([A-HJ-Z])(?![\w'&+#]|-\w|\.\w)")
# behind an A that is an article: " dog" of "A dog"; not " is" of "A is right"
_NOUN_AFTER_A = re.compile(r"\s+(?!(?:is|or|and|because|since|are|was|has|looks|seems)\b)\w{2}")


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
    """A question's options in the forms that an answer may write them in; an option is named by its index."""

    choices: Sequence[str]

    @cached_property
    def keys(self) -> list[str]:
        """`option_key` of each option; empty for one that is nothing but punctuation."""
        return [option_key(choice) for choice in self.choices]

    @cached_property
    def patterns(self) -> "list[re.Pattern[str] | None]":
        """What finds each option's text in a sentence; None where it cannot be distinguished from other words."""
        return [_pattern(key) for key in self.keys]

    def index_of(self, letter: str) -> int:
        """The option that a letter stands for, NO_OPTION where there is none."""
        index = LETTERS.find(letter.upper())
        return index if index < len(self.choices) else NO_OPTION

    def equal_to(self, text: str) -> set[int]:
        """The options that have this text: as written, else by `option_key`, else without the articles."""
        stripped, key = text.strip(), option_key(text)
        found = {i for i, choice in enumerate(self.choices) if choice.strip() == stripped}
        if not found and key:
            found = {i for i, own in enumerate(self.keys) if own == key}
        if not found and (bare := without_article(key)):
            found = {i for i, own in enumerate(self.keys) if own and without_article(own) == bare}
        return found

    def rest_after(self, index: int, text: str) -> str | None:
        """What follows where the text begins with this option's own text, None where it does not."""
        own = self.patterns[index] if index >= 0 else None
        # matches what may stand before it: `: "the ` of `B: "the cat"`
        start = re.match(r"[\s\"'“‘:,.–—-]*(?:(?:an?|the)\s+)?", text, re.IGNORECASE)
        found = own.match(text, start.end()) if own and start else None
        # the whole text may be an option without a pattern, such as a single letter
        if found is None and index >= 0 and index in self.equal_to(text):
            return ""
        return None if found is None else text[found.end() :]


def _pattern(key: str) -> re.Pattern[str] | None:
    bare = without_article(key)
    if not bare or (len(bare) == 1 and bare.isascii() and bare.isalpha()):  # a letter, or an article
        return None
    words = r"\s+".join(re.escape(word) for word in bare.split())
    # an end that is a mark, as of "C++", may touch other marks, but no word character and no + or -
    before = _BEFORE if bare[0].isalnum() else r"(?<![\w+\-–])"
    after = _AFTER if bare[-1].isalnum() else r"(?![\w+\-–])"
    return re.compile(before + words + after, re.IGNORECASE)


class OptionMentions:
    """Which options a cleaned text mentions, by letter or text, and which of its parts name no answer.

    `excluded` holds (begin, end) of the parts that do not count: a sentence that denies or asks something, and a
    reason up to the end of its sentence.
    """

    def __init__(self, text: str, options: Options) -> None:
        self.text, self.options = text, options
        self.mentions = self._mentions()
        self.excluded = self._excluded_parts()

    def by_text(self) -> set[int]:
        """The options whose whole text is mentioned.

        NO_OPTION is added where one of them is a number and the text has other numbers too.
        """
        found = {index for start, _, index in self.mentions if not self.is_excluded(start)}
        numbers = {index for index in found if _NUMBER.fullmatch(self.options.keys[index].lstrip("+-$€£"))}
        written = [one for one in _NUMBER.finditer(self.text) if not self.is_excluded(one.start())]
        return found | {NO_OPTION} if numbers and len({one[0] for one in written}) > 1 else found

    def by_marked_letter(self) -> set[int]:
        """The options whose letter is marked as one: `(B)`, `option B`; NO_OPTION for a letter that none has."""
        found = [*_IN_BRACKETS.finditer(self.text), *_CALLED.finditer(self.text)]
        return {self.options.index_of(one[1]) for one in found if self._counts(one.start(1))}

    def by_letter(self) -> set[int]:
        """The options whose letter is mentioned in any way but as an article."""
        alone = {
            self.options.index_of(one[1])
            for one in _ALONE.finditer(self.text)
            if self._counts(one.start(1))
            and not (one[1] == "A" and _NOUN_AFTER_A.match(self.text, one.end()))
        }
        # a lone letter that no option has is a word like any other: "vitamin D"
        return self.by_marked_letter() | (alone - {NO_OPTION})

    def is_in_doubt(self) -> bool:
        """Whether the text weighs one thing against another: `maybe`, `or`."""
        return any(self._counts(one.start()) for one in _DOUBTS.finditer(self.text))

    def is_excluded(self, at: int) -> bool:
        """Whether the character at `at` stands in a part that names no answer."""
        return any(start <= at < end for start, end in self.excluded)

    def first_sentence(self) -> str:
        """The text up to the first full stop that is not part of an option."""
        return self.text[: next(iter(self._sentence_ends()), len(self.text))]

    def _mentions(self) -> list[tuple[int, int, int]]:
        """(begin, end, index) of every option's text; one inside a longer one does not count."""
        found = [
            (one.start(), one.end(), index)
            for index, pattern in enumerate(self.options.patterns)
            if pattern
            for one in pattern.finditer(self.text)
        ]
        # of two that begin at one place, the longer one first
        found.sort(key=lambda one: (one[0], -one[1]))
        kept: list[tuple[int, int, int]] = []
        for one in found:  # sorted: only an earlier one can hold it
            if not kept or one[1] > kept[-1][1] or one[:2] == kept[-1][:2]:
                kept.append(one)
        return kept

    def _in_option(self, at: int) -> bool:
        """Whether the character at `at` belongs to an option's text."""
        return any(start <= at < end for start, end, _ in self.mentions)

    def _counts(self, at: int) -> bool:
        return not self._in_option(at) and not self.is_excluded(at)

    def _sentence_ends(self) -> list[int]:
        return [one.end() for one in _SENTENCE_END.finditer(self.text) if not self._in_option(one.start())]

    def _excluded_parts(self) -> list[tuple[int, int]]:
        parts: list[tuple[int, int]] = []
        start = 0
        for end in [*self._sentence_ends(), len(self.text)]:
            # only words before the reason can deny the answer: in "B, because it is not red", B stays
            reasons = (one.start() for one in _EXCLUDES.finditer(self.text, start, end))
            reason = next((at for at in reasons if not self._in_option(at)), end)
            denials = _DENIES.finditer(self.text, start, reason)
            denied = any(not self._in_option(one.start()) for one in denials)
            asked = self.text[start:end].rstrip().endswith("?")
            # the whole sentence, or only the reason in it
            parts.append((start if denied or asked else reason, end))
            start = end
        return [part for part in parts if part[0] < part[1]]
