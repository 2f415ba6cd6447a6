"""The lock of a run's folder (all steps): one run at a time; a killed run leaves no lock behind."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dataengine_lib.errors import DataEngineError, ParameterError

if TYPE_CHECKING:
    from psutil import Process

# A kernel looks for its parent every second and ends itself without it; a busy machine delays that.
_WAIT_SECONDS = 60
_PID = re.compile(r"[0-9]{1,9}")  # anything else in the file is damage


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold `folder/.lock`, in which this process writes its id.

    The system frees the lock when its process ends in any way. The kernel of a killed run's last notebook may live a
    little longer, so its end is awaited. Raises ParameterError when another run holds the lock, DataEngineError when
    such a kernel does not end.
    """
    path = folder / ".lock"
    # "w" would erase the id of the process that holds the lock, before the lock is tried
    with path.open("a+", encoding="utf-8", errors="replace") as stream:
        stream.seek(0)
        holder = stream.read().strip()
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ParameterError(
                f"{folder}: process {holder or 'unknown'} is running here; wait, or choose another --out"
            ) from error
        if _PID.fullmatch(holder):
            _wait_for_kernels(folder, int(holder))
        # the mode a+ writes at the end of the file, which is its start once it is empty
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        try:
            yield
        finally:
            # an empty file says that this run ended by itself: the next one has no kernels to wait for
            stream.truncate(0)


def is_kernel_of(parent: int, process: "Process") -> bool:
    """Whether the process is a notebook kernel that `parent` has started, and that has not ended."""
    import psutil

    try:
        # Jupyter passes the id of the process that started a kernel in this variable
        started_by = process.environ().get("JPY_PARENT_PID")
        return started_by == str(parent) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:  # ended in the meantime, or of another user
        return False


def _wait_for_kernels(folder: Path, parent: int) -> None:
    """Wait until no kernel of the dead process `parent` is alive, which could still write into the folder."""
    import psutil

    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        kernels = [process.pid for process in psutil.process_iter() if is_kernel_of(parent, process)]
        # The lock was free, so a living process of that id is another one: the kernels are its own.
        if not kernels or psutil.pid_exists(parent):
            return
        if time.monotonic() > deadline:
            raise DataEngineError(
                f"{folder}: process {kernels[0]}, the kernel of a killed run, is still running; end it"
            )
        time.sleep(0.2)
