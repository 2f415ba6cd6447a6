"""What is seen of a run while a step works: its bar and the time left, in a log, on a terminal and on the watched page."""

import io
import sys
import time
from pathlib import Path

import fake_loop
import pytest
from fake_loop import make_loop, run_fake

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.progress.bar_state import BarState, bar_seconds, bar_words
from dataengine_lib.runs.live import display, watched_page
from dataengine_lib.runs.live.step_status import StepStatus
from dataengine_lib.runs.live.time_left import TimeLeft, earlier_seconds
from dataengine_lib.runs.state import RunState
from dataengine_lib.runs.workflow import plan

TITLE = "[3/13] round1/3_generate_qa"
WITH_BAR = """
from dataengine_lib.core.progress.bar import progress_bar
with progress_bar(total=100_000, initial=20, desc="asking <b>", unit="image") as bar:
    while not (Path(source).parent / "seen").exists() and bar.n < 10_000:
        time.sleep(0.01)
        bar.update()
"""


def a_bar(**changes: object) -> BarState:
    values = {"what": "asking the teacher", "unit": "it", "done": 420, "first": 0, "total": 1000, "rate": 20.0,
              "note": "", "started": time.time() - 21} | changes  # fmt: skip
    return BarState(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "asking the teacher 420 of 1,000 (42 %), 20.0/s, about 29 s left"),
        (
            {"unit": "image", "note": "$0.12"},
            "asking the teacher 420 of 1,000 (42 %), 20.0 images/s, about 29 s left, $0.12",
        ),
        ({"rate": 0.25, "done": 999}, "asking the teacher 999 of 1,000 (100 %), 4.0 s each, about 4 s left"),
        # what an earlier run has done says nothing about the rate of this one
        ({"rate": None, "first": 420}, "asking the teacher 420 of 1,000 (42 %)"),
        ({"total": None, "rate": 3.0}, "asking the teacher 420, 3.0/s"),
        ({"total": 0, "done": 0, "rate": None, "what": ""}, "0"),
        ({"done": 1010}, "asking the teacher 1,010 of 1,000 (100 %), 20.0/s, about 0 s left"),
    ],
)  # fmt: skip
def test_a_bar_in_words(changes: dict[str, object], words: str) -> None:
    assert bar_words(a_bar(**changes)) == words


def test_a_step_in_words_and_as_a_meter() -> None:
    status = StepStatus(TITLE, 45.2, None, None)
    assert status.line == status.run_words == f"{TITLE}: 45 s" and status.meter(80) == ""
    status = StepStatus(TITLE, 45.2, a_bar(), 365)
    assert status.run_words == f"{TITLE}: 45 s; about 6 min 05 s of the run left"
    assert (
        status.line == f"{status.run_words}; asking the teacher 420 of 1,000 (42 %), 20.0/s, about 29 s left"
    )
    meter = status.meter(80)
    assert len(meter) == 80 and meter.startswith("asking the teacher:  42%|")
    assert "420/1000 [00:21<00:29, 20.00it/s]" in meter
    assert bar_seconds(a_bar(done=1010)) == 0


def test_the_time_left_is_that_of_earlier_runs_at_the_pace_of_this_one() -> None:
    times = TimeLeft({"round1/1_a": 10, "round1/2_b": 20, "round2/1_a": 30})
    assert times.seconds("round1/1_a", 4, None, ["round1/2_b", "round2/1_a"]) == 56
    # a step that takes longer than before, by its own bar or without one
    assert times.seconds("round1/1_a", 4, 15, ["round1/2_b"]) == 35
    assert times.seconds("round1/1_a", 14, None, ["round1/2_b"]) == 20
    assert times.seconds("round1/1_a", 4, None, ["round2/2_b"]) is None
    assert times.seconds("round1/3_new", 4, 9, []) is None
    times.took("round1/1_a", 40)  # four times as slow
    assert times.seconds("round1/2_b", 30, None, ["round2/1_a"]) == 50 + 120
    # as in this run's round before
    times.took("round1/2_b", 80)
    assert times.seconds("round2/1_a", 120, None, ["round2/2_b"]) == 80


