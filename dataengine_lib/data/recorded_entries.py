"""Step 1, `student: recorded:FILE`: one row of a prediction file, and whether it is about a given question."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dataengine_lib.data.questions import Skipped
from dataengine_lib.data.records import Question
from dataengine_lib.data.said import Said
from dataengine_lib.data.written_choice import written_choice

Fault = tuple[str, str]  # (kind of reason, reason)
_SHOWN = 60


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


def read_option(text: str, question: Question) -> int | None:
    """The option that a prediction names: the one with this very text, else as written_choice reads it."""
    return written_choice(text, question.choices)


def differs(question: Question, text: str, choices: Sequence[str], hint: str = "") -> Fault | None:
    """Why a row with this text and these choices is about another question; either text may start with the hint."""
    own, given, before = folded(question.question), folded(text), folded(hint)
    if own != given and not (before and (own == f"{before} {given}" or given == f"{before} {own}")):
        return (
            "another question",
            f"question {shown(text)} is {shown(question.question)} in the question file",
        )
    if len(choices) != len(question.choices) or not all(map(_same, choices, question.choices)):
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


def _same(one: str, other: str) -> bool:
    """Equal but for case and white space; `2` and `2.0` are a number that passed through a table."""
    return whole(folded(one)) == whole(folded(other))
