"""Steps 0, 1, 3 and 4: the ledger, an append-only record of every reply that was paid for, so that none is paid twice."""

import datetime
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Self

import msgspec

from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import Reply, reply_end
from dataengine_lib.core.append_file import AppendFile
from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.text import underscored


class PaidReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The part of a LedgerRow that is read back; the rest, most of a row's bytes, is for people and for `replay:FILE`.

    `key` is the SHA-256 of the request. `teacher` is the model's recorded name (steps 0 and 3), `asked` the name by
    which a student or a reader was requested and is priced (steps 1 and 4), `model` what the server calls it.
    `max_output_tokens` is the output limit of the request (`room` in the file), `tier` its service tier or `batch`.
    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`. `usd` is the price on the day of the reply;
    None where no price was known, and in files of versions that wrote none. `problem` says why a reply is no answer.

    Three kinds of rows are no replies: `finished` (a time) says that a run had sent every request by then,
    `lost_usd` what requests for `key` that got no reply may have cost (the server may bill them), and `question_type`
    is what the teacher of step 0 answered about one question.
    """

    key: str = ""
    teacher: str = ""
    asked: str = ""
    text: str = ""
    finish_reason: str = "stop"
    structured: bool = False
    model: str = ""
    request_id: str = ""
    max_output_tokens: int = msgspec.field(default=0, name="room")
    tier: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    finished: str = ""
    lost_usd: float = 0.0
    question_type: str = ""
    problem: str = ""


class LedgerRow(PaidReply, kw_only=True, omit_defaults=True):
    """A row as it is written: with the time, the canonical request, the attempts, and the server's own token counts."""

    finish_reason: str = ""  # not `stop`, which would be left out of the rows of replies
    time: str = ""
    query_id: str = ""
    request: dict[str, Any] = {}
    attempts: int = 1
    seconds: float = 0.0
    usage: dict[str, Any] = {}

    @classmethod
    def of(cls, key: str, reply: Reply, **request_fields: Any) -> Self:
        """The row of a reply; `request_fields` are the fields that say how it was requested."""
        return cls(key=key, **msgspec.structs.asdict(reply), **request_fields)


class PaidTotal(msgspec.Struct):
    """All replies to one request: the text of the last usable one, else of the last; the tokens and US dollars of all.

    `max_output_tokens` is the highest output limit that it was sent with. `cost_usd` is None when the price of one of
    the replies is unknown. `closed`: the run that received the last one had sent all its requests and ended.
    """

    text: str = ""
    finish_reason: str = ""
    structured: bool = False
    request_id: str = ""
    max_output_tokens: int = 0
    replies: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    closed: bool = False
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether no reply is an answer of the model at all: each is empty, or ended by an error."""
        return self.finish_reason in ("empty", "error")

    def add(self, row: PaidReply, usd: float | None) -> None:
        """Count one more reply that cost `usd`."""
        # Versions before this one wrote the server's own finish reason, and `stop` for an empty reply.
        end = reply_end(row.finish_reason, row.text)
        if not self.replies or end == "stop" or self.finish_reason != "stop":
            self.text, self.finish_reason, self.structured = row.text, end, row.structured
            self.problem = row.problem
        self.max_output_tokens = max(self.max_output_tokens, row.max_output_tokens)
        self.request_id, self.closed = row.request_id, False
        self.replies += 1
        self.prompt_tokens += row.prompt_tokens
        self.cached_tokens += row.cached_tokens
        self.cache_write_tokens += row.cache_write_tokens
        self.completion_tokens += row.completion_tokens
        self.cost_usd = None if usd is None or self.cost_usd is None else self.cost_usd + usd


class StudentUsage(msgspec.Struct, frozen=True):
    """What the answers of a student or reader behind a server took; `cost_usd` is None where a price is unknown.

    Every reply counts once, whichever run paid for it; requests that failed are not included.
    """

    replies: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_usd: float | None = None


def usage_of(totals: Collection[PaidTotal], price: Price | None) -> StudentUsage:
    """What `totals` took together; without any, US dollars only where there is a `price`."""
    costs = [total.cost_usd for total in totals]
    known = [cost for cost in costs if cost is not None]
    unknown = len(known) < len(costs) or (price is None and not costs)
    # fsum is exact, so the sum does not depend on the order in which the replies came
    return StudentUsage(
        sum(total.replies for total in totals),
        sum(total.prompt_tokens for total in totals),
        sum(total.cached_tokens for total in totals),
        sum(total.completion_tokens for total in totals),
        None if unknown else round(math.fsum(known), 6),
    )


class Ledger:
    """Every reply that was paid for, in an append-only JSONL file, and the sum of what they cost.

    `price` gives the US dollars of a row that has none yet, by today's prices, or None. `paid` holds the replies by
    request key, `question_types` the answers of step 0 by theirs. `cost_usd` is what all replies cost, `lost_usd` what
    requests without a reply may have cost.

    `with ledger:` holds the file against other runs and reads what they wrote in the meantime. While another run holds
    it, a ledger that `waits` does so too, others fail after a moment, naming `output`.
    """

    def __init__(
        self,
        file: Path,
        price: Callable[[PaidReply], float | None] = lambda row: None,
        *,
        output: Path | None = None,
        waits: bool = False,
    ) -> None:
        self.file = file
        self.paid: dict[str, PaidTotal] = {}
        self.question_types: dict[str, str] = {}
        self.cost_usd = self.lost_usd = 0.0
        self._price, self._output = price, output or file
        # None stands for the patience of AppendFile, some seconds.
        self._patience = math.inf if waits else None
        self._end = 0  # bytes that have been read
        # What the last reply says behind its thoughts, None for one without thoughts; types of step 0 follow it.
        self._answer: str | None = None
        self._stream: AppendFile | None = None

    @property
    def spent_usd(self) -> float:
        """US dollars to count against a budget: of all replies, and of requests that may be billed without one."""
        return self.cost_usd + self.lost_usd

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *error: object) -> None:
        self.close()

    def open(self) -> Self:
        """Take the file and read the rows that are new; `close` gives it back.

        Raises DataEngineError when it cannot be written, another run has it, or a line is not a row.
        """
        self._stream = AppendFile(self.file, self._output, self._patience)
        try:
            # The file may have grown since the last `close`: other runs share it.
            for row in self._stream.rows(_decode, self._end):
                self._count(row)
        except BaseException:
            self._stream.close()
            self._stream = None
            raise
        return self

    def close(self) -> None:
        """Push all rows to the disk and let other runs have the file."""
        if self._stream is not None:
            try:
                # Rows up to here are known; the next `open` reads what other runs append behind them.
                self._end = self._stream.end()
            finally:
                self._stream.close()
                self._stream = None

    def add(self, row: LedgerRow) -> None:
        """Write a row, with its time and price, before anything else is done with the reply."""
        row.time = _now()
        # Only replies have a price: a lost request has its own field, an answer of step 0 is part of a reply.
        if row.usd is None and not (row.lost_usd or row.question_type):
            row.usd = self._price(row)
        # Written first: when the disk is full, nothing counts that the file does not hold.
        self._write(row)
        self._count(row)

    def add_lost(self, key: str, usd: float) -> None:
        """Requests for `key` ended without a reply and may have cost up to `usd`."""
        self.add(LedgerRow(key=key, lost_usd=usd))

    def add_finished(self) -> None:
        """All requests were sent: the next run may send those again whose replies were not usable."""
        self._write({"finished": _now()})

    def _write(self, row: Any) -> None:
        assert self._stream is not None, "the ledger is not open"
        self._stream.add(row)

    def _count(self, row: PaidReply) -> None:
        # The kind of a row shows in the field that only this kind has, see PaidReply.
        if row.finished:
            # Only replies before this row: one that comes later clears `closed` of its request, see
            # PaidTotal.add.
            for total in self.paid.values():
                total.closed = True
        elif row.lost_usd:
            self.lost_usd += row.lost_usd
        elif row.question_type:
            # Versions before this one read types from a reply's thoughts too; its answer does not name those.
            if self._answer is None or underscored(row.question_type) in self._answer:
                self.question_types[row.key] = row.question_type
            self.cost_usd += (
                row.usd or 0.0
            )  # earlier versions wrote a reply's price into the first of its answers
        else:
            usd = self._price(row) if row.usd is None else row.usd
            self.paid.setdefault(row.key, PaidTotal()).add(row, usd)
            answer = after_reasoning(row.text)[0]
            self._answer = None if answer == row.text else underscored(answer)
            self.cost_usd += usd or 0.0


# Of PaidReply, not of LedgerRow: the long fields, request and usage, are skipped instead of built.
_DECODER = msgspec.json.Decoder(PaidReply)


def _decode(line: bytes) -> PaidReply:
    row = _DECODER.decode(line)
    # Earlier versions of step 0 wrote the price of a reply without any type as a row without a key.
    if not (row.key or row.finished or row.usd):
        raise msgspec.ValidationError("Object missing required field `key`")
    return row


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
