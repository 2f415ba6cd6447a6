"""Steps 1 and 4: what a student or a reader behind a server has replied, kept on the disk: nothing is paid for twice."""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import Reply
from dataengine_lib.chat.usage import StudentUsage
from dataengine_lib.core.append_file import AppendFile


class LedgerRow(msgspec.Struct):
    """A reply that was paid for; `key` is the SHA-256 of all that the request asked, `structured` as in Reply.

    `asked` is the name by which the model was asked for, and is priced; `model` what the server calls it.
    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`. A row with `lost_usd` is no reply: so much a
    try that ended without an answer may have cost.
    """

    key: str
    model: str = ""
    text: str = ""
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    structured: bool = False
    cache_write_tokens: int = 0
    asked: str = ""  # empty in ledgers of before
    lost_usd: float = 0.0

    @classmethod
    def of(cls, key: str, reply: Reply, model: str) -> "LedgerRow":
        """The row of a reply; `model` is the name it was asked by, for servers that give none."""
        return cls(
            key=key,
            model=reply.model or model,
            text=reply.text,
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            cached_tokens=reply.cached_tokens,
            completion_tokens=reply.completion_tokens,
            structured=reply.structured,
            cache_write_tokens=reply.cache_write_tokens,
            asked=model,
        )


def usage_of(rows: Collection[LedgerRow], price: Price | None) -> StudentUsage:
    """What `rows` took together; US dollars where there is a price."""
    prompt, cached = sum(row.prompt_tokens for row in rows), sum(row.cached_tokens for row in rows)
    written = sum(row.completion_tokens for row in rows)
    stored = sum(row.cache_write_tokens for row in rows)
    cost = None if price is None else round(price.cost(prompt, cached, written, stored), 6)
    return StudentUsage(len(rows), prompt, cached, written, cost)


class Ledger:
    """All replies to a student's or reader's requests in an append-only JSONL file; `rows` by their keys.

    `spent` is what all of them cost, whoever paid, by `cost`: US dollars of a row. Without that it stays 0. What tries
    without an answer may have cost is in it.
    """

    def __init__(self, file: Path, cost: Callable[[LedgerRow], float] | None = None) -> None:
        self.file = file
        self.rows: dict[str, LedgerRow] = {}
        self.spent = 0.0
        self._cost = cost
        self._end = 0  # of what has been read, in bytes

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the file against other runs, whose end is waited for; what they wrote is read.

        Raises DataEngineError when the file cannot be written or a line is no row.
        """
        self._stream = AppendFile(self.file, self.file, patience=math.inf)
        try:
            for row in self._stream.rows(msgspec.json.Decoder(LedgerRow).decode, self._end):
                self._take(row)
            try:
                yield
            finally:
                self._end = self._stream.end()
        finally:
            self._stream.close()

    def add(self, row: LedgerRow) -> None:
        """Keep a reply."""
        self._stream.add(row)
        self._take(row)

    def lost(self, key: str, usd: float) -> None:
        """A try of the request ended without an answer and may have cost `usd`."""
        self.add(LedgerRow(key, lost_usd=usd))

    def _take(self, row: LedgerRow) -> None:
        if row.lost_usd:
            self.spent += row.lost_usd
            return
        self.rows[row.key] = row
        self.spent += self._cost(row) if self._cost else 0.0
