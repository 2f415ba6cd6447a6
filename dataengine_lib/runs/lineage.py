"""Lineage of a training record (steps 2 to 4): the rows in a round's files that belong to one name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.core.records import Query, Result, TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import DataEngineError
from dataengine_lib.queries.spares import ASKED_SPARES_FILE

_SHORTEST_PREFIX = 6  # characters of a name that may stand for the whole name
_Row = TypeVar("_Row")
_Matches = Callable[[str], bool]


@dataclass(frozen=True)
class Lineage:
    """Rows of one folder, from training record back to query; any list may be empty, as any file may be missing."""

    folder: Path
    records: list[TrainRecord]
    rejects: list[Reject]
    replies: list[Result]
    queries: list[Query]
    spares: frozenset[str] = frozenset()  # ids of the queries that are spares which were asked

    @property
    def empty(self) -> bool:
        """Whether no row was found."""
        return not (self.records or self.rejects or self.replies or self.queries)

    @property
    def query_ids(self) -> set[str]:
        """Ids of the queries that the rows come from."""
        lists = (self.records, self.rejects, self.replies, self.queries)
        return {row.query_id for rows in lists for row in rows if row.query_id}


def find_lineages(name: str, folder: Path) -> list[Lineage]:
    """Rows that belong to `name` in the folder of a round or in each round of a run, one Lineage per folder.

    `name` is a record id, a query id or a request key, or at least the first 6 characters of one.
    Raises DataEngineError when nothing is found, or when the prefix fits the names of several queries.
    """
    found = [lineage for place in round_folders(folder) if not (lineage := _find(name, place)).empty]
    if not found:
        raise DataEngineError(
            f"{name}: no record, query, request or question of that name in {folder}; give the folder of its round or run"
        )
    # a name found as it is in one round may be the beginning of other names in another round
    query_ids = {query_id for lineage in found for query_id in lineage.query_ids}
    if len(query_ids) > 1 and name not in query_ids:
        raise DataEngineError(
            f"{name}: is the beginning of {len(query_ids)} names, among them {', '.join(sorted(query_ids)[:3])}"
        )
    return found


def round_folders(folder: Path) -> list[Path]:
    """The folder itself and its `round<number>` folders. Raises DataEngineError when it is not a folder."""
    if not folder.is_dir():
        raise DataEngineError(f"{folder}: is not a folder; give the folder of a round or a run")
    # sorted as numbers: round10 comes after round2
    rounds = [place for place in folder.glob("round*") if place.is_dir() and place.name[5:].isdigit()]
    return [folder, *sorted(rounds, key=lambda place: int(place.name[5:]))]


def _find(name: str, folder: Path) -> Lineage:
    """Rows of the folder that match the name exactly or, when none does, by prefix."""
    spares = _read_list(folder / ASKED_SPARES_FILE, Query)
    rows = Lineage(
        folder,
        records=_read_list(folder / "gptvqa_train_data.json", TrainRecord),
        rejects=_read_lines(folder / "rejects.jsonl", Reject),
        replies=_read_lines(folder / "gptvqa_result.jsonl", Result),
        queries=[*_read_list(folder / "gptvqa_prompt.json", Query), *spares],
        spares=frozenset(query.query_id for query in spares),
    )
    found = _select(rows, lambda text: bool(name) and text == name)
    if found.empty:
        found = _select(rows, lambda text: len(name) >= _SHORTEST_PREFIX and text.startswith(name))
    return _add_related(found, rows)


def _read_list(file: Path, kind: type[_Row]) -> list[_Row]:
    return read_json(file, list[kind]) if file.is_file() else []  # type: ignore[valid-type]


def _read_lines(file: Path, kind: type[_Row]) -> list[_Row]:
    return read_jsonl(file, kind, torn_tail=True) if file.is_file() else []


def _select(rows: Lineage, matches: _Matches) -> Lineage:
    """The rows of which an id or key matches."""
    records = [
        row for row in rows.records if any(map(matches, (row.record_id, row.query_id, row.request_key)))
    ]
    # A record id names one QA, so the other QAs of the same reply are left out.
    named = [row for row in records if matches(row.record_id)]
    return Lineage(
        rows.folder,
        records=named or records,
        rejects=[row for row in rows.rejects if any(map(matches, (row.record_id, row.query_id)))],
        replies=[row for row in rows.replies if any(map(matches, (row.query_id, row.request_key)))],
        queries=[row for row in rows.queries if matches(row.query_id)],
        spares=rows.spares,
    )


def _add_related(found: Lineage, rows: Lineage) -> Lineage:
    """The found rows, and where a list is empty the rows that come from the same queries."""
    ids = found.query_ids
    complete = replace(
        found,
        replies=found.replies or [row for row in rows.replies if row.query_id in ids],
        queries=found.queries or [row for row in rows.queries if row.query_id in ids],
    )
    if found.records or found.rejects:  # one QA was named: its reply's other QAs are not part of the answer
        return complete
    return replace(
        complete,
        records=[row for row in rows.records if row.query_id in ids],
        rejects=[row for row in rows.rejects if row.query_id in ids],
    )
