"""Step 4: a second process parses most replies of a large file while this one checks what is parsed already.

`python -m dataengine_lib.curation.parsing.second_process FILE` writes batches of ParsedReply to its standard output:
four bytes with the number of a batch, four with its length, then the batch as MessagePack. Where the process that started
it would have to wait for a batch, it takes a later one itself.
"""

import gc
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import IO

import msgspec

from dataengine_lib.core.json_rows import JsonRow, json_rows
from dataengine_lib.core.machine.process_control import available_cores
from dataengine_lib.core.text import printable_line
from dataengine_lib.curation.parsing.parsed_replies import ParsedReply, parse_replies, parse_row
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.other_datasets import others_format

# bytes, about 30,000 replies: with fewer, starting a process takes longer than it saves
_LARGE = 32 << 20
_BATCH = 500  # replies
# The first process takes a batch so far behind the one that it waits for, or the next one behind that which nobody has:
# the second process may be about to begin the one right behind.
_AHEAD = 2
_MOST_AHEAD = 8  # batches that wait for their turn
_HEAD = struct.Struct(">II")  # of a batch: its number and its length in bytes
_WAIT_S = 0.005  # until the next look for a batch that is not written yet
_BATCHES = msgspec.msgpack.Decoder(list[ParsedReply])


@contextmanager
def replies_read_ahead(path: Path, folder: Path) -> Iterator[Iterator[ParsedReply]]:
    """The replies of `path`, see `parse_replies`; most of a large file are parsed by a second process from now on.

    Only where this process may use two cores or more. What is parsed waits in a file in `folder` that has no name, so
    that nothing is left behind; the process ends with the block. Raises DataEngineError when `folder` cannot be written,
    and while the replies are read when the process has failed.
    """
    # Windows has no pread
    if available_cores() < 2 or not _is_large(path) or not hasattr(os, "pread") or others_format(path):
        yield parse_replies(path)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        parsed = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # open as long as the block below
    except OSError as error:
        raise DataEngineError(
            f"{folder}: cannot be written ({error.strerror}); choose another output"
        ) from error
    with parsed, tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as taken:
        # -P: a queue.py in the working folder is not Python's
        command = [sys.executable, "-P", "-m", "dataengine_lib.curation.parsing.second_process", str(path)]
        # a session of its own: Ctrl-C reaches this process alone, which then ends the other
        process = subprocess.Popen(
            [*command, str(taken.fileno())],
            stdin=subprocess.PIPE,
            stdout=parsed,
            stderr=errors,
            pass_fds=[taken.fileno()],
            start_new_session=True,
        )
        try:
            theirs = _TheirBatches(path, process, parsed.fileno(), errors)
            yield _all_replies(path, theirs, taken.fileno())
        finally:
            process.kill()
            process.communicate()


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size >= _LARGE
    except OSError:  # the reader names what is wrong with the file
        return False


def _all_replies(path: Path, theirs: "_TheirBatches", taken: int) -> Iterator[ParsedReply]:
    rows = _batches(path)
    own: dict[int, list[ParsedReply]] = {}  # batches that were taken, by number
    behind = 0  # the number of the first batch behind the last one that was taken
    for number in count():
        while (batch := own.pop(number, None)) is None and (batch := theirs.batch(number)) is None:
            if behind > number + _MOST_AHEAD:
                time.sleep(_WAIT_S)
                continue
            mine = max(behind, number + (_AHEAD if theirs.begun else 0))
            os.pwrite(taken, b"1", mine)
            own[mine] = [parse_row(row) for row in next(islice(rows, mine - behind, None), [])]
            behind = mine + 1
        yield from batch
        if len(batch) < _BATCH:
            break
    # as it may have failed
    theirs.wait()


def _batches(path: Path) -> Iterator[list[JsonRow]]:
    rows = json_rows(path, may_be_empty=True)
    while batch := list(islice(rows, _BATCH)):
        yield batch


class _TheirBatches:
    """The batches that the second process has written to the open file `handle`, and what it says if it fails."""

    def __init__(
        self, path: Path, process: "subprocess.Popen[bytes]", handle: int, errors: IO[bytes]
    ) -> None:
        self.path, self.process, self.handle, self.errors = path, process, handle, errors
        self._place = 0  # read by position, as both processes share that of the open file

    @property
    def begun(self) -> bool:
        """Whether the process has started, which takes a second."""
        return self._place > 0

    def batch(self, number: int) -> list[ParsedReply] | None:
        """The batch of that number, empty behind the last one; None while it is not written yet."""
        ended = self.process.poll()
        size = os.fstat(self.handle).st_size
        while (head := self._read(self._place, _HEAD.size, size)) is not None:
            found, length = _HEAD.unpack(head)
            if found > number or (content := self._read(self._place + _HEAD.size, length, size)) is None:
                break
            self._place += _HEAD.size + length
            if found == number:  # those before it were taken by the other process as well
                return _BATCHES.decode(content)
        if ended is None:
            return None
        if ended or head is not None:
            raise self._failed(ended)
        return []

    def wait(self) -> None:
        """Wait for the end of the process. Raises DataEngineError when it has failed."""
        if ended := self.process.wait():
            raise self._failed(ended)

    def _read(self, place: int, length: int, size: int) -> bytes | None:
        return os.pread(self.handle, length, place) if size >= place + length else None

    def _failed(self, ended: int) -> DataEngineError:
        self.errors.seek(0)
        last = printable_line(
            (self.errors.read().decode("utf-8", "replace").strip().splitlines() or [""])[-1]
        )
        how = f"was killed (signal {-ended})" if ended < 0 else last or f"ended with status {ended}"
        return DataEngineError(
            f"{self.path}: the process that parses the replies {how}; free memory and disk space, then run again"
        )


def _end_with_standard_input() -> None:
    # os.read, as a thread that waits in sys.stdin holds a lock at the end of the interpreter
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main(path: Path, taken: int) -> None:
    """Parse `path`'s replies, and write them to standard output; batches that the open file `taken` marks are left out.

    Ends when its standard input is closed: then the process that started it is gone.
    """
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    gc.disable()  # nothing here refers to itself
    encoder = msgspec.msgpack.Encoder()
    with open(sys.stdout.fileno(), "wb", closefd=False) as stream:
        for number, rows in enumerate(_batches(path)):
            if os.pread(taken, 1, number) != b"1":
                content = encoder.encode([parse_row(row) for row in rows])
                stream.write(_HEAD.pack(number, len(content)))
                stream.write(content)
                stream.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
