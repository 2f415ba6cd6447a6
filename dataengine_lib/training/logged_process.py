"""Step 5: a process whose output is shown and logged line by line, and which ends with this one."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from dataengine_lib.core.secrets.masking import SecretMask
from dataengine_lib.core.text import one_line
from dataengine_lib.core.written_files.whole_file import try_lock
from dataengine_lib.errors import DataEngineError, ParameterError

_LAST_LINES = 4  # of the log, in the message of a failure
_LINE_LENGTH = 300  # characters of each of them
_MOST_LINE = 1 << 16  # bytes of a line; a longer one is divided
_SHOWN_AT_ONCE = 1_000  # lines; a notebook that shows more of them becomes too large to open
_SECONDS_BETWEEN = 5  # between later lines, and between the states of a progress bar
_GRACE = 10  # seconds between SIGTERM and SIGKILL
_CLOSING = 2  # seconds to wait for the output of a process that has ended, whose children may hold it open
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # a terminal's colours and movements, such as \x1b[31m


def run_logged(
    arguments: Sequence[str],
    folder: Path,
    log: Path,
    show: Callable[[str], None],
    lock: Path | None = None,
) -> None:
    """Run a program in `folder`; `show` gets lines of its output, the file `log` all of them, without secrets.

    No shell is involved. Of a progress bar, which overwrites its line, the last state is logged. The program's whole
    process group is stopped when this process is interrupted, as are processes that it leaves running when it has ended.
    The program holds the file `lock` while it lives, also when this process has been killed. Raises ParameterError when it
    cannot be started, DataEngineError with its last lines when it fails, or when an earlier one still holds the lock.
    """
    mask, last = SecretMask.of_environment(), deque[str](maxlen=_LAST_LINES)
    with ExitStack() as stack:
        held = stack.enter_context(hold_lock(lock)) if lock else None
        process = _started(arguments, folder, [held.fileno()] if held else [])
        if held:
            held.write(str(process.pid))
    shown = _Shown(show)
    try:
        with log.open("w", encoding="utf-8") as stream:
            for text, whole in _lines(process):
                line = mask.masked(_printable(text))
                shown.line(line, whole)
                if whole:
                    stream.write(f"{line}\n")
                    stream.flush()
                    if line.strip():
                        last.append(one_line(line)[:_LINE_LENGTH])
        status = process.wait()
    finally:
        _stop_group(process)
    if status:
        ended = f"ended with exit status {status}" if status > 0 else f"was ended by {_signal_name(-status)}"
        words = f"; its last lines: {' / '.join(last)}" if last else "; it wrote nothing"
        raise DataEngineError(f"{mask.masked(arguments[0])}: {ended}{words}; its whole log: {log}")


def check_not_held(lock: Path) -> None:
    """Raise DataEngineError when a program that `run_logged` has started still holds this lock."""
    if lock.is_file():
        hold_lock(lock).close()


def hold_lock(lock: Path) -> IO[str]:
    """The lock's file, empty, for this process's id; a process that inherits its handle holds the lock as well.

    Raises DataEngineError while another process holds it.
    """
    stream = lock.open("a+", encoding="ascii")
    if try_lock(stream.fileno()) is False:
        with stream:
            stream.seek(0)
            raise DataEngineError(
                f"{lock.parent}: process {stream.read()} of an earlier run still works in this folder; wait for its end or "
                "stop it, then run again"
            )
    stream.truncate(0)
    return stream


class _Shown:
    """Passes lines on: all of the first ones, later ones and states of progress bars once in a while."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._number, self._at = show, 0, time.monotonic()

    def line(self, line: str, whole: bool) -> None:
        now = time.monotonic()
        self._number += whole
        if (whole and self._number <= _SHOWN_AT_ONCE) or now - self._at >= _SECONDS_BETWEEN:
            self._at = now
            self._show(line)


def _started(arguments: Sequence[str], folder: Path, handles: Sequence[int]) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            arguments,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Python would keep lines back until it has some kilobytes of them
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            pass_fds=() if sys.platform == "win32" else handles,
        )
    except FileNotFoundError as error:
        missing = folder if not folder.is_dir() else arguments[0]
        remedy = (
            "check command_folder" if missing is folder else "install it, or give its whole path in command"
        )
        raise ParameterError(f"{missing}: not found; {remedy}") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(f"{arguments[0]}: cannot be started ({reason}); check command") from error


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[tuple[str, bool]]:
    """(text, whether it is a whole line) as they come; what a `\\r` will overwrite is no whole line."""
    chunks: queue.Queue[bytes] = queue.Queue(maxsize=64)
    assert process.stdout is not None  # it is a pipe
    threading.Thread(target=_read, args=(process.stdout, chunks), daemon=True).start()
    rest, ended_at = b"", 0.0
    while True:
        try:
            chunk = chunks.get(timeout=0.2)
        except queue.Empty:
            if process.poll() is None:
                continue
            ended_at = ended_at or time.monotonic()
            if time.monotonic() - ended_at < _CLOSING:
                continue
            chunk = b""
        if not chunk:
            break
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield _after_return(line), True
        if len(rest) > _MOST_LINE:
            yield _after_return(rest), True
            rest = b""
        elif b"\r" in rest:
            yield _after_return(rest), False
    if rest:
        yield _after_return(rest), True


def _read(stream: IO[bytes], chunks: "queue.Queue[bytes]") -> None:
    """Put what a pipe holds into the queue, at its end an empty chunk."""
    with stream:
        chunk = b"start"
        while chunk:
            chunk = os.read(stream.fileno(), 1 << 14)
            chunks.put(chunk)


def _after_return(line: bytes) -> str:
    """What a terminal would show of a line: `10%\\r20%\\r` is `20%`."""
    parts = [part for part in line.split(b"\r") if part]
    return parts[-1].decode("utf-8", "replace") if parts else ""


def _printable(text: str) -> str:
    """Untrusted text without what a terminal would act on."""
    text = _ESCAPES.sub("", text)
    return "".join(one if one.isprintable() or one == "\t" else "�" for one in text)


def _stop_group(process: "subprocess.Popen[bytes]") -> None:
    """End the process and all that it has started: workers may hold a GPU's memory."""
    if sys.platform == "win32":  # has no process groups of this kind
        process.kill()
        process.wait()
        return
    _signal_group(process, signal.SIGTERM)
    until = time.monotonic() + _GRACE
    while _group_lives(process) and time.monotonic() < until:
        process.poll()
        time.sleep(0.05)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS: no permission for a group of zombies
        return


def _group_lives(process: "subprocess.Popen[bytes]") -> bool:
    process.poll()  # collects it, so that it no longer counts as one of the group
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}, as systems do when memory runs out" if name == "SIGKILL" else name
