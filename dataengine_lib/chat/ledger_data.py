"""Step 3: the ledger, an append-only record of every reply that a teacher gave and was paid for."""

import datetime
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.chat.prices import Price
from dataengine_lib.core.append_file import AppendFile

LEDGER = "gptvqa_ledger.jsonl"


class LedgerRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One paid reply: what was asked (the canonical request, whose SHA-256 is `key`), what came and what it took.

    `room` is the output limit that it was asked with, `tier` the service tier or `batch`, `usd` its price that day.
    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`; `usage` is the server's own words about tokens.
    A row with `finished` alone says that a run had asked everything by then, one with `lost_usd` how much requests
    for `key` that ended without an answer may have cost: the server may have billed them.
    """

    key: str = ""
    query_id: str = ""
    time: str = ""
    teacher: str = ""
    request: dict[str, Any] = {}
    text: str = ""
    finish_reason: str = "stop"
    structured: bool = False
    model: str = ""
    request_id: str = ""
    attempts: int = 1
    seconds: float = 0.0
    room: int = 0
    tier: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    usage: dict[str, Any] = {}
    usd: float | None = None
    finished: str = ""
    lost_usd: float = 0.0


class _Short(msgspec.Struct):
    """What is kept in memory of a row: the request is most of it and is not."""

    key: str = ""
    teacher: str = ""
    text: str = ""
    finish_reason: str = "stop"
    request_id: str = ""
    room: int = 0
    tier: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    finished: str = ""
    lost_usd: float = 0.0


class Paid(msgspec.Struct):
    """All replies to one request so far: the last one's text, the tokens and US dollars of all.

    `cost_usd` is None without a price. `closed`: the run that asked had asked everything and ended.
    """

    text: str = ""
    finish_reason: str = ""
    request_id: str = ""
    room: int = 0
    replies: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    closed: bool = False

    def add(self, row: LedgerRow | _Short, usd: float | None) -> None:
        self.text, self.finish_reason, self.request_id = row.text, row.finish_reason, row.request_id
        self.room, self.closed = max(self.room, row.room), False
        self.replies += 1
        self.prompt_tokens += row.prompt_tokens
        self.cached_tokens += row.cached_tokens
        self.cache_write_tokens += row.cache_write_tokens
        self.completion_tokens += row.completion_tokens
        self.cost_usd = None if usd is None or self.cost_usd is None else self.cost_usd + usd


class Ledger:
    """The ledger beside `output`, held against other runs; `paid` is what it says by key.

    A row keeps the price of its day; `price` is for those of `teacher` that have none.

    Raises DataEngineError when it cannot be written, another run has it, or a line is no row.
    """

    def __init__(self, output: Path, teacher: str, price: Price | None) -> None:
        self.file, self.teacher, self.price = output.with_name(LEDGER), teacher, price
        self.paid: dict[str, Paid] = {}
        self.spent = 0.0  # US dollars of all replies
        self.lost_usd = 0.0  # that requests without an answer may have cost
        self._rows = AppendFile(self.file, output)
        try:
            for row in self._rows.rows(msgspec.json.Decoder(_Short).decode):
                if row.finished:
                    for paid in self.paid.values():
                        paid.closed = True
                elif row.lost_usd:
                    self.lost_usd += row.lost_usd
                else:
                    self._count(row)
        except BaseException:
            self.close()
            raise

    def add(self, row: LedgerRow) -> None:
        """Keep a reply before anything else is done with it."""
        row.time, row.usd = _now(), self._usd(row)
        self._rows.add(row)
        self._count(row)

    def lost(self, key: str, usd: float) -> None:
        """Requests for `key` ended without an answer and may have cost up to `usd`."""
        self._rows.add({"key": key, "time": _now(), "lost_usd": usd})
        self.lost_usd += usd

    def finished(self) -> None:
        """Everything was asked: a next run may ask again what was of no use."""
        self._rows.add({"finished": _now()})

    def close(self) -> None:
        """Push to the disk and let others have the file."""
        self._rows.close()

    def _count(self, row: LedgerRow | _Short) -> None:
        usd = self._usd(row)
        self.paid.setdefault(row.key, Paid()).add(row, usd)
        self.spent += usd or 0.0

    def _usd(self, row: LedgerRow | _Short) -> float | None:
        if row.usd is not None or self.price is None or row.teacher != self.teacher:
            return row.usd
        return self.price.of(row, row.tier)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
