"""Which run is opened where none is named: the newest finished one, also of a study."""

import os
from pathlib import Path

from dataengine_lib.core.files import write_json
from dataengine_lib.runs.opened.newest_run import newest_run


def state(folder: Path, status: str, seconds: int) -> Path:
    file = write_json(folder / "run.json", {"status": status, "run": "x"})
    os.utime(file, (seconds, seconds))
    return folder


def test_the_newest_finished_run_is_found(tmp_path: Path) -> None:
    assert newest_run(tmp_path / "nowhere") is None
    state(tmp_path / "failed", "failed", 90)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert newest_run(tmp_path) is None
    old = state(tmp_path / "old", "done", 10)
    assert newest_run(tmp_path) == old
    new = state(tmp_path / "new", "done", 20)
    state(tmp_path / "later", "running", 30)
    assert newest_run(tmp_path) == new


def test_runs_of_a_study_count(tmp_path: Path) -> None:
    state(tmp_path / "old", "done", 10)
    of_study = state(tmp_path / "study" / "arm" / "seed1", "done", 20)
    assert newest_run(tmp_path) == of_study
