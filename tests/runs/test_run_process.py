"""`dataengine run` as a process of its own: interrupted, on a full disk, with closed streams and without a reader."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fake_loop
import pytest
from fake_loop import make_loop, run_fake

from dataengine_lib.errors import DataEngineError

ARGUMENTS = ["--out", "runs/fake", "--to", "write"]


def start(file: Path, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, fake_loop.__file__, "run", str(file), *ARGUMENTS]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=file.parent, stdout=pipe, stderr=pipe, text=True, **options)


def state(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((file.parent / "runs" / "fake" / "run.json").read_text())
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_the_next_one_continues(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "Zoë 漢 🦊"
    folder.mkdir()
    hold = folder / "hold"
    hold.touch()
    file = make_loop(folder / "loop", write={"hold": str(hold)})
    process = start(file)
    executed = file.parent / "runs" / "fake" / "round1" / "0_write.ipynb"
    deadline = time.monotonic() + 120
    # the cell that waits has begun once papermill has saved the notebook with it as running
    while not executed.is_file() or '"status": "running"' not in executed.read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(number)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode in (1, 130)
    assert errors == "dataengine: interrupted; run the same command again to continue\n"
    assert (state(file)["status"], state(file)["steps"][0]["status"]) == ("interrupted", "interrupted")
    assert "✗ interrupted" in (file.parent / "runs" / "fake" / "index.html").read_text()

    hold.unlink()
    assert [step.status for step in run_fake(file, stop="write").steps] == ["done", "waiting"]
    assert state(file)["status"] == "done"
    assert (executed.parent / "written.txt").read_text() == "some words 6"


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(tmp_path: Path) -> None:
    file = make_loop(tmp_path / "loop", write={"text": "word " * 40_000})

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    process = start(file, preexec_fn=limit)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert errors.startswith("dataengine: round1/0_write failed: ") and errors.count("\n") == 1
    assert "File too large" in errors and "free disk space, then run again" in errors
    assert state(file)["status"] == "failed"
    assert [step.status for step in run_fake(file, stop="write").steps] == ["done", "waiting"]
    assert (file.parent / "runs" / "fake" / "round1" / "written.txt").stat().st_size == 200_007
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("files", [30, 36])
def test_too_few_open_files_for_a_kernel_are_one_line(tmp_path: Path, files: int) -> None:
    file = make_loop(tmp_path / "loop")
    process = start(file, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert errors.startswith("dataengine: round1/0_write failed: its kernel could not be started: ")
    assert f"only {files} files may be open; raise the limit with `ulimit -n 4096`" in errors
    assert errors.count("\n") == 1
    assert [step.status for step in run_fake(file, stop="write").steps] == ["done", "waiting"]


def test_a_cell_that_opens_too_many_files_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataEngineError) as caught:
        run_fake(make_loop(tmp_path / "loop", shout={"wrong": "files"}))
    found = str(caught.value)
    assert found.startswith("round1/1_shout failed: OSError: [Errno 24] Too many open files")
    assert "; raise the limit with `ulimit -n 4096`, then run again; see " in found and "\n" not in found


def test_closed_streams_change_nothing(tmp_path: Path) -> None:
    file = make_loop(tmp_path / "loop")
    command = [sys.executable, fake_loop.__file__, "run", str(file), *ARGUMENTS]
    closed = subprocess.run(
        ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *command],
        cwd=file.parent,
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/dev/null"},
        check=False,
    )
    assert closed.returncode == 0
    assert state(file)["status"] == "done"


def test_without_a_reader_the_run_is_interrupted(tmp_path: Path) -> None:
    file = make_loop(tmp_path / "loop")
    process = start(file)
    assert process.stdout is not None and process.stdout.readline() == "[1/2] round1/0_write …\n"
    process.stdout.close()
    errors = process.stderr.read() if process.stderr else ""
    assert process.wait(timeout=120) == 1 and errors == ""
    assert state(file)["status"] in ("done", "interrupted"), "not running any more"
