"""Step 5: a checkpoint folder that is replaced as a whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataengine_lib.errors import DataEngineError


@contextmanager
def replaced_when_complete(folder: Path, marker: str) -> Iterator[Path]:
    """A work folder beside `folder` that takes its place when the block ends without an error.

    Only an empty folder, or one that holds the file `marker` as checkpoints of this step do, is replaced. What a
    killed run left behind is removed. Raises DataEngineError when `folder` holds something else or cannot be written.
    """
    folder = folder.absolute()
    if folder.exists() and not (folder / marker).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataEngineError(
            f"{folder}: holds something else than a checkpoint of this step; choose another output_dir"
        )
    # beside the folder, so that a rename stays on one file system
    work, old = (folder.with_name(f".{folder.name}.{end}") for end in ("unfinished", "old"))
    try:
        for leftover in (work, old):
            if leftover.exists():
                shutil.rmtree(leftover)
        work.mkdir(parents=True)
    except OSError as error:
        raise DataEngineError(
            f"{folder}: cannot be written ({error.strerror}); choose a folder you may write to"
        ) from error
    try:
        yield work
        # two renames; a kill between them leaves the earlier checkpoint as `.NAME.old`
        if folder.exists():
            folder.rename(old)
        work.rename(folder)
    except BaseException:
        # an interrupt with Ctrl-C comes here too
        shutil.rmtree(work, ignore_errors=True)
        if old.exists() and not folder.exists():  # the second rename failed
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
