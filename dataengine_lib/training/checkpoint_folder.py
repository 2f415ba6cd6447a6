"""Step 5: a checkpoint folder that is replaced as a whole or not at all."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataengine_lib.errors import DISK_FULL, DataEngineError
from dataengine_lib.training.logged_process import hold_lock

STATES = "states"  # the folder of the training's states in the work folder; not part of the checkpoint
_LOCK = "lock"  # in the work folder; held while a training writes there
# matches "I/O error: File too large (os error 27)" of safetensors
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
# what torch.save says where a file cannot grow: "[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"
_TORCH_WRITER = re.compile(r"inline_container.*(unexpected pos|PytorchStreamWriter)")


@contextmanager
def replaced_when_complete(folder: Path, marker: str) -> Iterator[Path]:
    """A work folder beside `folder` that takes its place when the block ends without an error.

    Only an empty folder, or one that holds the file `marker` as checkpoints of this step do, is replaced. Of what an
    interrupted run left behind, only `STATES` is kept, from which the next run continues.
    Raises DataEngineError when `folder` holds something else or cannot be written, also when the disk is full by then,
    and while another training writes to the same work folder.
    """
    work = unfinished_folder(folder)
    folder = folder.absolute()
    if folder.exists() and not (folder / marker).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataEngineError(
            f"{folder}: holds something else than a checkpoint of this step; choose another output_dir"
        )
    old = folder.with_name(f".{folder.name}.old")
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = hold_lock(work / _LOCK)
        lock.write(str(os.getpid()))
        lock.flush()
        if old.exists():  # a kill came between the two renames below, or before the end
            shutil.rmtree(old) if folder.exists() else old.rename(folder)
        _clear(work)
    except OSError as error:
        raise DataEngineError(
            f"{folder}: cannot be written ({error.strerror}); choose a folder you may write to"
        ) from error
    try:
        yield work
        shutil.rmtree(work / STATES, ignore_errors=True)
        (work / _LOCK).unlink()
        # two renames; a kill between them leaves the earlier checkpoint as `.NAME.old`
        if folder.exists():
            folder.rename(old)
        work.rename(folder)
    except BaseException as error:
        # an interrupt with Ctrl-C comes here too
        _clear(work)
        if not any(work.glob(f"{STATES}/*/")):  # no state either
            shutil.rmtree(work, ignore_errors=True)
        if old.exists() and not folder.exists():  # the second rename failed
            old.rename(folder)
        if _disk_is_full(error):
            raise DataEngineError(
                f"{folder}: the disk, a quota or a file size limit is used up; free disk space, then run again: the "
                "training continues from its newest state"
            ) from error
        raise
    finally:
        lock.close()
    shutil.rmtree(old, ignore_errors=True)


def _disk_is_full(error: BaseException) -> bool:
    """Whether an error of the system, of safetensors or of torch says so."""
    found = _OS_ERROR.search(str(error))
    number = int(found[1]) if found else getattr(error, "errno", None)
    return number in DISK_FULL or bool(_TORCH_WRITER.search(str(error)))


def unfinished_folder(folder: Path) -> Path:
    """Where the checkpoint is made: beside `folder`, so that a rename stays on one file system."""
    folder = folder.absolute()
    return folder.with_name(f".{folder.name}.unfinished")


def _clear(work: Path) -> None:
    """Remove all but the training's states, and the lock."""
    for part in work.iterdir():
        if part.name in (STATES, _LOCK):
            continue
        shutil.rmtree(part) if part.is_dir() else part.unlink()
