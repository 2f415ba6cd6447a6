"""Tests of work that copies of a process do: in order, with its errors, and ended with their parent."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from dataengine_lib.core.machine.forks import ForkEnded, in_forks, processes_for, processes_on_cores
from dataengine_lib.core.machine.threads import ONE_THREAD_BELOW
from dataengine_lib.errors import DataEngineError


def test_results_come_in_order_and_errors_in_their_turn() -> None:
    def work(item: int) -> tuple[int, int]:
        time.sleep(0.05 if item % 3 == 0 else 0)
        if item == 7:
            raise DataEngineError(f"item {item}; take another")
        return item, os.getpid()

    found = []
    with pytest.raises(DataEngineError, match=r"^item 7; take another$"):
        for one in in_forks(work, range(12), 3):
            found.append(one)
    assert [item for item, _ in found] == list(range(7))
    assert len({process for _, process in found}) > 1 and os.getpid() not in {pid for _, pid in found}
    # one process, or one item, is done here
    assert list(in_forks(work, [1, 2], 1)) == [(1, os.getpid()), (2, os.getpid())]
    assert list(in_forks(work, [4], 3)) == [(4, os.getpid())]
    assert list(in_forks(work, [], 3)) == []


class _Unpicklable(Exception):
    """Made of two arguments, of which pickle knows one."""

    def __init__(self, what: str, how: object) -> None:
        super().__init__(what)
        self.how = how


def test_an_error_that_cannot_be_sent_is_replaced_by_its_words() -> None:
    def work(item: int) -> int:
        if item:
            raise _Unpicklable(f"item {item}", lambda: None)
        return item

    with pytest.raises(RuntimeError, match=r"(?s)^_Unpicklable: item 1\n\nTraceback .*in work\n") as caught:
        list(in_forks(work, [0, 1], 2))
    assert not isinstance(caught.value, ForkEnded)


def test_a_copy_shares_memory_with_its_parent_also_behind_collections_of_garbage() -> None:
    kept = [[] for _ in range(500_000)]  # of 56 bytes each, to which collections write

    def work(_: int) -> int:
        gc.collect()
        return psutil.Process().memory_full_info().uss

    assert all(own < 56 * len(kept) for own in in_forks(work, [1, 2], 2))


def test_a_copy_that_is_ended_is_an_error_and_a_caller_that_stops_ends_all() -> None:
    def work(item: int) -> int:
        if item == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    with pytest.raises(ForkEnded, match="status -9"):
        list(in_forks(work, [1, 1, 1, 1], 2))
    with closing(in_forks(lambda _: os.getpid(), range(100), 2)) as stopped:
        copy = next(stopped)
        assert psutil.pid_exists(copy)
    assert not psutil.pid_exists(copy)


PARENT = """
import os, sys, time
from dataengine_lib.core.machine.forks import in_forks
def work(item):
    print(os.getpid(), flush=True)
    time.sleep(600)
list(in_forks(work, [1, 2], 2))
"""


def test_copies_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    copies = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    until = time.monotonic() + 60
    while any(map(_runs, copies)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(_runs, copies))


def _runs(process: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    return False


def test_small_models_are_worth_a_process_for_each_thread_of_a_large_one(
    torch_threads: Callable[[int], None],
) -> None:
    torch_threads(3)
    assert processes_for(ONE_THREAD_BELOW - 1) == (3 if sys.platform == "linux" else 1)
    assert processes_for(ONE_THREAD_BELOW) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="work is shared out among processes on Linux alone")
@pytest.mark.parametrize(("variable", "expected"), [("", 6), ("2", 2), ("8", 6), ("0", 6), ("2,1", 2)])
def test_work_on_images_has_a_process_for_each_core(
    monkeypatch: pytest.MonkeyPatch, variable: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)))
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert processes_on_cores() == expected
