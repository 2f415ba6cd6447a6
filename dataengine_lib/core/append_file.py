"""Append-only JSONL files (steps 0, 1, 3 and 4), written by one run at a time, whose rows survive a killed run."""

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

from dataengine_lib.core.files import UNDECODABLE, decode_fault
from dataengine_lib.errors import DataEngineError

_log = logging.getLogger(__name__)

_SYNC_SECONDS = 1.0  # between waits for the disk; a wait after every row would delay the next replies
# How long to wait for the lock: the kernel of a killed run takes some seconds to end.
PATIENCE_SECONDS = 10.0


class AppendFile:
    """Rows of JSON, one per line. A row survives a killed run at once, and a power cut after a second.

    Opening locks the file for this run and repairs a last line that a killed run did not finish. `writer_of` is the
    file that the rows belong to, for messages; `patience` is how many seconds to wait for the lock.
    Raises DataEngineError when the file cannot be written or another run holds the lock.
    """

    def __init__(self, file: Path, writer_of: Path, patience: float | None = None) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            # a+ makes a missing file, reads anywhere, and always writes at the end
            self._stream = file.open("a+b")
        except OSError as error:
            raise DataEngineError(
                f"{file}: cannot be written ({error.strerror}); choose a folder you may write to"
            ) from error
        try:
            _lock(self._stream, writer_of, PATIENCE_SECONDS if patience is None else patience)
            self._repair_last_line()
        except BaseException:
            self._stream.close()
            raise
        self._synced = time.monotonic()

    def rows(self, decode: Callable[[bytes], Any], begin: int = 0) -> Any:
        """Yield the rows from byte `begin` on, decoded; raises DataEngineError naming a line that cannot be."""
        self._stream.seek(begin)
        for line in self._stream:
            begin += len(line)
            if line.strip():
                try:
                    yield decode(line)
                except UNDECODABLE as error:
                    # lines are counted only now: reading may have begun in the middle of the file
                    number = self.file.read_bytes()[:begin].count(b"\n")
                    raise DataEngineError(
                        f"{self.file}: line {number}: {decode_fault(error)}; correct or remove that line"
                    ) from error

    def add(self, row: Any) -> None:
        """Append one row. Raises DataEngineError when it cannot be written."""
        with self._write_errors():
            self._stream.write(msgspec.json.encode(row) + b"\n")
            self._stream.flush()
        if time.monotonic() > self._synced + _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Wait until all rows are on the disk."""
        with self._write_errors():
            os.fsync(self._stream.fileno())
        self._synced = time.monotonic()

    def end(self) -> int:
        """Size of the file in bytes: where the next row begins."""
        return self._stream.seek(0, io.SEEK_END)

    def close(self) -> None:
        """Write everything to the disk and release the lock."""
        if self._stream.closed:
            return
        try:
            with self._write_errors():
                self._stream.flush()
            self.sync()
        finally:
            with suppress(OSError):  # the same failure, which was raised above
                self._stream.close()

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
        """Turn an OSError of writing into DataEngineError."""
        try:
            yield
        except OSError as error:
            raise DataEngineError(
                f"{self.file}: cannot be written ({error.strerror}); free disk space, then run again"
            ) from error

    def _repair_last_line(self) -> None:
        """End a last line whose row is complete with a newline; remove one that is incomplete."""
        # read backwards in blocks up to the last newline, since the file may be large
        end = self._stream.seek(0, io.SEEK_END)
        begin, tail = end, b""
        while begin and b"\n" not in tail:
            step = min(begin, 1 << 16)
            begin -= step
            self._stream.seek(begin)
            tail = self._stream.read(step) + tail
        last = tail.rpartition(b"\n")[2]
        if not last:
            return
        # `{"a": 1}` without its newline gets one; `{"a":` is removed
        try:
            msgspec.json.decode(last)
        except UNDECODABLE:
            self._stream.truncate(end - len(last))
        else:
            self._stream.write(b"\n")
            self._stream.flush()


def _lock(stream: Any, writer_of: Path, patience: float) -> None:
    """Take the exclusive lock, which the system frees when its process ends. Raises DataEngineError after `patience`."""
    if sys.platform == "win32":  # has no fcntl: two runs on one file are not detected there
        return
    import fcntl

    deadline, warned = time.monotonic() + patience, False
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise DataEngineError(f"{writer_of}: another run is writing it; wait or stop it") from error
            # only a caller that waits longer than usual needs to be told why nothing happens
            if patience > PATIENCE_SECONDS and not warned:
                _log.warning("%s: another run is writing it; waiting until it ends", writer_of)
                warned = True
            time.sleep(0.2)
