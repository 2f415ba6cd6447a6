"""The way back from a training record: its reply, its query, the bad cases behind it and the evaluation."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.core.records import LETTERS, Query, Result, TrainRecord, options_text
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.metrics import Metrics

SHORTEST = 6  # characters of an id's or a key's beginning that stand for the whole
_TEXT = 300  # characters of a question or rationale in a line
T = TypeVar("T")


@dataclass
class _Way:
    """What was found in one folder, from the record to the query; any of it may be missing."""

    folder: Path
    records: list[TrainRecord] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    replies: list[Result] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)

    @property
    def query_ids(self) -> set[str]:
        parts = (self.records, self.rejects, self.replies, self.queries)
        return {row.query_id for rows in parts for row in rows if row.query_id}


def trace(name: str, folder: Path) -> list[str]:
    """Lines on where `name` comes from: a record id, a query id or a request key, or the beginning of one.

    `folder` is a round's or a run's. Raises DataEngineError when nothing is found, or the beginning of several
    queries' names is given.
    """
    name = name.strip()
    found = [way for place in _places(folder) if (way := _way(name, place)) is not None]
    if not found:
        raise DataEngineError(
            f"{name}: no record, query or request of that name in {folder}; give the folder of its round or run"
        )
    several = {query for way in found for query in way.query_ids}
    if len(several) > 1 and name not in several:
        raise DataEngineError(
            f"{name}: begins {len(several)} names, among them {', '.join(sorted(several)[:3])}"
        )
    return [line for way in found for line in _lines(way)]


def _places(folder: Path) -> list[Path]:
    """The folder itself and the rounds in it. Raises DataEngineError when it is none."""
    if not folder.is_dir():
        raise DataEngineError(f"{folder}: is no folder; give the folder of a round or a run")
    rounds = [place for place in folder.glob("round*") if place.is_dir() and place.name[5:].isdigit()]
    return [folder, *sorted(rounds, key=lambda place: int(place.name[5:]))]


def _way(name: str, folder: Path) -> _Way | None:
    """Everything in the folder's files that belongs to the name, exactly or, failing that, by its beginning."""
    records = _read(folder / "gptvqa_train_data.json", list[TrainRecord])
    rejects = _read_lines(folder / "rejects.jsonl", Reject)
    replies = _read_lines(folder / "gptvqa_result.jsonl", Result)
    queries = _read(folder / "gptvqa_prompt.json", list[Query])
    for same in (
        lambda text: bool(name) and text == name,
        lambda text: len(name) >= SHORTEST and text.startswith(name),
    ):
        way = _Way(folder)
        way.records = [
            row for row in records if any(map(same, (row.record_id, row.query_id, row.request_key)))
        ]
        if any(
            map(same, (row.record_id for row in way.records))
        ):  # the second QA of a reply is not the first
            way.records = [row for row in way.records if same(row.record_id)]
        way.rejects = [row for row in rejects if any(map(same, (row.record_id, row.query_id)))]
        way.replies = [row for row in replies if any(map(same, (row.query_id, row.request_key)))]
        way.queries = [row for row in queries if same(row.query_id)]
        if way.records or way.rejects or way.replies or way.queries:
            names = way.query_ids
            way.replies = way.replies or [row for row in replies if row.query_id in names]
            way.queries = way.queries or [row for row in queries if row.query_id in names]
            keyed = not way.records and not way.rejects
            way.records = way.records or [row for row in records if keyed and row.query_id in names]
            way.rejects = way.rejects or [row for row in rejects if keyed and row.query_id in names]
            return way
    return None


def _read(path: Path, kind: type[list[T]]) -> list[T]:
    return read_json(path, kind) if path.is_file() else []


def _read_lines(path: Path, kind: type[T]) -> list[T]:
    return read_jsonl(path, kind, torn_tail=True) if path.is_file() else []


def _lines(way: _Way) -> Iterator[str]:
    for part in (
        _records(way),
        _rejects(way),
        _replies(way),
        _queries(way),
        _bad_cases(way),
        _evaluation(way),
    ):
        yield from part


