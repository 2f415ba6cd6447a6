"""Progress bars: drawn for a person, kept in a file for the run that executes a notebook, and for no other process."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataengine_lib.core.progress import bar
from dataengine_lib.core.progress.bar import BAR_VARIABLE, progress_bar, read_bar
from dataengine_lib.core.progress.bar_state import BarState


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a run looks for the bar of this process, as if it were the kernel of a notebook."""
    monkeypatch.setattr(bar, "_SECONDS", 0.0)
    monkeypatch.setattr(bar, "_is_kernel", lambda: True)
    monkeypatch.setenv(BAR_VARIABLE, str(tmp_path / "a bar.json"))
    return tmp_path / "a bar.json"


def shown(file: Path) -> BarState:
    state = read_bar(file)
    assert state is not None
    return state


def test_the_state_of_a_bar_is_kept_until_it_ends(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert read_bar(file) is None
    began = time.time()
    with progress_bar(total=60, initial=20, desc="embedding", unit="image") as outer:
        state = shown(file)
        assert (state.what, state.unit, state.note) == ("embedding", "image", "")
        assert (state.first, state.done, state.total, state.rate) == (20, 20, 60, None)
        assert began <= state.started <= time.time()
        outer.set_postfix({"loss": "0.5"}, refresh=False)
        outer.update(5)
        outer.refresh()
        state = shown(file)
        assert (state.done, state.note) == (25, "loss=0.5") and state.rate is not None and state.rate > 0
        # of two bars the inner one, and then the outer one once more
        inner = progress_bar(range(3), desc="hashing", leave=False)
        for seen, number in enumerate(inner):
            assert seen == number and shown(file).what == "hashing" and shown(file).total == 3
            outer.update()
        assert shown(file).what == "embedding"
        outer.refresh()
        assert shown(file).done == 28
    assert not file.exists() and list(file.parent.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_bar_that_an_error_left_open_is_gone_with_it(file: Path) -> None:
    with pytest.raises(ValueError, match="broken"):
        fail(file)
    assert not file.exists()


def fail(file: Path) -> None:
    for _ in progress_bar(range(3)):
        assert shown(file).total == 3
        raise ValueError("broken")


def test_a_file_that_cannot_be_written_stops_no_step(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BAR_VARIABLE, str(file.parent / "gone" / "bar.json"))
    assert list(progress_bar(range(3))) == [0, 1, 2]
    file.write_bytes(b"{half")
    assert read_bar(file) is None


def test_programs_that_a_kernel_starts_keep_their_bars_to_themselves(file: Path) -> None:
    code = (
        "import sys; from dataengine_lib.core.progress.bar import progress_bar\n"
        "for _ in progress_bar(range(3)): print(type(_).__name__)"
    )
    command = [sys.executable, "-c", f"import os; {code}\nassert not os.path.exists({str(file)!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # nothing is drawn where standard error is no terminal, and a line is written of a longer task only
    assert (done.stdout.split(), done.stderr) == (["int"] * 3, "")
    assert not file.exists()


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bar, "_LOG_SECONDS", 30.0)
    now = [1000.0]
    monkeypatch.setattr(bar.time, "monotonic", lambda: now[0])
    with progress_bar(total=1000, desc="asking the teacher", unit="row") as shown_bar:
        shown_bar._time = lambda: now[0]
        shown_bar.start_t = shown_bar.last_print_t = now[0]
        for _ in range(100):
            now[0] += 1
            shown_bar.update(2)
            shown_bar.set_postfix({"cost": "$0.10"})
    written = capfd.readouterr()
    assert written.out == ""
    lines = written.err.splitlines()
    assert [line.partition(", ")[0] for line in lines] == [
        f"asking the teacher {done} of 1,000 ({done / 10:.0f} %)" for done in (60, 120, 180)
    ]
    assert lines[1].partition(", ")[2] == "2.0 rows/s, about 7 min 20 s left, cost=$0.10"
