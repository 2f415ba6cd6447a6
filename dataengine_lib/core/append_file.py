"""Steps 0, 1, 3 and 4: a JSONL file that is only ever appended to, by one run at a time, and survives a kill."""

import io
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.errors import DataEngineError

log = logging.getLogger(__name__)

SYNC_EVERY = 1.0  # seconds; waiting for the disk after every row would hold up the others
PATIENCE = 10.0  # seconds to wait for another run: the kernel of a killed one takes a moment to notice


class AppendFile:
    """Rows of JSON, one a line; a row is safe from a killed run at once, from a power cut within SYNC_EVERY.

    Opening takes the file for this run alone and mends a last line that a kill left torn.
    Raises DataEngineError when the file cannot be written or another run has it.
    """

    def __init__(self, file: Path, writer_of: Path, patience: float | None = None) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._stream = file.open("a+b")
        except OSError as error:
            raise DataEngineError(
                f"{file}: cannot be written ({error.strerror}); choose a folder you may write to"
            ) from error
        try:
            _lock(self._stream, writer_of, PATIENCE if patience is None else patience)
            self._mend()
        except BaseException:
            self._stream.close()
            raise
        self._synced = time.monotonic()

    def rows(self, decode: Callable[[bytes], Any], begin: int = 0) -> Any:
        """Every row so far from byte `begin`, decoded; raises DataEngineError naming the line that is none."""
        self._stream.seek(begin)
        for line in self._stream:
            begin += len(line)
            if line.strip():
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    number = self.file.read_bytes()[:begin].count(b"\n")
                    raise DataEngineError(
                        f"{self.file}: line {number}: {error}; mend or remove that line"
                    ) from error

    def add(self, row: Any) -> None:
        """Append one row; raises DataEngineError when the disk does not take it."""
        with self._writing():
            self._stream.write(msgspec.json.encode(row) + b"\n")
            self._stream.flush()
        if time.monotonic() > self._synced + SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Wait until all rows are on the disk."""
        with self._writing():
            os.fsync(self._stream.fileno())
        self._synced = time.monotonic()

    def end(self) -> int:
        """Bytes of all rows so far."""
        return self._stream.seek(0, io.SEEK_END)

    def close(self) -> None:
        """Push to the disk and let others have the file."""
        if self._stream.closed:
            return
        try:
            with self._writing():
                self._stream.flush()
            self.sync()
        finally:
            with suppress(OSError):  # of what could not be written, which was said
                self._stream.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataEngineError(
                f"{self.file}: cannot be written ({error.strerror}); make room on the disk, then run again"
            ) from error

    def _mend(self) -> None:
        """Complete a last line whose row is whole, take off one that is torn."""
        end = self._stream.seek(0, io.SEEK_END)
        begin, tail = end, b""
        while begin and b"\n" not in tail:
            step = min(begin, 1 << 16)
            begin -= step
            self._stream.seek(begin)
            tail = self._stream.read(step) + tail
        torn = tail.rpartition(b"\n")[2]
        if not torn:
            return
        try:
            msgspec.json.decode(torn)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._stream.truncate(end - len(torn))
        else:
            self._stream.write(b"\n")
            self._stream.flush()


def _lock(stream: Any, writer_of: Path, patience: float) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    until, told = time.monotonic() + patience, False
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise DataEngineError(f"{writer_of}: another run is writing it; wait or stop it") from error
            if patience > PATIENCE and not told:
                log.warning("%s: another run is writing it; waiting for its turn to end", writer_of)
                told = True
            time.sleep(0.2)
