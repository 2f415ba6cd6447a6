"""Steps 0, 1 and 5: rows of question files in any format, as they go to the one check in reader.py."""

import ast
import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import caseless, nearest_name, shown
from dataengine_lib.errors import DataEngineError

_LIST_SIZE = 20_000  # characters of a list that is given as text; ten answers have a few hundred
# matches `B.`, `(B)`, `b)`, `B: cat`, `(B) a cat`
_MARKED = re.compile(r"\(?([A-Za-z])(?:[).:]+\s*(.*)|\))$", re.DOTALL)
RowFault = tuple[str, str]  # (kind, by which faults are counted; reason, which names the values)


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row of a question file: A-OKVQA's fields as found, or its fault.

    `row` says where it stands in the file (`row 7`, `image_scene[7]`); `kind` is the type whose list holds it. A row with
    a `fault` may still name its image in `content`: an evaluation image is kept out of training whatever its row lacks.
    """

    row: str
    content: Any | RowFault
    kind: str = ""
    fault: RowFault | None = None


def found_row(where: str, fields: Any | RowFault, image: Any, kind: str = "") -> FoundRow:
    """A row from its fields, or from its fault and the path or name of its image."""
    if isinstance(fields, tuple) and isinstance(image, str) and image:
        return FoundRow(where, {"image_path": image}, kind, fields)
    return FoundRow(where, fields, kind)


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
                near = nearest_name(name, sorted(keys))
                raise DataEngineError(f"{file}: no row has {name!r} ({option}); the nearest key is {near!r}")


def filled(choices: Iterable[Any]) -> list[Any]:
    """The choices without the empty ones at the end; an empty one between two stays and is a fault."""
    kept = list(choices)
    while kept and kept[-1] in (None, ""):
        kept.pop()
    return kept


def integer_text(text: str) -> str:
    """`5` for `5.0`, which is how a table with empty cells writes a whole number."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text.strip())  # matches `5.0`, `-3.00`


def answer_index(answer: Any, choices: Collection[Any]) -> int | RowFault | None:
    """The index of the choice that an answer means: its letter, `B`, `(B)` or `B. cat`, or its text; None without one.

    A letter alone is a letter in the formats that this is for, also where a choice has that text.
    """
    given = "" if answer is None else str(answer).strip()
    if not given:
        return None
    index = LETTERS.find(given.upper()) if len(given) == 1 else -1
    if not 0 <= index < len(choices):
        meant = _meant(given, [caseless(str(choice)) for choice in choices])
        if len(meant) == 1:
            return meant.pop()
    if index < 0:
        return "wrong answer letter", f"answer {shown(given)} is not the letter of a choice"
    # fewer than two choices are a fault of their own, which reader.py reports
    if index >= len(choices) >= 2:
        return "index outside the choices", f"answer {given} is outside the {len(choices)} choices"
    return index


def any_answer_index(answer: Any, choices: Collection[Any]) -> int | RowFault | None:
    """The index of the choice that an answer means in a file of no known format: its letter, text, or place from 0.

    Where these mean different choices, the row is faulty: nothing is guessed.
    """
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if answer is None or answer == "":
        return None
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        return (
            "wrong answer letter",
            f"answer {str(answer)[:40]!r} is not the letter, text or index of a choice",
        )
    text = integer_text(str(answer))
    meant = _meant(text, [caseless(str(choice)) for choice in choices])
    if len(text) == 1 and 0 <= LETTERS.find(text.upper()) < len(choices):
        meant.add(LETTERS.find(text.upper()))
    if re.fullmatch("[0-9]{1,2}", text) and int(text) < len(choices):
        meant.add(int(text))
    if len(meant) != 1:
        why = "can mean several choices" if meant else "is not the letter, text or index of a choice"
        return "wrong answer letter", f"answer {text[:40]!r} {why}"
    return meant.pop()


def _meant(answer: str, choices: list[str]) -> set[int]:
    """The indices of the choices, given without case, that an answer of more than a letter means."""
    found = {index for index, choice in enumerate(choices) if choice == caseless(answer)}
    if not found and (marked := _MARKED.match(answer)):
        index, text = LETTERS.find(marked[1].upper()), caseless(marked[2] or "")
        if index < len(choices) and text in ("", choices[index]):
            found.add(index)
    return found


def _text(value: Any) -> Any:
    """A number as text, since it may name a type or a split; a list stays, and the check refuses it."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) else value


def list_in(text: str) -> list[str | int | float] | None:
    """The list that a text is the Python form of, as in copies of A-OKVQA on the Hub; None for any other text."""
    text = text.strip()
    if not text.startswith("[") or len(text) > _LIST_SIZE:
        return None
    if not re.search(r"""['"]\s*,""", text):  # a numpy array is printed without commas: ['cat' 'dog']
        text = re.sub(r"""(['"])\s+(?=['"])""", r"\1, ", text)
    try:
        with warnings.catch_warnings(action="ignore"):  # about invalid escape sequences
            found = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    usable = isinstance(found, list) and all(isinstance(one, str | int | float) for one in found)
    return found if usable else None
