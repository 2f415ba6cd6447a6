"""Step 1, `student: recorded:FILE`: a row of a prediction file, and whether it is about a given question."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Literal

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.records import LETTERS, NO_ANSWER, Question, shows_options
from dataengine_lib.core.text import caseless_composed
from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.questions.rows import integer_text

# why a row cannot be used for a question: (reason to count by, reason in full)
Mismatch = tuple[str, str]
_SHOWN_CHARACTERS = 60
# a number as a table may write it: `2`, `-1.50`, `.5`, `1e-3`; bounded, since the text is untrusted
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:e[-+]?[0-9]{1,3})?")
# words that pandas reads as a missing cell and writes as an empty one (its STR_NA_VALUES, in lower case)
_MISSING = {"", "n/a", "na", "nan", "none", "null", "<na>", "#n/a", "#na", "-nan"}


@dataclass(frozen=True)
class JoinKey:
    """A field of the file that names a question, and the property of the question that it is compared with."""

    field: str
    to: Literal["question_id", "place"]

    def __str__(self) -> str:
        return self.field if self.field == self.to else f"{self.field} = {self.to}"


@dataclass(frozen=True)
class Entry:
    """One row of a file: its keys by field, and a function that gives its answer to the question that a key names."""

    row: str
    keys: dict[str, str]
    answer_to: Callable[[Question], StudentAnswer | Mismatch]


@dataclass(frozen=True)
class Entries:
    """A file's rows, and the keys to try in that order; the format's name is for the report."""

    format: str
    joins: tuple[JoinKey, ...]
    entries: list[Entry | BadRow]


def join_key(value: Any) -> str:
    """A key as text; empty for a value that cannot be one (None, a list, a boolean)."""
    usable = isinstance(value, str | int | float) and not isinstance(value, bool)
    return integer_text(utf8_safe(value)) if usable else ""


def text_mismatch(question: Question, text: str, choices: Sequence[str], hint: str = "") -> Mismatch | None:
    """Why a row with this text and these choices is about another question, None when it is about this one.

    Either text may start with the hint. A yes/no question is shown without its choices: those of a row need not be there.
    """
    own, given, before = (
        caseless_composed(question.question),
        caseless_composed(text),
        caseless_composed(hint),
    )
    if own != given and not (before and (own == f"{before} {given}" or given == f"{before} {own}")):
        return (
            "another question",
            f"question {shortened(text)} is {shortened(question.question)} in the question file",
        )
    # a table does not write empty last cells, so a missing choice is compared as an empty one
    without = not choices and not shows_options(question.answer_kind)
    if not without and not all(
        _same_in_table(*pair) for pair in zip_longest(choices, question.choices, fillvalue="")
    ):
        return (
            "other choices",
            f"choices {shortened(choices)} are {shortened(question.choices)} in the question file",
        )
    return None


def utf8_safe(value: Any) -> str:
    """Untrusted text made encodable as UTF-8: half of a surrogate pair becomes U+FFFD, the replacement character."""
    text = str(value)
    # UTF-16 has an encoding of half a pair, which its decoder then replaces
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def shortened(value: Any) -> str:
    """Untrusted text on one line, cut short."""
    text = repr(list(value) if isinstance(value, list | tuple) else utf8_safe(value))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def answer_mismatch(question: Question, field: str, given: str) -> Mismatch | None:
    """Why a row whose right answer is `given` is about another question; None when it agrees or cannot be read.

    `given` may be an option's text, its letter, both (`B. cat`), or its number from 0, as lmms-eval writes its
    target.
    """
    meant = _meant_choices(given, question.choices)
    if not meant or question.correct_choice_idx == NO_ANSWER or question.correct_choice_idx in meant:
        return None
    reason = f"{field} {shortened(given)} is not the question file's answer"
    return "another answer", f"{reason}: other questions or another order?"


def _meant_choices(given: str, choices: Sequence[str]) -> set[int]:
    """The indices of choices that an answer can mean.

    Empty: it cannot be read. {-1}: a letter with the text of another option.
    """
    answer, texts = caseless_composed(given), [caseless_composed(choice) for choice in choices]
    found = {i for i, text in enumerate(texts) if text == answer}
    # a number may be the option's text (`2` sheep) as well as its index: both count
    if re.fullmatch(r"[0-9]{1,2}", answer) and int(answer) < len(choices):
        found.add(int(answer))
    # `b`, `(b)`, `b.`, `b) cat`, `b: cat`
    marked = re.match(r"\(?([a-z])(?:$|[).:]+\s*(.*)$)", answer)
    if marked and (place := LETTERS.find(marked[1].upper())) < len(choices):
        if not marked[2]:  # a letter alone
            found.add(place)
        elif not found:
            found.add(place if marked[2] == texts[place] else -1)
    return found


def _same_in_table(one: str, other: str) -> bool:
    """Whether two texts are equal but for what writing one to a table changes.

    Those changes are case and white space, the form of a number (`2` and `2.0`, `1.50` and `1.5`), and a word for a
    missing value (`None`), which becomes an empty cell.
    """
    pair = (caseless_composed(one), caseless_composed(other))
    if "" in pair:
        # an empty cell agrees with a word for a missing value, or with another empty one
        return _MISSING.issuperset(pair)
    if all(map(_NUMBER.fullmatch, pair)):
        # Decimal, since a float would make long numbers equal that differ in their last digits
        return Decimal(pair[0]) == Decimal(pair[1])
    return pair[0] == pair[1]
