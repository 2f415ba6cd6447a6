"""Files of all steps that are written whole or not at all: under a temporary name first, which a kill may leave behind."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dataengine_lib.errors import DISK_FULL, DataEngineError

_BUFFER = 1 << 20  # bytes; rows that are written one by one reach the disk in few system calls


@contextmanager
def replacing(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A handle on a temporary file beside `path` that replaces it only when the block ends without an error.

    Temporary files of `path` that killed processes have left are removed. Raises DataEngineError when the folder cannot
    be written or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        handle, name = _locked_temporary(path)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise cannot_be_written(path, error) from error
    try:
        with os.fdopen(handle, mode, _BUFFER, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            # on the disk before it gets its name: after a power cut there is the old file or the new one
            stream.flush()
            os.fsync(stream.fileno())
            # mkstemp makes a private file (0600); give it the permissions of any new file
            os.chmod(name, 0o666 & ~_umask())
            if sys.platform == "win32":  # cannot rename an open file
                stream.close()
            # elsewhere before it is closed, which frees its lock
            os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        # other errors in the block may be of files that its caller reads
        if isinstance(error, OSError) and (error.errno in DISK_FULL or error.filename == name):
            raise cannot_be_written(path, error) from error
        raise


def cannot_be_written(path: Path, error: Exception) -> DataEngineError:
    """The error of one line for a file that could not be made or written."""
    reason = getattr(error, "strerror", None) or error
    if isinstance(error, FileExistsError):  # of the folder, which is made first
        reason = f"{path.parent} is no folder"
    full = getattr(error, "errno", None) in DISK_FULL
    remedy = "free disk space, then run again" if full else "choose a folder you may write to"
    # repr, as a terminal does not show a null byte
    shown = repr(str(path)) if "\0" in str(path) else path
    return DataEngineError(f"{shown}: cannot be written ({reason}); {remedy}")


def _locked_temporary(path: Path) -> tuple[int, str]:
    """A new temporary file beside `path`, as a locked handle and a name; the lock says that its writer lives."""
    while True:
        # beside path, because os.replace is atomic only within one file system
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        if try_lock(handle) is not False and os.fstat(handle).st_nlink:
            return handle, name
        os.close(handle)  # another process took it for a leftover before it was locked


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` whose writers have ended: those that no process holds locked."""
    # matches `.run.json.k3x_9abc.tmp`, as mkstemp names them
    ours = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}\.tmp")
    for name in [name for name in os.listdir(path.parent) if ours.fullmatch(name)]:
        with suppress(OSError):  # removed in the meantime, or of another user
            handle = os.open(path.parent / name, os.O_RDWR)
            try:
                if try_lock(handle):
                    os.unlink(path.parent / name)
            finally:
                os.close(handle)


def try_lock(handle: int) -> bool | None:
    """Whether this process now holds the file's lock, which the system frees when its process ends; None without locks."""
    if sys.platform == "win32":  # has no fcntl
        return None
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _umask() -> int:
    mask = os.umask(0)  # the mask can be read only by setting it
    os.umask(mask)
    return mask
