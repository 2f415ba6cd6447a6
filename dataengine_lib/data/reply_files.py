"""Step 3: the teacher's replies on disk: a killed run loses none and the next one asks only for the rest."""

import datetime
import hashlib
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import msgspec

from dataengine_lib.data.files import (
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)
from dataengine_lib.data.prices import Price
from dataengine_lib.data.records import Query, Result
from dataengine_lib.errors import DataEngineError

ERROR = "error"  # the one kind of failure that was not paid for, and is asked again
SYNC_EVERY = 1.0  # seconds; waiting for the disk after every reply would hold up the others
PATIENCE = 10.0  # seconds to wait for another run: the kernel of a killed one takes a moment to notice


class Failure(msgspec.Struct, kw_only=True):
    """A row of `gptvqa_failed.jsonl`.

    `kind` is `error` (no reply: asked again by the next run) or why a reply is unusable: `length`, `refusal`,
    `content_filter`, `empty` (paid for: not asked again as long as `max_output_tokens` stays).
    """

    query_id: str
    image_id: int
    question_type: str
    kind: str
    reason: str
    raw_instructions: str = ""
    model: str = ""
    max_output_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class Usage(msgspec.Struct):
    """Tokens and US dollars; `cost_usd` is None when the model has no price."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0

    def add(self, row: Result | Failure, price: Price | None) -> None:
        self.requests += 1
        self.prompt_tokens += row.prompt_tokens
        self.cached_tokens += row.cached_tokens
        self.completion_tokens += row.completion_tokens
        if price is None:
            self.cost_usd = None
        elif self.cost_usd is not None:
            cost = price.cost(row.prompt_tokens, row.cached_tokens, row.completion_tokens)
            self.cost_usd = round(self.cost_usd + cost, 9)


class UsageFile(Usage):
    """`usage.json`: the sum, the same per question type, and how the replies were asked for."""

    per_question_type: dict[str, Usage] = {}
    teacher: str = ""
    output: str = ""
    settings: dict[str, Any] = {}
    price_date: str = ""
    note: str = ""


def read_queries(path: Path) -> list[Query]:
    """The queries of `path`; rows without a query id get one that their content decides.

    Raises DataEngineError for a repeated id.
    """
    queries: list[Query] = read_json(path, list[Query])
    seen: dict[str, int] = {}
    for number, query in enumerate(queries):
        if not query.query_id:
            content = f"{query.image_id}\n{query.question_type}\n{query.prompt}".encode()
            query.query_id = f"r-{hashlib.sha256(content).hexdigest()[:16]}"
        if query.query_id in seen:
            raise DataEngineError(
                f"{path}: rows {seen[query.query_id]} and {number} are one query"
                f" ({query.query_id}); remove one"
            )
        seen[query.query_id] = number
    return queries


class ReplyFiles:
    """The open files of one run; `results` and `failures` hold what is known by query id.

    Only one run at a time may write beside the same output; a second one waits a little, then gives up.
    """

    def __init__(self, output: Path, teacher: str, settings: dict[str, Any], max_output_tokens: int) -> None:
        self.output = output
        self.failed, self.log, self.usage = (
            output.with_name(name) for name in ("gptvqa_failed.jsonl", "gptvqa_log.jsonl", "usage.json")
        )
        self.aside = output.with_name(f"{output.stem}.kept_aside.jsonl")
        self.teacher, self.settings, self.max_output_tokens = teacher, settings, max_output_tokens
        self.results: dict[str, Result] = {}
        self.failures: dict[str, Failure] = {}
        self.notes: list[str] = []
        self._handles: list[IO[bytes]] = []
        self._synced = 0.0

    def open(self, queries: list[Query]) -> None:
        """Read what earlier runs got, keep rows that do not belong here aside, and get ready to append."""
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            self._handles = [self.log.open("ab")]
        except OSError as error:
            raise DataEngineError(
                f"{self.log}: cannot be written ({error.strerror}); choose a folder you may write to"
            ) from error
        _lock(self._handles[0], self.output)
        ids, foreign = {query.query_id for query in queries}, list[Result]()
        same_settings = self._same_settings()
        row: Result
        for row in read_jsonl(self.output, Result, torn_tail=True) if self.output.exists() else []:
            mine = row.query_id in ids and row.model in ("", self.teacher) and same_settings
            if mine:
                self.results[row.query_id] = row
            else:
                foreign.append(row)
        self._keep_aside(foreign)
        open_ids = ids - self.results.keys()
        failure: Failure
        for failure in read_jsonl(self.failed, Failure, torn_tail=True) if self.failed.exists() else []:
            final: bool = failure.kind != ERROR and failure.max_output_tokens == self.max_output_tokens
            if final and same_settings and failure.model == self.teacher and failure.query_id in open_ids:
                self.failures[failure.query_id] = failure
        # Whole rows only: a line that a kill left torn must not run into the next one.
        write_jsonl(self.output, self.results.values())
        write_jsonl(self.failed, self.failures.values())
        self._handles += [self.output.open("ab"), self.failed.open("ab")]

    def add(self, row: Result | Failure, **log: Any) -> None:
        """Keep a reply or a failure: safe from a killed run at once, from a power cut within SYNC_EVERY."""
        if isinstance(row, Result):
            self.results[row.query_id] = row
        else:
            self.failures[row.query_id] = row
        handle = self._handles[1 if isinstance(row, Result) else 2]
        handle.write(msgspec.json.encode(row) + b"\n")
        handle.flush()
        if time.monotonic() > self._synced + SYNC_EVERY:
            for handle in self._handles[1:]:
                os.fsync(handle.fileno())
            self._synced = time.monotonic()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._handles[0].write(msgspec.json.encode({"query_id": row.query_id, "time": now, **log}) + b"\n")

    def finish(self, queries: list[Query]) -> None:
        """Put results and failures in the order of the queries: same bytes however the replies came in."""
        for handle in self._handles[1:]:
            handle.close()
        write_jsonl(self.output, in_order(self.results, queries))
        write_jsonl(self.failed, in_order(self.failures, queries))

    def close(self) -> None:
        for handle in self._handles:
            handle.close()

    def write_usage(self, price: Price | None, price_date: str, note: str) -> UsageFile:
        """Write `usage.json`: every reply that was paid for, of this run and of those before it."""
        usage = UsageFile(
            teacher=self.teacher,
            output=self.output.name,
            settings=self.settings,
            price_date=price_date,
            note=note,
        )
        paid: list[Result | Failure] = [*self.results.values()]
        paid += [row for row in self.failures.values() if row.kind != ERROR]
        for row in sorted(paid, key=lambda row: (row.question_type, row.query_id)):
            usage.add(row, price)
            usage.per_question_type.setdefault(row.question_type, Usage()).add(row, price)
        if price is None:
            usage.cost_usd = None
        write_json(self.usage, usage)
        return usage

    def _same_settings(self) -> bool:
        if not self.usage.exists():
            return True
        before: UsageFile = read_json(self.usage, UsageFile)
        return before.output != self.output.name or before.settings == self.settings

    def _keep_aside(self, rows: list[Result]) -> None:
        if not rows:
            return
        before: list[Result] = read_jsonl(self.aside, Result) if self.aside.exists() else []
        write_jsonl(self.aside, [*before, *(row for row in rows if row not in before)])
        self.notes.append(
            f"{self.output}: {len(rows)} rows of other queries, another teacher or other settings were moved"
            f" to {self.aside.name}"
        )


def in_order(rows: dict[str, Any], queries: Iterable[Query]) -> list[Any]:
    """The rows in the order of their queries."""
    return [rows[query.query_id] for query in queries if query.query_id in rows]


def _lock(handle: IO[bytes], output: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise DataEngineError(f"{output}: another run is writing it; wait or stop it") from error
            time.sleep(0.2)
