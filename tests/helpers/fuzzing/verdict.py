"""How the reading of a changed file may end: in one line that a user understands, or in a result without silent loss."""

import re
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from dataengine_lib.errors import DataEngineError, ParameterError

_LONGEST = 600  # characters of a message
_SECONDS = 10
_NUMBER = re.compile(r"\d[\d,.]*")
# what no message shows: Python's own words for types and objects, and the libraries that read files
_INSIDE = re.compile(
    r"<class|<Any>|<function| object at 0x|Traceback|\bmsgspec\b|\bpydantic\b|\bNoneType\b|\bStopIteration\b"
)


class Outcome(NamedTuple):
    """What a reader made of a file: how many rows are in its result, and what it warns of."""

    rows: int
    warnings: Sequence[str] = ()


class _TooSlow(BaseException):
    """Not an Exception, so that no reader takes it for a fault of the file."""


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooSlow

    # of this process's own time: a busy machine is no fault of the reader
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def usual_warnings(valid: Outcome) -> set[str]:
    """The warnings that the valid file has too, whatever their numbers are: they say nothing of a change."""
    return {_NUMBER.sub("#", line) for line in valid.warnings}


def fault_of(
    read: Callable[[], Outcome], file: str, expected: float, usual: set[str], may_be_empty: bool = False
) -> str:
    """What is wrong with how a file was read, empty when nothing is.

    `file` is the name that a message has to hold, or several with | between, of which it holds one; `expected` are the
    rows that the file still has.
    """
    try:
        with _limited(_SECONDS):
            found = read()
    except _TooSlow:
        return f"slow: more than {_SECONDS} s"
    except DataEngineError as error:
        return _message_fault(str(error), file, isinstance(error, ParameterError))
    except BaseException as error:  # also what is no Exception, such as SystemExit
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in last if "dataengine_lib" in frame.filename] or last
        where = f"{ours[-1].filename.rpartition('dataengine_lib/')[2]}:{ours[-1].lineno}"
        return f"traceback: {type(error).__name__} at {where}: {str(error)[:120]!r}"
    for warning in found.warnings:
        if "\n" in warning or len(warning) > _LONGEST:
            return f"warning of {len(warning):,} characters: {warning[:100]!r}"
    if any(_NUMBER.sub("#", line) not in usual for line in found.warnings):
        return ""
    if not found.rows and not may_be_empty:
        return "silent: an empty result without a warning"
    if found.rows < int(expected):
        return f"silent: {found.rows} of {expected:.1f} rows without a warning"
    return ""


def _message_fault(message: str, file: str, several: bool) -> str:
    lines = message.split("\n")
    if len(lines) > 1 and not several:
        return f"message of {len(lines)} lines: {message[:100]!r}"
    for line in lines:
        if len(line) > _LONGEST:
            return f"message of {len(line):,} characters: {line[:160]!r}"
        if found := _INSIDE.search(line):
            return f"message shows {found[0]!r}: {line[:200]!r}"
        if any(not letter.isprintable() for letter in line):
            return f"message with control characters: {line[:200]!r}"
        if not any(name in line for name in file.split("|")):
            return f"message does not name {file}: {line[:200]!r}"
    return ""


def only_line(error: "pytest.ExceptionInfo[DataEngineError]", file: str) -> str:
    """The message of an error, which has to be one short line that names the file."""
    text = str(error.value)
    assert not _message_fault(text, file, several=False), text
    return text