def _records(way: _Way) -> Iterator[str]:
    for record in way.records:
        letter = LETTERS[record.correct_choice_idx % len(LETTERS)]
        yield f"record {_said(record.record_id or record.query_id)} in {way.folder / 'gptvqa_train_data.json'}"
        yield f"  {_about(record, record.round)}"
        yield f"  {_said(record.question)} {_said(options_text(record.choices))}; right: ({letter})"
        if record.review:
            yield f"  a person's decision: {_said(record.review)}"


def _rejects(way: _Way) -> Iterator[str]:
    for reject in way.rejects:
        yield f"dropped {_said(reject.record_id or reject.query_id)} in {way.folder / 'rejects.jsonl'}"
        detail = f" ({_said(reject.detail)})" if reject.detail else ""
        yield f"  reason: {_said(reject.reason)}{detail}; line {reject.line} of the replies"


def _replies(way: _Way) -> Iterator[str]:
    for reply in way.replies:
        yield f"reply in {way.folder / 'gptvqa_result.jsonl'}"
        yield f"  teacher {_known(reply.model)}, request key {_known(reply.request_key)}"
        ended = _known(reply.finish_reason)
        yield f"  tokens {reply.prompt_tokens:,} in, {reply.completion_tokens:,} out; end: {ended}"


def _queries(way: _Way) -> Iterator[str]:
    for query in way.queries:
        drawn = "at random"
        if query.neighbour:
            near = f", cosine {query.similarity:.3f}" if query.similarity is not None else ""
            drawn = f"as a neighbour of {_said(query.anchor_image_path or query.anchor_image_id)}{near}"
        yield f"query {_said(query.query_id)} in {way.folder / 'gptvqa_prompt.json'}"
        yield f"  prompt {_known(query.template)}, sha256 {_known(query.prompt_sha256)}"
        yield f"  {_about(query, query.round)}, drawn {drawn}"


def _about(row: TrainRecord | Query, number: int) -> str:
    return (
        f"{_said(row.question_type)}, round {number}, image {row.image_id} {_said(row.image_path)}".rstrip()
    )


def _bad_cases(way: _Way) -> Iterator[str]:
    file = way.folder / "bad_case_aokvqa_classified.json"
    parts: tuple[list[Any], ...] = (way.queries, way.replies, way.records)
    wanted: list[str] = next((row.example_ids for rows in parts for row in rows if row.example_ids), [])
    cases: dict[str, list[dict[str, Any]]] = {}
    if wanted and file.is_file():
        cases = read_json(file, dict[str, list[dict[str, Any]]])
    known = {
        str(case.get("question_id") or case.get("idx")): case for rows in cases.values() for case in rows
    }
    for name in wanted:
        case = known.get(name)
        if case is None:
            yield f"bad case {_said(name)}: not in {file}"
            continue
        choices, right = case.get("choices") or [], case.get("correct_choice_idx")
        answer = choices[right] if isinstance(right, int) and 0 <= right < len(choices) else ""
        yield f"bad case {_said(name)} in {file}"
        image = _said(case.get("image_path") or case.get("image_id"))
        yield f"  image {image}: {_said(case.get('question') or case.get('prompt'))}"
        yield f"  right: {_known(answer)}; the student answered: {_known(case.get('model_answer'))}"


def _evaluation(way: _Way) -> Iterator[str]:
    file = way.folder / "metrics.json"
    if not file.is_file():
        return
    metrics: Metrics = read_json(file, Metrics)
    kinds = {row.question_type for rows in (way.records, way.rejects, way.queries) for row in rows}
    for split, scored in metrics.splits.items():
        for kind in sorted(kinds & set(scored.per_type)):
            score = scored.per_type[kind]
            yield f"evaluation {file}, {split}: {_said(kind)} {score.correct} of {score.total} right"


def _known(value: object) -> str:
    return _said(value) or "not known"


def _said(value: object) -> str:
    """Text from a file on one line, without characters that a terminal would obey."""
    text = " ".join(str("" if value is None else value).split())
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"
