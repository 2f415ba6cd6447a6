"""Step 3: results, failures and usage on disk, made from the ledger: a killed run loses none of its replies."""

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import msgspec

from dataengine_lib.chat.ledger import Ledger, PaidReply, PaidTotal
from dataengine_lib.chat.prices import Price
from dataengine_lib.core.files import read_jsonl, write_json, write_jsonl
from dataengine_lib.core.records import Query, Result
from dataengine_lib.replies.json_reply import as_text

LEDGER = "gptvqa_ledger.jsonl"
ERROR = "error"  # the one kind of failure that was not paid for
LONGER = 2  # times the output limit, for the one more request after a reply that was cut off
_UNUSABLE = {
    "length": "cut off at {room} tokens; raise max_output_tokens and run again",
    "refusal": "the teacher refused",
    "content_filter": "stopped by the teacher's content filter",
    "empty": "the reply is empty",
}


class Failure(msgspec.Struct, kw_only=True):
    """A row of `gptvqa_failed.jsonl`: a query without a usable reply, asked again by the next run.

    `kind` is `error` (no reply) or why a reply that was paid for is unusable: `length`, `refusal`,
    `content_filter`, `empty`; `max_output_tokens` is the most room that it had.
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
    request_key: str = ""


class Usage(msgspec.Struct):
    """Replies that were paid for, their tokens and US dollars; `cost_usd` is None when the model has no price."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0

    def add(self, paid: PaidTotal) -> None:
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
    """`usage.json`: the sum, the same per question type, and how the replies were asked for.

    `other` counts replies in the ledger to other queries, or asked for in another way, than those of this output.
    """

    per_question_type: dict[str, Usage] = {}
    other: Usage = msgspec.field(default_factory=Usage)
    teacher: str = ""
    output: str = ""
    settings: dict[str, Any] = {}
    price_date: str = ""
    note: str = ""


