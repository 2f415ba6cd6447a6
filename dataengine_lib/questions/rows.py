"""Rows of question files on their way to the one check in questions.py, whatever their format (steps 0, 1, 5)."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.core.records import LETTERS
from dataengine_lib.errors import DataEngineError

RowFault = tuple[str, str]  # (kind of reason, reason)


@dataclass(frozen=True)
class FoundRow:
    """A row under the name that a person looks for: A-OKVQA's fields as found, or the fault that it has.

    `kind` is the type whose list holds the row.
    """

    row: str
    content: Any | RowFault
    kind: str = ""


@dataclass(frozen=True)
class OwnFields:
    """The keys or columns that hold a question's type and split in the user's own file."""

    type_field: str = ""
    split_field: str = "split"

    def of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row's `split`, and its `question_type` where a field for it was named."""
        own = {"split": _text(row.get(self.split_field))}
        if self.type_field:
            own["question_type"] = _text(row.get(self.type_field))
        return own

    def check(self, file: Path, keys: Collection[str]) -> None:
        """Raises DataEngineError naming the nearest key when a named field is in no row."""
        for option, name, usual in (
            ("type_field", self.type_field, ""),
            ("split_field", self.split_field, "split"),
        ):
            if name != usual and keys and name not in keys:
                near = difflib.get_close_matches(name, sorted(keys), n=1, cutoff=0.0)[0]
                raise DataEngineError(f"{file}: no row has {name!r} ({option}); the nearest key is {near!r}")


def filled(choices: Iterable[Any]) -> list[Any]:
    """The choices without the missing ones at the end; a hole between two stays and is a fault."""
    kept = list(choices)
    while kept and kept[-1] in (None, ""):
        kept.pop()
    return kept


def answer_place(answer: Any, choices: Collection[Any]) -> int | RowFault | None:
    """The place of the choice that an answer's letter means, None without an answer."""
    letter = "" if answer is None else str(answer).strip()
    if not letter:
        return None
    place = LETTERS.find(letter.upper()) if len(letter) == 1 else -1
    if place < 0:
        return "wrong answer letter", f"answer {letter[:40]!r} is not the letter of a choice"
    if place >= len(choices) >= 2:
        return "index outside the choices", f"answer {letter} is outside the {len(choices)} choices"
    return place


def _text(value: Any) -> Any:
    """Numbers are fine as names of a type or a split; a list is left to the check, which refuses it."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) else value