def test_earlier_runs_are_those_of_the_same_name_that_can_be_read(tmp_path: Path) -> None:
    file = make_loop(tmp_path)
    reports = tmp_path / "runs"
    for folder, run, started, seconds in (
        ("old", "fake", "2026-01-01", 5), ("new", "fake", "2026-02-01", 7), ("else", "other", "2026-03-01", 9)
    ):  # fmt: skip
        steps = [{"step": "1_shout", "label": "round1/1_shout", "status": "done", "seconds": seconds}]
        steps.append({"step": "0_write", "label": "round1/0_write", "status": "failed", "seconds": 99})
        write_json(reports / folder / "run.json", {"run": run, "started": started, "steps": steps})
    (reports / "broken").mkdir()
    (reports / "broken" / "run.json").write_text("{half")
    fake_loop.workflow.STEPS = fake_loop.STEPS
    planned = plan(fake_loop.read_fake(file), reports / "now")
    assert earlier_seconds(planned, reports / "now", "fake") == {"round1/1_shout": 7}


def test_a_step_is_shown_while_it_works_and_leaves_nothing_in_its_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step with a bar, in a log: lines with its figures, and a page that loads itself anew until the run ends."""
    monkeypatch.setattr(fake_loop, "WRITE", fake_loop.WRITE + WITH_BAR)
    monkeypatch.setattr(display._LogLines, "seconds", 0.2)
    monkeypatch.setattr(watched_page, "RELOAD_SECONDS", 0.2)
    monkeypatch.setattr(watched_page, "_MOST_WORK", 1.0)
    file, lines, pages = make_loop(tmp_path), list[str](), list[Path]()
    page = tmp_path / "runs" / "fake" / "index.html"
    running: list[str] = []

    def print_line(line: str) -> None:
        lines.append(line)
        if "asking <b>" in line:
            running.append(page.read_text())
            if " images/s, about " in line and "<progress value=" in running[-1]:
                (tmp_path / "seen").touch()

    state: RunState = run_fake(file, print_line=print_line, watch=pages.append, stop="write")
    assert state.status == "done" and pages == [page]
    found = [line for line in lines if line.startswith("[1/2] round1/0_write: ")]
    bars = [line for line in found if "asking <b>" in line]
    assert bars and " of 100,000 (0 %)" in bars[-1] and " images/s, about " in bars[-1]
    assert all("location.reload()" in text and "script-src 'sha256-" in text for text in running)
    assert any("<progress value=" in text and "asking &lt;b&gt;" in text for text in running)
    assert not any("<b>" in text.partition("<main>")[2].partition("<dl")[0] for text in running)
    ended = page.read_text()
    assert "<script" not in ended and "<progress" not in ended and "asking" not in ended
    notebook = read_json(tmp_path / "runs" / "fake" / "round1" / "0_write.ipynb")
    assert [output for cell in notebook["cells"] for output in cell.get("outputs", [])] == []
    assert "widgets" not in notebook["metadata"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_bar_above_the_run_and_ends_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(display, "read_bar", lambda file: a_bar())
    monkeypatch.setattr(display._TerminalLines, "seconds", 0.01)
    lines: list[str] = []
    shown = display.StepDisplay(TimeLeft({"a": 100.0, "b": 50.0}), lines.append)
    with shown.step("[1/2] a", "a", ["b"]):
        deadline = time.monotonic() + 60
        while "of the run left" not in terminal.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    found = terminal.getvalue()
    assert found.index("asking the teacher:  42%|") < found.index(
        "[1/2] a: 0 s; about 2 min 30 s of the run left"
    )
    assert len(lines) == 1 and lines[0].startswith("[1/2] a: ") and lines[0].endswith(" s")


def test_an_error_of_a_view_is_raised_after_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(line: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(display._LogLines, "seconds", 0.0)
    shown = display.StepDisplay(TimeLeft({}), closed)
    worked = []
    with pytest.raises(BrokenPipeError), shown.step("[1/1] a", "a", []):
        time.sleep(0.2)
        worked.append(True)
    assert worked
    # the step's own error comes first
    with pytest.raises(ValueError, match="its own"), shown.step("[1/1] a", "a", []):
        time.sleep(0.2)
        raise ValueError("its own")
