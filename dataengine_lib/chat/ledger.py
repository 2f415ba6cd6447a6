"""Steps 0, 1, 3 and 4: the ledger, an append-only record of every reply that was paid for, so that none is paid twice."""

import datetime
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import msgspec

from dataengine_lib.chat.reply import Reply, is_no_answer, reply_end
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

    `most_usd` is the most that a reply without token counts may have cost; its `usd` is unknown. `top_logprobs` are the
    most probable first tokens with their log-probabilities, where they were asked for. `prompt_logprobs` are those of the
    prompt's last tokens, of an option that was scored behind the question.

    Five kinds of rows are no replies: `finished` (a time) says that a run had sent every request by then,
    `lost_usd` what requests for `key` that got no reply may have cost (the server may bill them), and `question_type`
    is what the teacher of step 0 answered about one question. `reserved` is the key of a request that is about to be
    sent and may cost up to `most_usd`; the next reply or `lost_usd` for that key takes its place, and so does
    `released` with the key, of a request that is not billed.
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
    reserved: str = ""
    released: str = ""
    most_usd: float = 0.0
    top_logprobs: list[tuple[str, float]] = []
    prompt_logprobs: list[tuple[str, float]] = []


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
        if not request_fields.get("most_usd"):  # of a float msgspec omits only the default object itself
            request_fields.pop("most_usd", None)
        fields = msgspec.structs.asdict(reply)
        # The tier that served the request decides the price, whichever was asked for; batches have their own.
        served = fields.pop("service_tier")
        if served and request_fields.get("tier") != "batch":
            request_fields["tier"] = "" if served in ("auto", "default") else served
        return cls(key=key, **fields, **request_fields)


