"""One run at a time in a run folder (all steps): a lock that a killed run cannot leave behind."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataengine_lib.errors import DataEngineError, ParameterError

PATIENCE_S = (
    60  # a kernel looks for its parent every second and ends itself without it; a busy machine delays that
)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold `folder/.lock`, which names this process.

    The system frees the lock when its holder ends, however it ends; what is left of a killed run is its last
    notebook's kernel, which is waited for. Raises ParameterError when another run is at work in the folder.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as stream:
        stream.seek(0)
        holder = stream.read().strip()
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ParameterError(
                f"{folder}: process {holder or 'unknown'} is at work here; wait, or choose another --out"
            ) from error
        if holder.isdigit():
            _wait_for_kernels(folder, int(holder))
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def _wait_for_kernels(folder: Path, parent: int) -> None:
    """Wait until no kernel of the dead process `parent` is alive: it could still write into the folder."""
    import psutil

    deadline = time.monotonic() + PATIENCE_S
    while True:
        kernels = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("JPY_PARENT_PID") == str(parent)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    kernels.append(process.pid)
            except psutil.Error:
                continue  # ended meanwhile, or somebody else's
        if not kernels or psutil.pid_exists(parent):
            return
        if time.monotonic() > deadline:
            raise DataEngineError(
                f"{folder}: process {kernels[0]}, the kernel of a killed run, is still at work; end it"
            )
        time.sleep(0.2)
