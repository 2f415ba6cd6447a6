"""Runs beside damaged files, in odd folders, and with kernels that die: the run goes on, or one line says why not."""

import datetime
import itertools
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_loop import STEPS, make_loop, read_fake, run_fake
from papermill.engines import NotebookExecutionManager

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs import workflow
from dataengine_lib.runs.run import run_experiment

DAMAGED = {
    "list": b"[]",
    "empty": b"",
    "no text": b"\x9f\x00\x81",
    "number of steps": b'{"run": "other", "steps": 3}',
    "steps that are numbers": b'{"steps": [3]}',
    "of another program": b'{"run": {"id": 1}, "status": ["ok"], "steps": {"a": 1}, "seconds": "2 min"}',
    "time as text": b'{"seconds": "2 min", "steps": []}',
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a finished run in `runs/fake`."""
    before, folder = workflow.STEPS, tmp_path_factory.mktemp("finished")
    run_fake(make_loop(folder))
    yield folder
    workflow.STEPS = before


@pytest.fixture
def loop(finished: Path) -> Iterator[Path]:
    """The YAML of the finished run, whose folder is as before after the test."""
    kept = finished / "kept"
    shutil.copytree(finished / "runs", kept)
    yield finished / "fake.yaml"
    shutil.rmtree(finished / "runs")
    kept.rename(finished / "runs")


def statuses(file: Path, *sets: str) -> list[str]:
    return [step.status for step in run_fake(file, *sets).steps]


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_run_beside_is_named_on_the_page_and_stops_nothing(loop: Path, content: bytes) -> None:
    other = loop.parent / "runs" / "other" / "run.json"
    other.parent.mkdir()
    other.write_bytes(content)
    assert statuses(loop) == ["skipped", "skipped"]
    page = (loop.parent / "runs" / "index.html").read_text()
    assert f"{other}: " in page and '<a href="fake/index.html">fake</a>' in page


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_state_of_the_run_itself_is_written_anew(loop: Path, content: bytes) -> None:
    file = loop.parent / "runs" / "fake" / "run.json"
    file.write_bytes(content)
    assert statuses(loop) == ["skipped", "skipped"]
    assert read_json(file)["status"] == "done"


@pytest.mark.parametrize("name", [".hashes.json", ".lock"])
def test_damaged_files_of_bookkeeping_are_written_anew(loop: Path, name: str) -> None:
    file = loop.parent / "runs" / "fake" / name
    for content in (*DAMAGED.values(), b"999999999999999999999", "²".encode()):
        file.write_bytes(content)
        assert statuses(loop) == ["skipped", "skipped"]


def test_a_notebook_that_cannot_be_rendered_does_not_stop_a_finished_step(loop: Path) -> None:
    notebook = loop.parent / "runs" / "fake" / "round1" / "0_write.ipynb"
    notebook.with_suffix(".html").unlink()
    for content in DAMAGED.values():
        notebook.write_bytes(content)
        lines: list[str] = []
        state = run_fake(loop, print_line=lines.append)
        assert [step.status for step in state.steps] == ["skipped", "skipped"]
        assert f"no page: {notebook}: is no notebook that can be read; run its step once more" in lines[0]


def test_the_page_of_all_runs_is_left_out_where_it_cannot_be_written(loop: Path) -> None:
    page = loop.parent / "runs" / "index.html"
    page.unlink()
    page.mkdir()
    assert statuses(loop) == ["skipped", "skipped"]
    assert (loop.parent / "runs" / "fake" / "index.html").is_file()


def test_a_renamed_run_is_skipped_at_its_new_place(loop: Path) -> None:
    new = loop.parent / "runs" / "Zoë 漢 🦊"
    (loop.parent / "runs" / "fake").rename(new)
    state = run_experiment(
        read_fake(loop), new, notebooks=loop.parent / "notebooks", print_line=lambda line: None
    )
    assert [step.status for step in state.steps] == ["skipped", "skipped"]


@pytest.mark.parametrize("place", ["file", "link to itself", "link to nothing"])
def test_what_stands_at_the_place_of_the_run_is_one_line(tmp_path: Path, place: str) -> None:
    file, out = make_loop(tmp_path), tmp_path / "runs" / "fake"
    out.parent.mkdir()
    if place == "file":
        out.touch()
    else:
        out.symlink_to(out if place == "link to itself" else tmp_path / "nothing" / "there")
    with pytest.raises(DataEngineError) as caught:
        run_fake(file)
    assert str(caught.value).startswith(f"--out {out}: cannot be written (")


@pytest.mark.parametrize("wrong", ["exit", "killed"])
def test_a_kernel_that_dies_is_one_line_and_its_notebook_is_kept(loop: Path, wrong: str) -> None:
    out = loop.parent / "runs" / "fake"
    with pytest.raises(DataEngineError) as caught:
        run_fake(loop, f"shout.wrong={wrong}")
    reason = "its kernel died, most likely for lack of memory; end other programs, then run again"
    assert str(caught.value) == f"round1/1_shout failed: {reason}; see {out / 'round1' / '1_shout.html'}"
    assert (out / "round1" / "1_shout.ipynb").is_file()
    assert (out / "round1" / "written.txt").read_text() == "some words 6"
    assert read_json(out / "run.json")["error"] == f"round1/1_shout: {reason}"


FOREIGN = {
    "none": None,
    "of another Python": b'{"argv": ["/nowhere/python", "-m", "ipykernel_launcher"], "display_name": "x"}',
    "of another language": b'{"argv": ["false"], "display_name": "R", "language": "R"}',
    "damaged": b"{",
}


@pytest.mark.parametrize("spec", FOREIGN.values(), ids=FOREIGN)
def test_whatever_kernels_jupyter_finds_a_run_uses_this_python(
    loop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: bytes | None
) -> None:
    """As where packages lie in a folder of their own: this Python's folder has no kernel spec, and another one is found."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    if spec is not None:
        (tmp_path / "kernels" / "python3").mkdir(parents=True)
        (tmp_path / "kernels" / "python3" / "kernel.json").write_bytes(spec)
    state = run_fake(loop, "write.text=other")
    assert [step.status for step in state.steps] == ["done", "done"]


@pytest.mark.parametrize("kernelspec", [{"name": "ir", "language": "R"}, {"name": "my-env"}, None])
def test_a_notebook_that_was_saved_with_another_kernel_is_run_by_this_python(
    tmp_path: Path, kernelspec: dict[str, str] | None
) -> None:
    file = make_loop(tmp_path)
    notebook = tmp_path / "notebooks" / "0_write.ipynb"
    book = json.loads(notebook.read_bytes())
    book["metadata"] = {} if kernelspec is None else {"kernelspec": {"display_name": "x", **kernelspec}}
    notebook.write_text(json.dumps(book))
    assert run_fake(file, stop="write").steps[0].status == "done"


def test_a_kernel_that_is_not_installed_is_one_line(loop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel.kernelspec", None)
    with pytest.raises(DataEngineError) as caught:
        run_fake(loop, "write.text=other")
    assert str(caught.value).startswith("round1/0_write failed: its kernel could not be started (")
    assert "; run: dataengine doctor; see " in str(caught.value) and "\n" not in str(caught.value)


def test_a_clock_that_goes_backwards_recomputes_nothing_and_shows_no_negative_time(
    loop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = itertools.count(0, -3600)
    start = datetime.datetime.now(datetime.UTC)
    monkeypatch.setattr(
        NotebookExecutionManager, "now", lambda self: start + datetime.timedelta(seconds=next(moments))
    )
    out = loop.parent / "runs" / "fake"
    assert statuses(loop, "write.text=clock") == ["done", "done"]
    # every file is of a time that has not come yet, and the runs after it are of the year 1970
    for file in [loop.parent / "source.txt", *out.rglob("*")]:
        os.utime(file, (4e9, 4e9))
    monkeypatch.setattr(time, "time", lambda: 1e6)
    for _ in range(2):
        assert statuses(loop, "write.text=clock") == ["skipped", "skipped"]
        state = read_json(out / "run.json")
        assert 0 < state["overhead_seconds"] < state["seconds"]
        for step in state["steps"]:
            assert 0 < step["overhead_seconds"] < step["seconds"]
    assert not re.search(r">\s*[-\u2212][0-9]", (out / "index.html").read_text())
    (loop.parent / "source.txt").write_text("SOME")
    assert statuses(loop, "write.text=clock") == ["done", "done"]


def test_the_current_folder_can_be_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_loop(tmp_path / "project", write={"source": "source.txt"})
    here = tmp_path / "Zoë's run"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(workflow, "STEPS", STEPS)
    for out, status in ((Path(), "done"), (here, "skipped"), (Path("sub/.."), "skipped")):
        state = run_experiment(
            read_fake(file),
            out,
            stop="write",
            notebooks=file.parent / "notebooks",
            print_line=lambda line: None,
        )
        assert state.steps[0].status == status
    assert (here / "round1" / "written.txt").read_text() == "some words 6"
    assert "<title>Run fake" in (here / "index.html").read_text()
    assert 'href="Zo%C3%AB%27s%20run/index.html"' in (tmp_path / "index.html").read_text()
