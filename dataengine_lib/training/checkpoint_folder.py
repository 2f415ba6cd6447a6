"""Step 5: a checkpoint folder that is replaced as a whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataengine_lib.errors import DataEngineError

STATES = "states"  # the folder of the training's states in the work folder; not part of the checkpoint


@contextmanager
def replaced_when_complete(folder: Path, marker: str) -> Iterator[Path]:
    """A work folder beside `folder` that takes its place when the block ends without an error.

    Only an empty folder, or one that holds the file `marker` as checkpoints of this step do, is replaced. Of what an
    interrupted run left behind, only `STATES` is kept, from which the next run continues.
    Raises DataEngineError when `folder` holds something else or cannot be written.
    """
    work = unfinished_folder(folder)
    folder = folder.absolute()
    if folder.exists() and not (folder / marker).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataEngineError(
            f"{folder}: holds something else than a checkpoint of this step; choose another output_dir"
        )
    old = folder.with_name(f".{folder.name}.old")
    try:
        if old.exists():  # a kill came between the two renames below, or before the end
            shutil.rmtree(old) if folder.exists() else old.rename(folder)
        work.mkdir(parents=True, exist_ok=True)
        _clear(work)
    except OSError as error:
        raise DataEngineError(
            f"{folder}: cannot be written ({error.strerror}); choose a folder you may write to"
        ) from error
    try:
        yield work
        shutil.rmtree(work / STATES, ignore_errors=True)
        # two renames; a kill between them leaves the earlier checkpoint as `.NAME.old`
        if folder.exists():
            folder.rename(old)
        work.rename(folder)
    except BaseException:
        # an interrupt with Ctrl-C comes here too
        _clear(work)
        if not any(work.glob(f"{STATES}/*/")):  # no state either
            shutil.rmtree(work, ignore_errors=True)
        if old.exists() and not folder.exists():  # the second rename failed
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def unfinished_folder(folder: Path) -> Path:
    """Where the checkpoint is made: beside `folder`, so that a rename stays on one file system."""
    folder = folder.absolute()
    return folder.with_name(f".{folder.name}.unfinished")


def _clear(work: Path) -> None:
    """Remove all but the training's states."""
    for part in work.iterdir():
        if part.name == STATES:
            continue
        shutil.rmtree(part) if part.is_dir() else part.unlink()
