"""Step 1, `student: recorded:FILE`: one row of a prediction file, and whether it is about a given question."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Literal

from dataengine_lib.core.records import LETTERS, Question
from dataengine_lib.evaluation.answers import Said
from dataengine_lib.questions.reader import Skipped

Fault = tuple[str, str]  # (kind of reason, reason)
_SHOWN = 60
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:e[-+]?[0-9]{1,3})?")
# words that pandas reads as a missing cell and writes as an empty one
_MISSING = {"", "n/a", "na", "nan", "none", "null", "<na>", "#n/a", "#na", "-nan"}


@dataclass(frozen=True)
class Join:
    """A field of the file that names a question, and what of the question it is compared with."""

    field: str
    to: Literal["question_id", "place"]

    def __str__(self) -> str:
        return self.field if self.field == self.to else f"{self.field} = {self.to}"


@dataclass(frozen=True)
class Entry:
    """One row of a file: its keys by field, and what it says of the question that a key leads to."""

    row: str
    keys: dict[str, str]
    said: Callable[[Question], Said | Fault]


@dataclass(frozen=True)
class Entries:
    """A file's rows; of two joins that match as many rows the earlier one holds."""

    format: str
    joins: tuple[Join, ...]
    entries: list[Entry | Skipped]


def key_of(value: Any) -> str:
    """A key as text, empty for what is no key."""
    usable = isinstance(value, str | int | float) and not isinstance(value, bool)
    return whole(clean(value)) if usable else ""


def whole(text: str) -> str:
    """`5.0` is what a table makes of the number 5."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text.strip())


def differs(question: Question, text: str, choices: Sequence[str], hint: str = "") -> Fault | None:
    """Why a row with this text and these choices is about another question; either text may start with the hint."""
    own, given, before = folded(question.question), folded(text), folded(hint)
    if own != given and not (before and (own == f"{before} {given}" or given == f"{before} {own}")):
        return (
            "another question",
            f"question {shown(text)} is {shown(question.question)} in the question file",
        )
    if not all(_same(*pair) for pair in zip_longest(choices, question.choices, fillvalue="")):
        return "other choices", f"choices {shown(choices)} are {shown(question.choices)} in the question file"
    return None


def folded(text: str) -> str:
    """Text without the differences that writing it to a table makes: case, white space, Unicode composition."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def clean(value: Any) -> str:
    """Untrusted text that can be written as UTF-8: half a surrogate pair becomes a question mark."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def shown(value: Any) -> str:
    """Untrusted text on one line, cut short."""
    text = repr(list(value) if isinstance(value, list | tuple) else clean(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def other_answer(question: Question, field: str, given: str) -> Fault | None:
    """Why a row whose own right answer this is, is about another question; None where it cannot be read.

    It may be an option's text, its letter, both (`B. cat`), or its number from 0, as lmms-eval writes its target.
    """
    places = _places(given, question.choices)
    if not places or question.correct_choice_idx in places:
        return None
    reason = f"{field} {shown(given)} is not the question file's answer"
    return "another answer", f"{reason}: other questions or another order?"


def _places(given: str, choices: Sequence[str]) -> set[int]:
    """The places that an answer can mean; empty: it cannot be read, {-1}: a letter beside another option's text."""
    said, texts = folded(given), [folded(choice) for choice in choices]
    found = {i for i, text in enumerate(texts) if text == said}
    if re.fullmatch(r"[0-9]{1,2}", said) and int(said) < len(choices):
        found.add(int(said))
    marked = re.match(r"\(?([a-z])(?:$|[).:]+\s*(.*)$)", said)
    if marked and (place := LETTERS.find(marked[1].upper())) < len(choices):
        if not marked[2]:
            found.add(place)
        elif not found:
            found.add(place if marked[2] == texts[place] else -1)
    return found


def _same(one: str, other: str) -> bool:
    """Equal but for what passing through a table changes.

    Those are case and white space, the figures of a number (`2` and `2.0`, `1.50` and `1.5`), and a word for nothing
    (`None`), which comes out empty.
    """
    pair = (folded(one), folded(other))
    if "" in pair:
        return _MISSING.issuperset(pair)
    if all(map(_NUMBER.fullmatch, pair)):
        return Decimal(pair[0]) == Decimal(pair[1])
    return pair[0] == pair[1]
