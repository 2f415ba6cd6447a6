"""Step 4: a second process parses most replies of a large file while this one checks what is parsed already.

`python -m dataengine_lib.curation.parsing.second_process FILE` writes batches of ParsedReply to its standard output:
four bytes with the length of a batch, then the batch as MessagePack. Every fourth batch is left to the process that
started it, which would otherwise wait: its own work up to there takes half as long as all parsing.
"""

import gc
import os
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

from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.core.machine.process_control import available_cores
from dataengine_lib.core.text import printable_line
from dataengine_lib.curation.parsing.parsed_replies import ParsedReply, parse_replies, parse_row
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.other_datasets import others_format

# bytes, about 30,000 replies: with fewer, starting a process takes longer than it saves
_LARGE = 32 << 20
_BATCH = 500  # replies
_TURN = 4  # of so many batches, the last one is parsed by the process that started the other
_LENGTH = 4  # bytes
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
    with parsed, tempfile.TemporaryFile() as errors:
        # -P: a queue.py in the working folder is not Python's
        command = [sys.executable, "-P", "-m", "dataengine_lib.curation.parsing.second_process", str(path)]
        # a session of its own: Ctrl-C reaches this process alone, which then ends the other
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=parsed, stderr=errors, start_new_session=True
        )
        try:
            yield _all_replies(path, process, parsed.fileno(), errors)
        finally:
            process.kill()
            process.communicate()


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size >= _LARGE
    except OSError:  # the reader names what is wrong with the file
        return False


def _all_replies(
    path: Path, process: "subprocess.Popen[bytes]", handle: int, errors: IO[bytes]
) -> Iterator[ParsedReply]:
    theirs, own = _their_batches(path, process, handle, errors), _own_batches(path, second_process=False)
    for number in count(1):
        batch = next(theirs if number % _TURN else own, [])
        yield from batch
        if len(batch) < _BATCH:
            break
    # until the process has ended, as it may have failed
    next(theirs, None)


def _own_batches(path: Path, *, second_process: bool) -> Iterator[list[ParsedReply]]:
    """The batches that are parsed by the second process, or by the one that started it."""
    rows = json_rows(path, may_be_empty=True)
    for number in count(1):
        if not (batch := list(islice(rows, _BATCH))):
            return
        if bool(number % _TURN) == second_process:
            yield [parse_row(row) for row in batch]


def _their_batches(
    path: Path, process: "subprocess.Popen[bytes]", handle: int, errors: IO[bytes]
) -> Iterator[list[ParsedReply]]:
    # read by position, as both processes share that of the open file
    place = 0
    while True:
        ended = process.poll()
        size = os.fstat(handle).st_size
        head = os.pread(handle, _LENGTH, place) if size >= place + _LENGTH else b""
        end = place + _LENGTH + int.from_bytes(head, "big")
        if head and size >= end:
            yield _BATCHES.decode(os.pread(handle, end - place - _LENGTH, place + _LENGTH))
            place = end
        elif ended is None:
            time.sleep(_WAIT_S)
        elif ended or size > place:
            errors.seek(0)
            last = printable_line((errors.read().decode("utf-8", "replace").strip().splitlines() or [""])[-1])
            how = f"was killed (signal {-ended})" if ended < 0 else last or f"ended with status {ended}"
            raise DataEngineError(
                f"{path}: the process that parses the replies {how}; free memory and disk space, then run again"
            )
        else:
            return


def _end_with_standard_input() -> None:
    # os.read, as a thread that waits in sys.stdin holds a lock at the end of the interpreter
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main(path: Path) -> None:
    """Parse three of four batches of `path`'s replies, and write them to standard output.

    Ends when its standard input is closed: then the process that started it is gone.
    """
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    gc.disable()  # nothing here refers to itself
    encoder = msgspec.msgpack.Encoder()
    with open(sys.stdout.fileno(), "wb", buffering=1 << 20, closefd=False) as stream:
        for batch in _own_batches(path, second_process=True):
            content = encoder.encode(batch)
            stream.write(len(content).to_bytes(_LENGTH, "big"))
            stream.write(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
