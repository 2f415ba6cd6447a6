"""Folders that killed runs have left in the playground's cache."""

import os
from pathlib import Path

from dataengine_lib.playground.sets import write_playground

SIZES = {"base": 0, "pool": 1, "diagnose": 0, "holdout": 0}


def test_old_ones_of_dead_processes_are_removed(tmp_path: Path) -> None:
    folder = write_playground(tmp_path, sizes=SIZES)
    (folder / "complete.json").unlink()
    # ids beyond those that Linux gives
    dead, fresh, living = (
        folder.with_name(f"{folder.name}.{process}.tmp")
        for process in (999_999_998, 999_999_999, os.getppid())
    )
    for left in (dead, fresh, living):
        (left / "base").mkdir(parents=True)
    for left in (dead, living):
        os.utime(left, (0, 0))
    assert write_playground(tmp_path, sizes=SIZES) == folder
    assert sorted(tmp_path.iterdir()) == sorted([folder, fresh, living])
