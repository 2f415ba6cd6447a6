"""Memory that several processes of one machine share (step 1): what each may hold, and turns for what is more."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_share(processes: int) -> int:
    """Bytes of this machine's memory that each of so many processes may use for data: a quarter of all, divided.

    All is what a container may have at most, where there is one. The rest is for the model, for what is computed, and for
    other programs.
    """
    import psutil

    return min([int(psutil.virtual_memory().total), *_container_limits()]) // 4 // processes


def _container_limits() -> list[int]:
    """Bytes, from the files of control groups, versions 2 and 1; a number may be huge."""
    found = []
    for file in _LIMITS:
        # no such file without control groups; "max" where there is no limit
        with suppress(OSError, ValueError):
            found.append(int(file.read_text()))
    return found


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """While the block runs, no other process of this user on this machine is in a block of this name; waits for it.

    The system ends the turn of a process that is killed. On Windows there are no turns. Raises DataEngineError when
    another user's file is in the way, or the folder of temporary files knows no locks.
    """
    if sys.platform == "win32":  # has no fcntl
        yield
        return
    import fcntl

    file = Path(tempfile.gettempdir()) / f"dataengine-{os.getuid()}-{name}.lock"
    try:
        # opened in each process: copies of a process would share the lock of a file that was opened before
        number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataEngineError(
            f"{file}: cannot be opened ({one_line(error.strerror or str(error))}); remove it, or set TMPDIR to a folder "
            "of your own"
        ) from error
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
        except OSError as error:  # a file system without locks
            raise DataEngineError(
                f"{file}: cannot be locked ({one_line(error.strerror or str(error))}); set TMPDIR to a folder on a disk of "
                "this machine"
            ) from error
        yield
    finally:
        os.close(number)