class PaidTotal(msgspec.Struct):
    """All replies to one request: the text of the last usable one, else of the last; the tokens and US dollars of all.

    `max_output_tokens` is the highest output limit that it was sent with. `cost_usd` is None when the price of one of
    the replies is unknown, and `most_usd` the most that those without token counts may have cost. `closed`: the run
    that received the last one had sent all its requests and ended.
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
    most_usd: float = 0.0
    closed: bool = False
    problem: str = ""
    top_logprobs: list[tuple[str, float]] = []
    prompt_logprobs: list[tuple[str, float]] = []

    @property
    def failed(self) -> bool:
        """Whether no reply is an answer of the model at all."""
        return is_no_answer(self.finish_reason, self.top_logprobs or self.prompt_logprobs)

    def add(self, row: PaidReply, usd: float | None) -> None:
        """Count one more reply that cost `usd`."""
        # Versions before this one wrote the server's own finish reason, and `stop` for an empty reply.
        end = reply_end(row.finish_reason, row.text)
        if not self.replies or end == "stop" or self.finish_reason != "stop":
            self.text, self.finish_reason, self.structured = row.text, end, row.structured
            self.problem = row.problem
            self.top_logprobs, self.prompt_logprobs = row.top_logprobs, row.prompt_logprobs
        self.max_output_tokens = max(self.max_output_tokens, row.max_output_tokens)
        self.request_id, self.closed = row.request_id, False
        self.replies += 1
        self.most_usd += row.most_usd
        self.prompt_tokens += row.prompt_tokens
        self.cached_tokens += row.cached_tokens
        self.cache_write_tokens += row.cache_write_tokens
        self.completion_tokens += row.completion_tokens
        self.cost_usd = None if usd is None or self.cost_usd is None else self.cost_usd + usd


class StudentUsage(msgspec.Struct, frozen=True):
    """What the answers of a student, a reader or a teacher of causes took; `cost_usd` is None where a price is unknown.

    Every reply counts once, whichever run paid for it; requests that failed are not included.
    """

    replies: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_usd: float | None = None


class Ledger:
    """Every reply that was paid for, in an append-only JSONL file, and the sum of what they cost.

    `price` gives the US dollars of a row that has none yet, by today's prices, or None. `paid` holds the replies by
    request key, `question_types` the answers of step 0 by theirs. `cost_usd` is what all replies cost, `lost_usd` what
    requests without a reply, or without token counts in it, may have cost, and `reserved_usd` the most that requests
    may cost whose end is not in the file: those under way, and those of a run that was killed.

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
        self.cost_usd = self.lost_usd = self.reserved_usd = 0.0
        # By request key, oldest first: equal requests of step 0 may be under way at the same time, and those of a run
        # that was killed stay when the request is sent once more.
        self._reservations: dict[str, list[float]] = {}
        self._price, self._output = price, output or file
        # None stands for the patience of AppendFile, some seconds.
        self._patience = math.inf if waits else None
        self._end, self._last_text = 0, ""  # bytes that have been read; the reply that types of step 0 follow
        self._stream: AppendFile | None = None

    @property
    def spent_usd(self) -> float:
        """US dollars to count against a budget: of all replies, and the most that other requests may be billed."""
        return self.cost_usd + self.lost_usd + self.reserved_usd

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
            row.usd = self._usd(row)
        # Written first: when the disk is full, nothing counts that the file does not hold.
        self._write(row)
        self._count(row)

    def add_lost(self, key: str, usd: float) -> None:
        """Requests for `key` ended without a reply and may have cost up to `usd`."""
        self.add(LedgerRow(key=key, lost_usd=usd))

    def reserve(self, key: str, usd: float) -> None:
        """A request for `key` is about to be sent and may cost up to `usd`: also if this run is killed meanwhile."""
        self._write(row := PaidReply(reserved=key, most_usd=usd))
        self._count(row)

    def release(self, key: str) -> None:
        """A request for `key` was not sent, or the server refused it: it is not billed."""
        self._write(row := PaidReply(released=key))
        self._count(row)

    def reservation(self, key: str) -> float:
        """US dollars of the newest request for `key` whose end is not in the file, else 0."""
        return self._reservations.get(key, [0.0])[-1]

    def add_finished(self) -> None:
        """All requests were sent: the next run may send those again whose replies were not usable."""
        self._write({"finished": _now()})

    def _write(self, row: Any) -> None:
        assert self._stream is not None, "the ledger is not open"
        self._stream.add(row)

    def _usd(self, row: PaidReply) -> float | None:
        # Without token counts its price would be 0.
        return None if row.most_usd else self._price(row)

    def _end_reservation(self, key: str) -> None:
        open_ones = self._reservations.get(key)
        if open_ones:
            usd = open_ones.pop()
            if not open_ones:
                del self._reservations[key]
            # exactly 0 when nothing is reserved: differences of floats would leave a remainder
            self.reserved_usd = self.reserved_usd - usd if self._reservations else 0.0

    def _count(self, row: PaidReply) -> None:
        # The kind of a row shows in the field that only this kind has, see PaidReply.
        if row.reserved:
            self._reservations.setdefault(row.reserved, []).append(row.most_usd)
            self.reserved_usd += row.most_usd
            return
        if not row.question_type:
            self._end_reservation(row.released or row.key)
        if row.released:
            pass
        elif row.finished:
            # Only replies before this row: one that comes later clears `closed`, see PaidTotal.add.
            for total in self.paid.values():
                total.closed = True
        elif row.lost_usd:
            self.lost_usd += row.lost_usd
        elif row.question_type:
            # Versions before this one read types from a reply's thoughts too; its answer does not name those.
            answer = _answer_behind_thoughts(self._last_text)
            if answer is None or underscored(row.question_type) in answer:
                self.question_types[row.key] = row.question_type
            # Versions before this one wrote a reply's price into the first of its answers.
            self.cost_usd += row.usd or 0.0
        else:
            usd = self._usd(row) if row.usd is None else row.usd
            self.paid.setdefault(row.key, PaidTotal()).add(row, usd)
            self._last_text = row.text
            self.cost_usd += usd or 0.0
            self.lost_usd += row.most_usd


@lru_cache(maxsize=1)  # one reply holds the types of many questions
def _answer_behind_thoughts(text: str) -> str | None:
    """What a reply says behind its thoughts, as `underscored`; None for one without thoughts."""
    answer = after_reasoning(text)[0]
    return None if answer == text else underscored(answer)


# Of PaidReply, not of LedgerRow: the long fields, request and usage, are skipped instead of built.
_DECODER = msgspec.json.Decoder(PaidReply)


def _decode(line: bytes) -> PaidReply:
    row = _DECODER.decode(line)
    # Earlier versions of step 0 wrote the price of a reply without any type as a row without a key.
    if not (row.key or row.finished or row.usd or row.reserved or row.released):
        raise msgspec.ValidationError("Object missing required field `key`")
    return row


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
