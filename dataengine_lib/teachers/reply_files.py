"""Step 3: the files of results, failures and usage, made from the ledger: a killed run loses none of its replies."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from dataengine_lib.chat.ledger import Ledger, PaidReply, PaidTotal
from dataengine_lib.chat.prices import Price
from dataengine_lib.core.files import read_jsonl, write_json, write_jsonl
from dataengine_lib.core.records import ImageId, QaForm, Query, Result
from dataengine_lib.replies.qa_json import v1_text

LEDGER = "gptvqa_ledger.jsonl"
_ERROR = "error"  # the kind of failure without a reply, or with one that ended by an error
LONGER = 2  # times the output limit, for the one more request after a reply that was cut off
# finish reasons of replies that cannot be used, and what a failure says about them
_UNUSABLE = {
    "length": "cut off at {limit} tokens; raise max_output_tokens and run again",
    "refusal": "the teacher refused",
    "content_filter": "stopped by the teacher's content filter",
    "empty": "the reply is empty",
    _ERROR: "the reply ended by an error",
}


class Failure(msgspec.Struct, kw_only=True):
    """A row of `gptvqa_failed.jsonl`: a query without a usable reply, which the next run sends again.

    `kind` is `error` (no reply, or one that ended by an error) or why a reply that was paid for is unusable: `length`,
    `refusal`, `content_filter`, `empty`. `max_output_tokens` is the highest output limit that it was requested with.
    """

    query_id: str
    image_id: ImageId
    question_type: str
    kind: str
    reason: str
    raw_instructions: str = ""
    model: str = ""
    max_output_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    request_key: str = ""


class Usage(msgspec.Struct):
    """Replies that were paid for, their tokens and US dollars; `cost_usd` is None where a price is unknown."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0

    def add(self, paid: PaidTotal) -> None:
        """Count all replies to one request."""
        self.requests += paid.replies
        self.prompt_tokens += paid.prompt_tokens
        self.cached_tokens += paid.cached_tokens
        self.cache_write_tokens += paid.cache_write_tokens
        self.completion_tokens += paid.completion_tokens
        if paid.cost_usd is None:
            self.cost_usd = None
        elif self.cost_usd is not None:
            self.cost_usd = round(self.cost_usd + paid.cost_usd, 9)


class UsageFile(Usage):
    """`usage.json`: the sum, the same per question type, and the settings of the requests.

    `other` counts the ledger's replies to other requests than those of this output. `most_unknown_usd` is the most that
    all replies without token counts may have cost; their real price is unknown.
    """

    per_question_type: dict[str, Usage] = {}
    other: Usage = msgspec.field(default_factory=Usage)
    most_unknown_usd: float = 0.0
    teacher: str = ""
    output: str = ""
    settings: dict[str, Any] = {}
    price_date: str = ""
    note: str = ""


