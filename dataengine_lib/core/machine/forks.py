"""Work of a small model shared out among the cores: copies of this process, each of which computes in one thread.

As each piece of work is done whole by one of them, results are the same with any number of copies.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]  # as its own workers use
from typing import Any, TypeVar

from dataengine_lib.core.machine.threads import ONE_THREAD_BELOW

_T = TypeVar("_T")
_R = TypeVar("_R")
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl


class ForkEnded(Exception):
    """A copy of this process has ended before its work was done, as the system ends one when memory runs out."""


def processes_for(parameters: int) -> int:
    """How many processes the work of a model of so many parameters on a processor is worth.

    A small model has as many as a large one has threads (the machine's cores, or OMP_NUM_THREADS); a large one has one.
    Only on Linux, where a process can be copied safely with the libraries that it has loaded.
    """
    if parameters >= ONE_THREAD_BELOW or sys.platform != "linux":
        return 1
    import torch

    return torch.get_num_threads()


def in_forks(work: Callable[[_T], _R], items: Sequence[_T], processes: int) -> Generator[_R, None, None]:
    """`work(item)` of each item, in their order, from at most `processes` copies of this process.

    Items and what `work` refers to are copied with the process; results are pickled. Raises what `work` raises, and
    ForkEnded. A caller that stops early must close the generator, which ends the copies.
    """
    processes = min(processes, len(items))
    if processes < 2:
        yield from map(work, items)
        return
    # tokenizers' threads do not outlive a fork; without this they say so on the terminal
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    context = multiprocessing.get_context("fork")
    waiting = iter(range(len(items)))
    copies: dict[Connection, Any] = {}
    done: dict[int, tuple[_R, Exception | None]] = {}
    try:
        for number in range(processes):
            ours, theirs = context.Pipe()
            copy = context.Process(
                target=_serve, args=(theirs, work, items, os.getpid()), daemon=True, name=f"copy {number}"
            )
            copy.start()
            theirs.close()  # so that its end can be seen from here
            copies[ours] = copy
            ours.send(next(waiting))
        for wanted in range(len(items)):
            while wanted not in done:
                for connection in wait(list(copies)):
                    assert isinstance(connection, Connection)
                    number, outcome = _received(connection, copies[connection])
                    done[number] = outcome
                    if (following := next(waiting, None)) is not None:
                        connection.send(following)
            result, error = done.pop(wanted)
            if error is not None:  # only now: the caller has all results before it, as without copies
                raise error
            yield result
    finally:
        for copy in copies.values():
            copy.kill()
        for connection, copy in copies.items():
            copy.join()
            connection.close()


def _received(connection: Connection, copy: Any) -> tuple[int, tuple[Any, Exception | None]]:
    """The number of an item, and its result or the error in its place."""
    try:
        found: tuple[int, tuple[Any, Exception | None]] = connection.recv()
        return found
    except (EOFError, OSError) as error:
        copy.join()
        raise ForkEnded(f"a process ended with status {copy.exitcode}") from error


def _serve(connection: Connection, work: Callable[[_T], _R], items: Sequence[_T], parent: int) -> None:
    """What a copy does: the items whose numbers it gets, until it is ended."""
    # a parent that is killed leaves no copy behind, which would hold its locks
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        return
    # Ctrl-C in a terminal reaches all processes: the parent ends its copies
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import torch

    # a copy has none of the threads of its parent, and must not wait for them
    torch.set_num_threads(1)
    while True:
        number = connection.recv()
        try:
            connection.send((number, (work(items[number]), None)))
        except Exception as error:  # raised again by the parent, whatever it is
            connection.send((number, (None, ExceptionWithTraceback(error, error.__traceback__))))
