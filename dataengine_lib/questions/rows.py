"""Steps 0, 1 and 5: rows of question files in any format, as they go to the one check in reader.py."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.core.records import LETTERS
from dataengine_lib.errors import DataEngineError

RowFault = tuple[str, str]  # (kind, by which faults are counted; reason, which names the values)


@dataclass(frozen=True)
class FoundRow:
    """A row of a question file: A-OKVQA's fields as found, or its fault.

    `row` says where it stands in the file (`row 7`, `image_scene[7]`); `kind` is the type whose list holds it.
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
        """A row's `split`, and its `question_type` where `type_field` is given."""
        own = {"split": _text(row.get(self.split_field))}
        if self.type_field:
            own["question_type"] = _text(row.get(self.type_field))
        return own

    def check(self, file: Path, keys: Collection[str]) -> None:
        """Raise DataEngineError naming the nearest key when no row has one of the fields."""
        for option, name, usual in (
            ("type_field", self.type_field, ""),
            ("split_field", self.split_field, "split"),
        ):
            if name != usual and keys and name not in keys:
                near = difflib.get_close_matches(name, sorted(keys), n=1, cutoff=0.0)[0]
                raise DataEngineError(f"{file}: no row has {name!r} ({option}); the nearest key is {near!r}")


def filled(choices: Iterable[Any]) -> list[Any]:
    """The choices without the empty ones at the end; an empty one between two stays and is a fault."""
    kept = list(choices)
    while kept and kept[-1] in (None, ""):
        kept.pop()
    return kept


def answer_index(answer: Any, choices: Collection[Any]) -> int | RowFault | None:
    """The index of the choice that an answer's letter means; None without an answer."""
    letter = "" if answer is None else str(answer).strip()
    if not letter:
        return None
    index = LETTERS.find(letter.upper()) if len(letter) == 1 else -1
    if index < 0:
        return "wrong answer letter", f"answer {letter[:40]!r} is not the letter of a choice"
    # fewer than two choices are a fault of their own, which reader.py reports
    if index >= len(choices) >= 2:
        return "index outside the choices", f"answer {letter} is outside the {len(choices)} choices"
    return index


def _text(value: Any) -> Any:
    """A number as text, since it may name a type or a split; a list stays, and the check refuses it."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) else value