class ReplyFiles:
    """The files of one output while a run works on them; `results` and `failures` are by query id.

    `keys` holds each query's request key, by query id, and after them those of spare queries. Only one run at a time may
    work on an output.

    Raises DataEngineError when another run does, or a file cannot be read or written.
    """

    def __init__(
        self,
        output: Path,
        teacher: str,
        price: Price | None,
        queries: list[Query],
        keys: dict[str, str],
        max_output_tokens: int,
    ) -> None:
        self.output, self.teacher, self.queries, self.keys = output, teacher, queries, keys
        self.failed, self.usage = (output.with_name(name) for name in ("gptvqa_failed.jsonl", "usage.json"))
        self._foreign_rows = output.with_name(f"{output.stem}.kept_aside.jsonl")
        self.results: dict[str, Result] = {}
        self.failures: dict[str, Failure] = {}
        self.notes: list[str] = []
        self._by_key: dict[str, list[Query]] = {}  # some queries are the very same request
        for query in queries:
            self._by_key.setdefault(keys[query.query_id], []).append(query)
        self.price, self._max_output_tokens = price, max_output_tokens
        self.ledger = Ledger(output.with_name(LEDGER), self._price, output=output)
        self._handle: IO[bytes] | None = None
        self.ledger.open()
        try:
            # 1. Rows that cannot be made from the ledger are moved aside, since the file is written anew.
            self._move_foreign_rows()
            # 2. Queries with a reply in the ledger become results, or failures that this run does not send
            # again. The others stay pending: the run that got an unusable reply has ended, or the longer
            # request after a reply that was cut off was not sent yet.
            for query in queries:
                row = self._earlier(query)
                if isinstance(row, Result):
                    self.results[query.query_id] = row
                elif row is not None:
                    self.failures[query.query_id] = row
            # 3. The file starts with those results; rows are appended while replies come in.
            write_jsonl(output, in_order(self.results, queries))
            self._handle = output.open("ab")
        except BaseException:
            self.close()
            raise

    def add(self, spares: Sequence[Query]) -> None:
        """Count spare queries among those of the output, with the replies that the ledger has to them.

        One that got no usable reply in a run that has ended stays a failure: another spare takes its place.
        """
        added = {query.query_id: query for query in [*self.queries, *spares]}
        self.queries = [added[query_id] for query_id in self.keys if query_id in added]
        for query in spares:
            self._by_key.setdefault(self.keys[query.query_id], []).append(query)
            row = self._earlier(query)
            if row is None and self.is_paid(query) and self.ledger.paid[self.keys[query.query_id]].closed:
                row = self.outcome(query)
            if row is not None:
                self._keep(row)

    def is_paid(self, query: Query) -> bool:
        """Whether the ledger has a reply to the query, usable or not."""
        return self.keys[query.query_id] in self.ledger.paid

    def pending(self) -> list[Query]:
        """The queries to send, in their order; of those that are the very same request only the first."""
        known = self.results.keys() | self.failures.keys()
        return [first for first, *_ in self._by_key.values() if first.query_id not in known]

    def settle(self, query: Query) -> None:
        """Make a result, or a failure, of the last reply in the ledger, for all queries that are the same request."""
        for one in self._by_key[self.keys[query.query_id]]:
            self._keep(self.outcome(one))

    def settle_if_paid(self, query: Query) -> None:
        """As `settle`, if there is a reply: one that was cut off counts when the longer one did not come."""
        if self.is_paid(query):
            self.settle(query)

    def give_up(self, query: Query, reason: str) -> None:
        """Make a failure of a query without a reply, and of those that are the same request."""
        key = self.keys[query.query_id]
        paid = self.ledger.paid.get(key, PaidTotal())  # of earlier replies that could not be used
        for one in self._by_key[key]:
            self.failures[one.query_id] = Failure(
                query_id=one.query_id,
                image_id=one.image_id,
                question_type=one.question_type,
                kind=_ERROR,
                reason=reason,
                model=self.teacher,
                max_output_tokens=paid.max_output_tokens,
                prompt_tokens=paid.prompt_tokens,
                cached_tokens=paid.cached_tokens,
                completion_tokens=paid.completion_tokens,
                request_key=key,
            )

    def outcome(self, query: Query) -> Result | Failure:
        """The last reply to a query in the ledger, as a result, or as a failure if it cannot be used."""
        key = self.keys[query.query_id]
        paid = self.ledger.paid[key]
        text = v1_text(paid.text, QaForm.of(query))
        kind = paid.finish_reason if paid.finish_reason in _UNUSABLE else ""
        # The name that was requested, not the one in the reply: servers change theirs between two runs.
        shared: dict[str, Any] = {
            "query_id": query.query_id,
            "image_id": query.image_id,
            "question_type": query.question_type,
            "raw_instructions": text,
            "model": self.teacher,
            "prompt_tokens": paid.prompt_tokens,
            "cached_tokens": paid.cached_tokens,
            "completion_tokens": paid.completion_tokens,
            "request_key": key,
        }
        if kind:
            reason = _UNUSABLE[kind].format(limit=paid.max_output_tokens)
            if paid.problem:
                # `cut off` stands in both where thoughts were cut off
                reason = f"{paid.problem}; {reason}" if kind == "length" else paid.problem
            return Failure(kind=kind, reason=reason, max_output_tokens=paid.max_output_tokens, **shared)
        return Result(
            image_path=query.image_path,
            finish_reason=paid.finish_reason,
            template=query.template,
            prompt_sha256=query.prompt_sha256,
            example_ids=query.example_ids,
            round=query.round,
            answer_kind=query.answer_kind,
            n_choices=query.n_choices,
            cause=query.cause,
            reply_json=paid.text if text != paid.text else "",
            **shared,
        )

    def _earlier(self, query: Query) -> Result | Failure | None:
        """The outcome that earlier runs leave a query with; None where this run sends it."""
        paid = self.ledger.paid.get(self.keys[query.query_id])
        if paid is None:
            return None
        row = self.outcome(query)
        if isinstance(row, Result):
            return row
        if paid.failed:
            return None  # no answer of the model at all: it is asked by this run already
        if not paid.closed and not (
            row.kind == "length" and paid.max_output_tokens < LONGER * self._max_output_tokens
        ):
            # The run that received it did not end: this one continues it and sends nothing twice.
            return row
        return None

    def _keep(self, row: Result | Failure) -> None:
        if isinstance(row, Failure):
            self.failures[row.query_id] = row
            return
        self.results[row.query_id] = row
        self.failures.pop(row.query_id, None)
        # At the end for now, so that the file can be read during the run; `finish` puts the rows in order.
        if self._handle is not None:
            self._handle.write(msgspec.json.encode(row) + b"\n")
            self._handle.flush()

    def finish(self) -> None:
        """Write results and failures in the order of the queries: the same bytes in whatever order replies came."""
        if self._handle is not None:
            self._handle.close()
        write_jsonl(self.output, in_order(self.results, self.queries))
        write_jsonl(self.failed, in_order(self.failures, self.queries))
        # Only when no query is left unsent may the next run ask again for replies that were unusable; a run
        # that ended earlier is continued with the rest.
        if len(self.results) + len(self.failures) == len(self.queries):
            self.ledger.add_finished()

    def close(self) -> None:
        """Release the files for other runs."""
        if self._handle is not None:
            self._handle.close()
        self.ledger.close()

    def _price(self, row: PaidReply) -> float | None:
        """What a row without a price costs today; unknown for rows of another teacher."""
        return self.price.of(row, row.tier) if self.price and row.teacher == self.teacher else None

    def write_usage(self, settings: dict[str, Any], price_date: str, note: str) -> UsageFile:
        """Write `usage.json`: every reply that was paid for, of this run and of those before it."""
        usage = UsageFile(
            teacher=self.teacher,
            output=self.output.name,
            settings=settings,
            price_date=price_date,
            note=note,
            cost_usd=None if self.price is None else 0.0,
        )
        own_keys = set()
        # Sorted, so that sums of floats are the same in whatever order the replies came.
        for query in sorted(self.queries, key=lambda query: (query.question_type, query.query_id)):
            key = self.keys[query.query_id]
            # Queries that are the same request share its replies: they count once, under the first query's
            # type.
            if (paid := self.ledger.paid.get(key)) is not None and key not in own_keys:
                own_keys.add(key)
                usage.add(paid)
                usage.per_question_type.setdefault(query.question_type, Usage()).add(paid)
        for key, paid in sorted(self.ledger.paid.items()):
            if key not in own_keys:
                usage.other.add(paid)
        usage.most_unknown_usd = round(math.fsum(paid.most_usd for paid in self.ledger.paid.values()), 9)
        write_json(self.usage, usage)
        return usage

    def _move_foreign_rows(self) -> None:
        """Move rows of `output` whose requests the ledger does not know, such as another program's, beside it."""
        rows: list[Result] = read_jsonl(self.output, Result, torn_tail=True) if self.output.exists() else []
        foreign = [row for row in rows if row.request_key not in self.ledger.paid]
        if not foreign:
            return
        moved: list[Result] = read_jsonl(self._foreign_rows, Result) if self._foreign_rows.exists() else []
        # A run that was killed here has moved rows already and not yet written the output anew.
        known = set(map(msgspec.json.encode, moved))
        write_jsonl(
            self._foreign_rows, [*moved, *(row for row in foreign if msgspec.json.encode(row) not in known)]
        )
        self.notes.append(
            f"{self.output}: {len(foreign)} rows that are not from {self.ledger.file.name} were moved"
            f" to {self._foreign_rows.name}"
        )


def in_order(rows: dict[str, Any], queries: Iterable[Query]) -> list[Any]:
    """The rows in the order of their queries."""
    return [rows[query.query_id] for query in queries if query.query_id in rows]
