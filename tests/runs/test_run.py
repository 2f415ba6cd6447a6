"""Running, skipping, resuming and failing, on a loop of two small notebooks."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_loop
import psutil
import pytest
from fake_loop import make_loop, run_fake, write_yaml

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.playground import sets
from dataengine_lib.runs.kernels.forked_kernels import KernelForks
from dataengine_lib.runs.precheck import check_run
from dataengine_lib.runs.summary import warned_lines


def files_of(folder: Path) -> dict[str, bytes]:
    names = ("written.txt", "shouted.txt")
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.txt")) if p.name in names
    }


class TestRun:
    def test_runs_skips_and_runs_again_what_changed(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path)
        out = tmp_path / "runs" / "fake"
        state = run_fake(file)
        assert (out / "round1" / "shouted.txt").read_text() == "SOME WORDS 6"
        assert [step.status for step in state.steps] == ["done", "done"]
        written = read_json(out / "run.json")
        assert written["status"] == "done"
        assert [step["outputs"] for step in written["steps"]] == [
            ["round1/written.txt"],
            ["round1/shouted.txt"],
        ]
        assert 0 < written["overhead_seconds"] <= written["seconds"]
        for page in ("round1/0_write.html", "round1/1_shout.html", "index.html", "../index.html"):
            assert (out / page).is_file(), page
        manifest = read_json(out / "round1" / "1_shout.manifest.json")
        assert manifest["inputs"]["input"][0]["path"].endswith("round1/written.txt")
        assert len(manifest["outputs"][0]["sha256"]) == 64
        assert manifest["versions"]["dataengine"]

        assert [step.status for step in run_fake(file).steps] == ["skipped", "skipped"]

        (out / "round1" / "shouted.txt").write_text("tampered")
        assert [step.status for step in run_fake(file).steps] == ["skipped", "done"]
        assert (out / "round1" / "shouted.txt").read_text() == "SOME WORDS 6"

        state = run_fake(file, "write.text=new", stop="write")
        assert [step.status for step in state.steps] == ["done", "skipped"], "shown as it was, not run"
        assert [step.status for step in run_fake(file, "write.text=new").steps] == ["skipped", "done"]
        assert (out / "round1" / "shouted.txt").read_text() == "SOME NEW 6"

        repeated = run_fake(file, "write.text=new", start="write")
        assert [step.status for step in repeated.steps] == ["done", "skipped"], (
            "the same words, so nothing to shout"
        )

    def test_the_process_of_kernels_starts_before_the_playground_is_drawn(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order: list[str] = []
        fork_kernels = fake_loop.fork_kernels

        def noted(patch: pytest.MonkeyPatch) -> None:
            fork_kernels(patch)
            patch.setattr(KernelForks, "start", lambda _: order.append("kernels"))

        monkeypatch.setattr(fake_loop, "fork_kernels", noted)
        write_sets = sets._write_sets
        monkeypatch.setattr(sets, "_write_sets", lambda *given: (order.append("drawing"), write_sets(*given)))
        drawn = {
            "cache": str(tmp_path / "cache"),
            "sizes": {"base": 1, "pool": 1, "diagnose": 1, "holdout": 1},
        }
        run_fake(make_loop(tmp_path, playground=drawn))
        assert order[:2] == ["kernels", "drawing"] and order.count("drawing") == 1
        order.clear()
        run_fake(write_yaml(tmp_path, playground=drawn))
        assert order == []  # nothing changed
        # a single notebook has a kernel of its own, and another seed is drawn first
        run_fake(write_yaml(tmp_path, playground=drawn | {"seed": 1}), start="shout", stop="shout")
        assert order == ["drawing"]

    def test_an_output_that_was_dropped_is_made_anew_only_when_a_step_has_to_read_it(
        self, tmp_path: Path
    ) -> None:
        file = make_loop(tmp_path)
        out = tmp_path / "runs" / "fake"
        run_fake(file)
        written, manifest = out / "round1" / "written.txt", out / "round1" / "0_write.manifest.json"
        write_json(manifest, read_json(manifest) | {"dropped": ["round1/written.txt"]})
        written.unlink()
        assert [step.status for step in run_fake(file).steps] == ["skipped", "skipped"]
        assert not written.exists()
        assert [step.status for step in run_fake(file, "shout.warn=new").steps] == ["done", "done"]
        assert written.read_text() == "some words 6"
        assert read_json(manifest)["dropped"] == []

    def test_a_failing_step_keeps_its_notebook_and_what_was_made(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path, shout={"wrong": "ours"})
        out = tmp_path / "runs" / "fake"
        with pytest.raises(DataEngineError) as caught:
            run_fake(file)
        page = out / "round1" / "1_shout.html"
        message = "in.json: row 3: no image | second line"
        assert str(caught.value) == f"round1/1_shout failed: {message}; see {page}"
        assert caught.value.exit_code == 1
        assert "Traceback" in page.read_text() and "DataEngineError" in page.read_text()
        assert (out / "round1" / "1_shout.ipynb").is_file()
        assert (out / "round1" / "written.txt").read_text() == "some words 6"
        written = read_json(out / "run.json")
        assert (written["status"], written["error"]) == ("failed", f"round1/1_shout: {message}")
        assert [step["status"] for step in written["steps"]] == ["done", "failed"]

        with pytest.raises(
            DataEngineError, match=r"1_shout failed: ValueError: in\.json: row 3: no image; see"
        ):
            run_fake(file, "shout.wrong=other")
        fixed = run_fake(file, 'shout.wrong=""')
        assert [step.status for step in fixed.steps] == ["skipped", "done"]
        assert fixed.error == ""

    def test_warnings_of_a_step_are_shown_and_kept_also_when_it_is_skipped(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path, shout={"warn": "one word;few <words>"})
        out = tmp_path / "runs" / "fake"
        for status, lines in (("done", []), ("skipped", [])):
            state = run_fake(file, print_line=lines.append)
            assert [step.status for step in state.steps] == [status, status]
            assert [step.warnings for step in state.steps] == [[], ["one word", "few <words>"]]
            assert lines[-2:] == ["  warning: one word", "  warning: few <words>"]
            written = read_json(out / "run.json")
            assert written["steps"][1]["warnings"] == ["one word", "few <words>"]
            assert "⚠ Warning," in (out / "index.html").read_text()
            assert warned_lines(state) == ["warnings: 2, of round1/1_shout; see above and in the report"]
        assert read_json(out / "round1" / "1_shout.manifest.json")["warnings"] == ["one word", "few <words>"]
        page = (out / "round1" / "1_shout.html").read_text()
        assert "<strong>⚠ Warning:</strong> few &lt;words&gt;</p>" in page
        # the parameter that asks for it and the warning, but not the output's metadata
        assert page.count("one word") == 2

        calm = run_fake(file, 'shout.warn=""')
        assert [step.warnings for step in calm.steps] == [[], []] and warned_lines(calm) == []

    def test_warnings_before_the_first_step_are_shown_and_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        few = "holdout split: has 12 <questions>"
        monkeypatch.setattr(
            "dataengine_lib.runs.run.check_run", lambda *given: [*check_run(*given), few, few]
        )
        file, lines = make_loop(tmp_path, shout={"warn": "one word"}), list[str]()
        state = run_fake(file, print_line=lines.append)
        assert lines[0] == f"warning: {few}" and lines.count(lines[0]) == 1
        assert lines[1].startswith("[1/2] ")
        assert state.warnings == [few]
        assert read_json(tmp_path / "runs" / "fake" / "run.json")["warnings"] == [few]
        assert warned_lines(state) == [
            "warnings: 2, of the checks before the run, round1/1_shout; see above and in the report"
        ]
        page = (tmp_path / "runs" / "fake" / "index.html").read_text()
        page = re.sub(r"</?span[^>]*>", "", page)  # which keep numbers from breaking over lines
        assert "<strong>⚠ Warning, before the run:</strong> holdout split: has 12 &lt;questions&gt;" in page
        assert "2 warnings" in (tmp_path / "runs" / "index.html").read_text()

    def test_killed_in_a_step_and_run_again_gives_the_same_files(self, tmp_path: Path) -> None:
        hold = tmp_path / "hold"
        file = make_loop(tmp_path, write={"hold": str(hold)})
        out = tmp_path / "runs" / "fake"
        hold.touch()
        environment = os.environ | {"FAKE_YAML": str(file)}
        process = subprocess.Popen([sys.executable, fake_loop.__file__], env=environment)
        kernels = wait_for_kernel(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert read_json(out / "run.json")["steps"][0]["status"] == "running"
        assert not (out / "round1" / "0_write.manifest.json").exists()
        hold.unlink()
        state = run_fake(file)
        assert not any(map(at_work, kernels)), "the killed run's kernel is gone first"
        assert [step.status for step in state.steps] == ["done", "done"]
        assert files_of(out) == {"round1/shouted.txt": b"SOME WORDS 6", "round1/written.txt": b"some words 6"}


def wait_for_kernel(process: "subprocess.Popen[bytes]") -> list[int]:
    """Pids of the kernel that `process` started, once there is one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended by itself"
        found = [
            p.pid
            for p in psutil.Process(process.pid).children()
            if "ipykernel_launcher" in " ".join(p.cmdline())
        ]
        if found:
            time.sleep(1)
            return found
        time.sleep(0.1)
    raise AssertionError("no kernel within two minutes")


def at_work(pid: int) -> bool:
    """Whether a process can still write: one that has ended keeps its pid until its parent waits for it (a zombie)."""
    try:
        return bool(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
