"""Step 1: what a student behind a server has replied, kept on the disk: nothing is paid for twice."""

import fcntl
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from dataengine_lib.data.files import append_jsonl
from dataengine_lib.errors import DataEngineError

log = logging.getLogger(__name__)


class LedgerRow(msgspec.Struct):
    """A reply that was paid for; `key` is the SHA-256 of all that the request asked, `structured` as in Reply."""

    key: str
    model: str
    text: str
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    structured: bool


class Ledger:
    """All replies to a student's requests in an append-only JSONL file; `rows` by their keys."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[str, LedgerRow] = {}
        self._end = 0  # of what has been read, in bytes

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the file against other runs; what they wrote is read, and a line that a kill left torn is mended.

        Raises DataEngineError when the file cannot be written or a line is no row.
        """
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            stream = self.file.open("a+b")
        except OSError as error:
            raise DataEngineError(
                f"{self.file}: cannot be written ({error.strerror}); choose a folder you may write to"
            ) from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.warning("%s: another run is writing it; waiting for its turn to end", self.file)
                fcntl.flock(stream, fcntl.LOCK_EX)
            self._stream = stream
            self._read()
            try:
                yield
            finally:
                self._end = stream.seek(0, io.SEEK_END)

    def add(self, row: LedgerRow) -> None:
        """Keep a reply, on the disk at once."""
        append_jsonl(self._stream, row)
        self.rows[row.key] = row

    def _read(self) -> None:
        stream = self._stream
        stream.seek(self._end)
        *lines, torn = stream.read().split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line, type=LedgerRow)
            except msgspec.DecodeError as error:
                raise DataEngineError(
                    f"{self.file}: line {number}: {error}; mend or remove that line"
                ) from error
            self.rows[row.key] = row
        if torn:
            stream.truncate(stream.tell() - len(torn))
            with suppress(msgspec.DecodeError):  # all but its line end may be there
                self.add(msgspec.json.decode(torn, type=LedgerRow))
