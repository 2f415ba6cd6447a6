"""Work of a small model, or on images, shared out among the cores: copies of this process with one thread each.

As each piece of work is done whole by one of them, results are the same with any number of copies.
"""

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]  # as its own workers use
from typing import Any, Generic, TypeVar

from dataengine_lib.core.machine.process_control import available_cores, end_with_parent
from dataengine_lib.core.machine.threads import works_at_once

_T = TypeVar("_T")
_R = TypeVar("_R")


class ForkEnded(Exception):
    """A copy of this process has ended before its work was done, as the system ends one when memory runs out."""


def processes_for(parameters: int) -> int:
    """How many processes the work of a model of so many parameters on a processor is worth.

    As `works_at_once`, but one elsewhere than on Linux, where a process can be copied safely with the libraries that it
    has loaded.
    """
    return works_at_once(parameters) if sys.platform == "linux" else 1


def processes_on_cores() -> int:
    """How many processes work without a model is worth: one for each core, OMP_NUM_THREADS at most; see `processes_for`."""
    if sys.platform != "linux":
        return 1
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # one number for each level of nesting
    return min(available_cores(), int(limit)) if limit.isdecimal() and int(limit) else available_cores()


class Fork(Generic[_T, _R]):
    """A copy of this process that carries out `work` for each item that it is sent; `end` it in any case.

    What `work` refers to is copied with the process; items and results are pickled. Ends itself with this process.
    """

    def __init__(self, work: Callable[[_T], _R]) -> None:
        # tokenizers' threads do not outlive a fork; without this they say so on the terminal
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()  # so that its end can be seen from here

    def send(self, item: _T) -> None:
        """Begin with an item. Raises ForkEnded."""
        try:
            self.connection.send(item)
        except OSError as error:
            raise self._ended() from error

    def outcome(self) -> tuple[_R | None, Exception | None]:
        """The result of the oldest item, or the error in its place. Raises ForkEnded."""
        try:
            found: tuple[_R | None, Exception | None] = self.connection.recv()
            return found
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def receive(self) -> _R:
        """The result of the oldest item. Raises what its work raised, and ForkEnded."""
        result, error = self.outcome()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only where that is the result

    def end(self) -> None:
        """End the copy, also while it works on an item."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _ended(self) -> ForkEnded:
        self._process.join()
        return ForkEnded(f"a process ended with status {self._process.exitcode}")


def in_forks(work: Callable[[_T], _R], items: Sequence[_T], processes: int) -> Generator[_R, None, None]:
    """`work(item)` of each item, in their order, from at most `processes` copies of this process.

    Items and what `work` refers to are copied with the process; results are pickled. Raises what `work` raises, and
    ForkEnded. A caller that stops early must close the generator, which ends the copies.
    """
    processes = min(processes, len(items))
    if processes < 2:
        yield from map(work, items)
        return
    waiting = iter(range(len(items)))
    copies: dict[Any, Fork[int, _R]] = {}  # by their connections
    begun: dict[Any, int] = {}  # the number of the item that a copy works on
    done: dict[int, tuple[Any, Exception | None]] = {}

    def begin(connection: Any) -> None:
        if (number := next(waiting, None)) is not None:
            begun[connection] = number
            copies[connection].send(number)

    try:
        for _ in range(processes):
            copy: Fork[int, _R] = Fork(lambda number: work(items[number]))
            copies[copy.connection] = copy
            begin(copy.connection)
        for wanted in range(len(items)):
            while wanted not in done:
                for connection in wait(list(begun)):
                    done[begun.pop(connection)] = copies[connection].outcome()
                    begin(connection)
            result, error = done.pop(wanted)
            if error is not None:  # only now: the caller has all results before it, as without copies
                raise error
            yield result
    finally:
        for copy in copies.values():
            copy.end()


def _serve(connection: Connection, work: Callable[[Any], Any], parent: int) -> None:
    """What a copy does until it is ended."""
    # a parent that is killed leaves no copy behind, which would hold its locks
    if not end_with_parent(parent):
        return
    # Ctrl-C in a terminal reaches all processes: the parent ends its copies
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # collections of garbage would write to all that was copied, and each copy would need memory of its own for it
    gc.freeze()
    if torch := sys.modules.get("torch"):
        # a copy has none of the threads of its parent, and must not wait for them
        torch.set_num_threads(1)
    while True:
        item = connection.recv()
        try:
            connection.send((work(item), None))
        except Exception as error:  # raised by the parent
            connection.send((None, _sendable(error)))


def _sendable(error: Exception) -> object:
    """The error with its traceback; in place of one that cannot be pickled, another one with its words."""
    with_traceback = ExceptionWithTraceback(error, error.__traceback__)
    try:
        pickle.loads(pickle.dumps(with_traceback))
    except Exception:  # an exception may have any field, and take any arguments when it is made anew
        words = "".join(traceback.format_exception(error)).rstrip()
        return RuntimeError(f"{type(error).__name__}: {error}\n\n{words}")
    return with_traceback
