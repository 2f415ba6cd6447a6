"""Rows of a file that cannot be used (all steps): left out, counted by reason and shown; too many stop the step."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.core.json_rows import JsonRow, json_rows
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError

_T = TypeVar("_T")
_ANY = msgspec.json.Decoder(Any)
MALFORMED = "malformed row"  # the kind of rows that are no rows of the format at all
_MOST_NAMED = 3  # rows that the error names, each with another reason
_LENGTH = 150  # characters of one row's reason in a message


class BadRow(msgspec.Struct, frozen=True):
    """A row that is left out: where it stands (`row 7`), the reason, and the short reason that it is counted by."""

    row: str
    reason: str
    kind: str = ""


class BadRowSummary(msgspec.Struct):
    """How many of how many rows were left out, by reason and one by one."""

    total: int
    of: int
    by_reason: dict[str, int]
    rows: list[BadRow]

    def sentence(self) -> str:
        """`3 of 40 rows left out: image not found (1), malformed row (2); first: row 7: …`; empty without any."""
        if not self.total:
            return ""
        counted = ", ".join(f"{kind} ({count:,})" for kind, count in self.by_reason.items())
        first = f"; first: {_shown(self.rows[0])}" if self.rows else ""
        return f"{self.total:,} of {self.of:,} rows left out: {counted}{first}"


class BadRows:
    """Collects the rows of `file` that cannot be used; at most a share of `max_share` of its `n_rows` may be bad.

    A single bad row among others is never too many, unless `max_share` is 0. `remedy` names what else to look at in
    the step that reads the file (`check image_root`); `max_bad_share` has to be one of that step's parameters. `wanted`
    is what the step reads (`gptvqa_prompt.json of construct-queries`), for a file of another format. Rows of a `harmless`
    kind are left out too, but are not bad. The first `keep` rows are kept, all by default.
    """

    def __init__(
        self,
        file: Path | str,
        max_share: float,
        n_rows: int = 0,
        *,
        remedy: str = "",
        wanted: str = "",
        harmless: Collection[str] = (),
        keep: int | None = None,
    ) -> None:
        self.file, self.max_share, self.n_rows = file, max_share, n_rows
        self.rows: list[BadRow] = []
        self.counts: Counter[str] = Counter()
        self._remedy, self._wanted, self._harmless, self._keep = remedy, wanted, harmless, keep
        self._first: dict[str, BadRow] = {}  # by kind, the bad ones alone

    def add(self, *rows: BadRow) -> None:
        """Count rows as left out."""
        for row in rows:
            self.counts[row.kind] += 1
            if row.kind not in self._harmless:
                self._first.setdefault(row.kind, row)
            if self._keep is None or len(self.rows) < self._keep:
                self.rows.append(row)

    def check(self) -> None:
        """Raise DataEngineError naming the file and the first row of each reason when too many rows are bad.

        A file of which no row is one of the format is refused whatever share is allowed.
        """
        if self._wanted and self.n_rows and self.counts[MALFORMED] == self.n_rows:
            raise DataEngineError(
                f"{self.file}: not a format that this step reads: {looks_like(Path(self.file))}; give {self._wanted} "
                f"(none of {self.n_rows:,} rows can be read; {_shown(self._first[MALFORMED])})"
            )
        bad = sum(count for kind, count in self.counts.items() if kind not in self._harmless)
        alone = bad == 1 < self.n_rows and self.max_share > 0
        if bad > self.max_share * self.n_rows and not alone:
            named = "; ".join(_shown(row) for row in list(self._first.values())[:_MOST_NAMED])
            remedy = f", {self._remedy}," if self._remedy else ""
            raise DataEngineError(
                f"{self.file}: {named}; {bad:,} of {self.n_rows:,} rows cannot be used: "
                f"correct them{remedy} or raise max_bad_share ({self.max_share})"
            )

    def warnings(self) -> list[str]:
        """What a person should know: one sentence with the file's name, none where nothing was left out."""
        sentence = self.summary().sentence()
        return [f"{self.file}: {sentence}"] if sentence else []

    def summary(self) -> BadRowSummary:
        """The counts by reason, and the rows."""
        return BadRowSummary(
            self.counts.total(), self.n_rows, dict(sorted(self.counts.items())), list(self.rows)
        )


def usable_rows(rows: Iterable[JsonRow], type: type[_T], bad: BadRows) -> Iterator[tuple[str, _T]]:
    """Yield where each row stands and its value; rows that are not of `type` are added to `bad`, which counts all.

    A null, as pandas writes it for a cell without a value, counts as if its key were missing.
    """
    decoder = msgspec.json.Decoder(type, strict=False)
    for row in rows:
        bad.n_rows += 1
        try:
            try:
                value = json_value(row.raw, decoder)
            except msgspec.ValidationError:
                value = _without_nulls(row.raw, type)
        except UNDECODABLE as error:
            bad.add(BadRow(row.where, decode_fault(error), MALFORMED))
        else:
            yield row.where, value


def all_usable_rows(type: type[_T], bad: BadRows) -> list[tuple[str, _T]]:
    """`usable_rows` of the list or JSON lines in the file of `bad`. Raises DataEngineError when too many are bad."""
    rows = list(usable_rows(json_rows(Path(bad.file)), type, bad))
    bad.check()
    return rows


def _without_nulls(raw: msgspec.Raw, type: type[_T]) -> _T:
    content: Any = json_value(raw, _ANY)
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if value is not None}
    return msgspec.convert(content, type, strict=False)


def _shown(row: BadRow) -> str:
    text = one_line(f"{row.row}: {row.reason}")
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"


def counted_reasons(reasons: Mapping[str, int]) -> str:
    """The most frequent reasons with their counts: `image not found (12), malformed row (3) and 2 other reasons`."""
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    text = ", ".join(f"{reason} ({number:,})" for reason, number in ordered[:_MOST_NAMED])
    rest = len(ordered) - _MOST_NAMED
    return f"{text} and {rest} other reason{'' if rest == 1 else 's'}" if rest > 0 else text