class ReplyFiles:
    """The files of one output while a run works on them; `results` and `failures` are known by query id.

    `keys` holds each query's request key, `room` is the output limit. Only one run at a time may work on an output.
    """

    def __init__(
        self,
        output: Path,
        teacher: str,
        price: Price | None,
        queries: list[Query],
        keys: dict[str, str],
        room: int,
    ) -> None:
        self.output, self.teacher, self.queries, self.keys = output, teacher, queries, keys
        self.failed, self.usage = (output.with_name(name) for name in ("gptvqa_failed.jsonl", "usage.json"))
        self.aside = output.with_name(f"{output.stem}.kept_aside.jsonl")
        self.results: dict[str, Result] = {}
        self.failures: dict[str, Failure] = {}
        self.notes: list[str] = []
        self._same: dict[str, list[Query]] = {}
        for query in queries:
            self._same.setdefault(keys[query.query_id], []).append(query)
        self.price = price
        self.ledger = Ledger(output.with_name(LEDGER), self._price, output=output)
        self._handle: IO[bytes] | None = None
        self.ledger.open()
        try:
            self._keep_aside()
            for query in queries:
                paid = self.ledger.paid.get(keys[query.query_id])
                if paid is None:
                    continue
                row = self.outcome(query)
                if isinstance(row, Result):
                    self.results[query.query_id] = row
                elif not paid.closed and not (row.kind == "length" and paid.room < LONGER * room):
                    # of a run that was cut short: it goes on, and pays for nothing twice
                    self.failures[query.query_id] = row
            write_jsonl(output, in_order(self.results, queries))
            self._handle = output.open("ab")
        except BaseException:
            self.close()
            raise

    def pending(self) -> list[Query]:
        """The queries that are to be asked, in their order; of those that ask the very same, the first alone."""
        known = self.results.keys() | self.failures.keys()
        return [same[0] for same in self._same.values() if same[0].query_id not in known]

    def settle(self, query: Query) -> None:
        """The query's last reply is the one that counts, for all that ask the same."""
        for one in self._same[self.keys[query.query_id]]:
            row = self.outcome(one)
            if isinstance(row, Failure):
                self.failures[one.query_id] = row
                continue
            self.results[one.query_id] = row
            self.failures.pop(one.query_id, None)
            if self._handle is not None:
                self._handle.write(msgspec.json.encode(row) + b"\n")
                self._handle.flush()

    def settle_if_paid(self, query: Query) -> None:
        """A reply that was kept and waited for another one, which did not come, is the one that counts."""
        if self.keys[query.query_id] in self.ledger.paid:
            self.settle(query)

    def give_up(self, query: Query, reason: str) -> None:
        """The query got no reply, nor did those that ask the same."""
        key = self.keys[query.query_id]
        paid = self.ledger.paid.get(key, PaidTotal())  # for a reply that was cut off
        for one in self._same[key]:
            self.failures[one.query_id] = Failure(
                query_id=one.query_id,
                image_id=one.image_id,
                question_type=one.question_type,
                kind=ERROR,
                reason=reason,
                model=self.teacher,
                max_output_tokens=paid.room,
                prompt_tokens=paid.prompt_tokens,
                cached_tokens=paid.cached_tokens,
                completion_tokens=paid.completion_tokens,
                request_key=key,
            )

    def outcome(self, query: Query) -> Result | Failure:
        """What the ledger holds of a query, as a result, or a failure when it is no use."""
        key = self.keys[query.query_id]
        paid = self.ledger.paid[key]
        text = as_text(paid.text)
        kind = paid.finish_reason if paid.finish_reason in _UNUSABLE else "" if text.strip() else "empty"
        # The teacher's asked-for name, not the one it answers with: servers change that between two runs.
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
            reason = _UNUSABLE[kind].format(room=paid.room)
            return Failure(kind=kind, reason=reason, max_output_tokens=paid.room, **shared)
        return Result(
            image_path=query.image_path,
            finish_reason=paid.finish_reason,
            template=query.template,
            prompt_sha256=query.prompt_sha256,
            example_ids=query.example_ids,
            round=query.round,
            reply_json=paid.text if text != paid.text else "",
            **shared,
        )

    def finish(self) -> None:
        """Put results and failures in the order of the queries: same bytes however the replies came in."""
        if self._handle is not None:
            self._handle.close()
        write_jsonl(self.output, in_order(self.results, self.queries))
        write_jsonl(self.failed, in_order(self.failures, self.queries))
        if len(self.results) + len(self.failures) == len(self.queries):
            self.ledger.add_finished()

    def close(self) -> None:
        """Let other runs have the files."""
        if self._handle is not None:
            self._handle.close()
        self.ledger.close()

    def _price(self, row: PaidReply) -> float | None:
        """What a row without a price costs: rows of other teachers may cost anything."""
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
        mine = set()
        for query in sorted(self.queries, key=lambda query: (query.question_type, query.query_id)):
            key = self.keys[query.query_id]
            if (paid := self.ledger.paid.get(key)) is not None and key not in mine:
                mine.add(key)
                usage.add(paid)
                usage.per_question_type.setdefault(query.question_type, Usage()).add(paid)
        for key, paid in sorted(self.ledger.paid.items()):
            if key not in mine:
                usage.other.add(paid)
        write_json(self.usage, usage)
        return usage

    def _keep_aside(self) -> None:
        """Move rows of `output` that the ledger does not know, such as those of another program, beside it."""
        rows: list[Result] = read_jsonl(self.output, Result, torn_tail=True) if self.output.exists() else []
        foreign = [row for row in rows if row.request_key not in self.ledger.paid]
        if not foreign:
            return
        before: list[Result] = read_jsonl(self.aside, Result) if self.aside.exists() else []
        known = set(map(msgspec.json.encode, before))
        write_jsonl(self.aside, [*before, *(row for row in foreign if msgspec.json.encode(row) not in known)])
        self.notes.append(
            f"{self.output}: {len(foreign)} rows that {self.ledger.file.name} does not know were moved"
            f" to {self.aside.name}"
        )


def in_order(rows: dict[str, Any], queries: Iterable[Query]) -> list[Any]:
    """The rows in the order of their queries."""
    return [rows[query.query_id] for query in queries if query.query_id in rows]
