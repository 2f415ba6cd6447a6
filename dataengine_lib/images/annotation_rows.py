"""Step 2: the rows of annotation files; a row that cannot be used is left out and counted, the others are read.

A file is decoded whole at first, since most are as published. Only one with an odd row is decoded row by row.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError

_T = TypeVar("_T")
# a width or height; a number of more bits than the pool's columns have is a fault of its row
SidePixels = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]

# kinds of rows that are left out and say nothing against a file
UNKNOWN_ID = "of an image that is not listed"
EMPTY_BOX = "box without width or height"
UNSIZED = "box in an image without width and height"
HARMLESS = (UNKNOWN_ID, EMPTY_BOX, UNSIZED)
_MANY = 0.25  # share of harmless rows in a list, from which it is worth a warning
_UNUSABLE = "malformed"
# msgspec's messages: "Object missing required field `bbox`", "Expected `str`, got `null` - at `$.caption`"
_MISSING = re.compile(r"missing required field `(\w+)`")
_AT = re.compile(r"at `\$\.(\w+)")

# a place or length in a box; NaN and infinity, which may stand in quotes, are none
Coordinate = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class LeftOutRows(msgspec.Struct, kw_only=True):
    """What was left out of one list of one file: how many of `n_rows`, by kind, with the first row of each kind.

    Kept with the pool's columns, since each reading of the pool decides for itself whether it is too much.
    """

    what: str  # "annotations/instances_train2017.json: annotations", relative to the pool's folder
    n_rows: int = 0
    counts: dict[str, int] = {}
    first: list[BadRow] = []

    def add(self, row: str, kind: str, reason: str, count: int = 1) -> None:
        """Count `count` rows of one kind, the first of which is `row`."""
        if count and kind not in self.counts:
            self.first.append(BadRow(row, reason, kind))
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count

    def fault(self, row: str, error: Exception) -> None:
        """Count a row that could not be decoded, by the field at fault."""
        reason = decode_fault(error)
        if found := _MISSING.search(reason):
            kind = f"without {found[1]}"
        else:
            kind = f"unusable {found[1]}" if (found := _AT.search(reason)) else _UNUSABLE
        self.add(row, kind, reason)

    def check(self, root: Path, max_share: float) -> None:
        """Raise DataEngineError when more than `max_share` of the rows are bad, or all of them are."""
        bad = self._bad()
        if bad and bad == self.n_rows:
            first = next(row for row in self.first if row.kind not in HARMLESS)
            raise DataEngineError(
                f"{root / self.what}: {one_line(f'{first.row}: {first.reason}')[:200]}; none of its {bad:,} rows can "
                "be used: correct the file or download it again"
            )
        self._rows(root, max_share).check()

    def warnings(self, root: Path) -> list[str]:
        """One sentence where rows are bad, or many rows were left out; none for some harmless ones."""
        many = sum(self.counts.values()) > _MANY * self.n_rows
        return self._rows(root, 1.0).warnings() if self._bad() or many else []

    def _bad(self) -> int:
        return sum(count for kind, count in self.counts.items() if kind not in HARMLESS)

    def _rows(self, root: Path, max_share: float) -> BadRows:
        rows = BadRows(root / self.what, max_share, self.n_rows, harmless=HARMLESS)
        rows.add(*self.first)
        # `add` has counted the first row of each kind
        rows.counts.update({kind: count - 1 for kind, count in self.counts.items()})
        return rows


def readable_rows(
    raws: Iterable[tuple[str, Any]], row_type: type[_T], left_out: LeftOutRows
) -> Iterator[tuple[str, _T]]:
    """The rows that can be decoded, each with its name for messages; the others are counted in `left_out`.

    `raws` are names with JSON (msgspec.Raw) or with a plain value, whose numbers may be texts.
    """
    decoder = msgspec.json.Decoder(row_type, strict=False)
    for name, raw in raws:
        left_out.n_rows += 1
        try:
            if isinstance(raw, msgspec.Raw):
                yield name, json_value(raw, decoder)
            else:
                yield name, msgspec.convert(raw, row_type, strict=False)
        except UNDECODABLE as error:
            left_out.fault(name, error)


def numbered(name: str, rows: Any) -> Iterator[tuple[str, Any]]:
    """A list's rows as `images[7]`, `row 7` without a name; the values of an object, as which some tools write a list,
    by their keys."""
    if not name:
        return ((f"row {number}", row) for number, row in enumerate(rows))
    if isinstance(rows, dict):
        return ((f"{name}[{key}]", row) for key, row in rows.items())
    return ((f"{name}[{number}]", row) for number, row in enumerate(rows or ()))


def counts_by_kind(lists: Collection[LeftOutRows]) -> dict[str, int]:
    """How many rows were left out, by the list and kind: `annotations: unusable bbox`."""
    found: dict[str, int] = {}
    for one in lists:
        name = one.what.rpartition(": ")[2]
        for kind, count in one.counts.items():
            found[f"{name}: {kind}"] = found.get(f"{name}: {kind}", 0) + count
    return dict(sorted(found.items()))
