"""A step's page is written by a thread while the next step works, except in a study; its errors name its step."""

import threading
import time
from pathlib import Path

import pytest
from fake_loop import make_loop, run_fake

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.execution import run_steps, step_page
from dataengine_lib.runs.workflow import Planned


class Rendered:
    """In place of `render_step`: notes who writes which page; the page of `slow` takes a moment, that of `broken` fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slow: str = "", broken: str = "") -> None:
        self.by: dict[str, bool] = {}  # the label of a step -> whether the main thread has written its page
        self.slow, self.broken = slow, broken
        self._render = step_page.render_step
        for module in (run_steps, step_page):
            monkeypatch.setattr(module, "render_step", self)

    def __call__(self, item: Planned) -> None:
        self.by[item.label] = threading.current_thread() is threading.main_thread()
        if item.label == self.slow:
            time.sleep(0.5)
        if item.label == self.broken:
            raise DataEngineError("its page cannot be written")
        self._render(item)


FIRST, SECOND = "round1/0_write", "round1/1_shout"


def test_only_the_last_page_is_waited_for_by_its_own_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = Rendered(monkeypatch, slow=FIRST)
    state = run_fake(make_loop(tmp_path))
    assert rendered.by == {FIRST: False, SECOND: True}
    out = tmp_path / "runs" / "fake"
    assert all((out / f"{label}.html").is_file() for label in (FIRST, SECOND))
    assert "1_shout.html" in (out / f"{FIRST}.html").read_text()
    assert [step.status for step in state.steps] == ["done", "done"]


def test_a_run_that_ends_early_has_all_pages_of_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = Rendered(monkeypatch, slow=FIRST)
    with pytest.raises(DataEngineError, match="1_shout failed"):
        run_fake(make_loop(tmp_path), "shout.wrong=ours")
    assert rendered.by == {FIRST: False, SECOND: True}
    assert (tmp_path / "runs" / "fake" / f"{FIRST}.html").is_file()


def test_a_page_that_cannot_be_written_fails_its_own_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_loop(tmp_path)
    with monkeypatch.context() as patch:
        Rendered(patch, broken=FIRST)
        with pytest.raises(DataEngineError, match=r"^round1/0_write failed: its page cannot be written$"):
            run_fake(file)
    state = read_json(tmp_path / "runs" / "fake" / "run.json")
    assert [step["status"] for step in state["steps"]] == ["failed", "done"]
    assert (state["status"], state["error"]) == ("failed", f"{FIRST}: its page cannot be written")
    # the next run writes the page, and does no step twice
    assert [step.status for step in run_fake(file).steps] == ["skipped", "skipped"]
    assert (tmp_path / "runs" / "fake" / f"{FIRST}.html").is_file()


def test_a_study_writes_each_page_before_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = Rendered(monkeypatch)
    run_fake(make_loop(tmp_path), on_step=lambda state, manifest: None)
    assert rendered.by == {FIRST: True, SECOND: True}
