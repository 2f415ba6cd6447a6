"""Step 1, `student: recorded:FILE`: which of the responses of an lmms-eval log count, where filters gave several."""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.errors import DataEngineError


@dataclass(frozen=True)
class SampleFilters:
    """The rows of other filters, the words for the report, and the name to take in a row that has several."""

    left_out: Set[str]
    note: str
    wanted: str

    def response(self, row: Mapping[str, Any]) -> Any:
        """The responses of the wanted filter, the unfiltered ones where the row has none."""
        given = row.get("filtered_resps")
        if isinstance(given, Mapping):
            given = given.get(self.wanted)
        return given or row.get("resps")


def filters_of(file: Path, samples: Mapping[str, Mapping[str, Any]], wanted: str) -> SampleFilters:
    """The filter to take: the one named `wanted`, or the only one.

    A file names its filters in a row's `filter`, or as the keys of `filtered_resps`; a file that repeats every doc_id
    without a name has filters 1, 2, … in their order. Raises DataEngineError naming the filters when there are several
    and none of them is `wanted`.
    """
    names = {where: _names(row) for where, row in samples.items()}
    if not any(names.values()):
        names = _numbered(samples)
    known = list(dict.fromkeys(name for of_row in names.values() for name in of_row))
    if wanted and wanted not in known:
        raise DataEngineError(
            f"{file}: has no filter {wanted!r} (recorded_filter); its filters: {_listed(known) or 'none'}"
        )
    if len(known) > 1 and not wanted:
        raise DataEngineError(
            f"{file}: holds the responses of {len(known)} filters; set recorded_filter to one of {_listed(known)}"
        )
    wanted = wanted or (known[0] if known else "")
    left_out = {where for where, of_row in names.items() if of_row and wanted not in of_row}
    return SampleFilters(left_out, f", filter {wanted}" if len(known) > 1 else "", wanted)


def _names(row: Mapping[str, Any]) -> list[str]:
    responses = row.get("filtered_resps")
    if isinstance(responses, Mapping):
        return [str(name) for name in responses]
    return [row["filter"]] if isinstance(row.get("filter"), str) else []


def _numbered(samples: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """1, 2, … by how often a row's doc_id came before; no names where not every doc_id comes equally often."""
    total = Counter(str(row["doc_id"]) for row in samples.values())
    if len(total) < 2 or len(set(total.values())) != 1 or set(total.values()) == {1}:
        return {where: [] for where in samples}
    seen = Counter[str]()
    names: dict[str, list[str]] = {}
    for where, row in samples.items():
        seen[str(row["doc_id"])] += 1
        names[where] = [str(seen[str(row["doc_id"])])]
    return names


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:10])
