"""A tiny study through the real notebooks: killed, continued, and with every shared step made once."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from small_loop import is_running, write_loop

from dataengine_lib.core.files import read_json
from dataengine_lib.evaluation.studies.study_file import StudyFile

ARMS = {"few": {"fine_tune": {"steps": 1}}, "more": None}
RUNS = ["few/seed0", "more/seed0", "few/seed1", "more/seed1"]
# The arms differ in step 5 alone, so those of one seed share all steps before it, and all runs steps 0 and 1.
MADE = {
    "0_classify_questions": 1,
    "round1/1_evaluate": 1,
    "round1/2_construct_queries": 2,
    "round1/3_generate_qa": 2,
    "round1/4_post_process": 2,
    "round1/5_fine_tune": 4,
    "final/1_evaluate": 4,
    "6_compare_rounds": 4,
}


def write_study(folder: Path) -> None:
    write_loop(folder, teacher="playground")
    content = {
        "study": "tiny",
        "base": "small.yaml",
        "arms": ARMS,
        "seeds": 2,
        "parallel": 2,
        "evaluate": {"direct_answers": False},
        "fine_tune": {"max_steps": None, "steps": 2},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))


def command(*options: str) -> list[str]:
    return [str(Path(sys.executable).with_name("dataengine")), "study", "tiny.yaml", *options]


def study(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*options), cwd=folder, capture_output=True, text=True, timeout=900, check=False
    )


def made_steps(out: Path, run: str) -> dict[str, str]:
    """The steps that a run has made itself, with the time at which each began."""
    manifests = {path: read_json(path) for path in sorted((out / run).rglob("*.manifest.json"))}
    return {
        str(path.relative_to(out / run)).removesuffix(".manifest.json"): one["started"]
        for path, one in manifests.items()
        if not one["taken_from"]
    }


def kill_when(folder: Path, label: str) -> None:
    """Start the study and kill it, and nothing else, once a run is in the step `label`."""
    process = subprocess.Popen(command(), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files = [folder / "reports/tiny" / run / "run.json" for run in RUNS]
    while process.poll() is None and not any(is_running(file, label) for file in files):
        time.sleep(0.1)
    assert process.poll() is None, "the study ended before it was killed"
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert children
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == [], "runs go on without the study"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder)
    kill_when(folder, "round1/2_construct_queries")
    finished = study(folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder, finished.stdout


def test_every_run_is_done_and_every_shared_step_was_made_once(done: tuple[Path, str]) -> None:
    folder, printed = done
    out = folder / "reports/tiny"
    state: StudyFile = read_json(out / "study.json", StudyFile)
    assert [(run.folder, run.status) for run in state.runs] == [(name, "done") for name in RUNS]
    assert [arm.changes for arm in state.arms] == [{"fine_tune": {"steps": 1}}, {}] and state.seeds == [0, 1]
    made = [label for run in RUNS for label in made_steps(out, run)]
    assert {label: made.count(label) for label in MADE} == MADE
    assert printed.splitlines()[-1] == "report: reports/tiny/7_study.html"
    assert "more" in (out / "7_study.html").read_text() and (out / "study_results.json").is_file()
    # one line for each run, as the output is no terminal
    assert sum(line.startswith("[") for line in printed.splitlines()) == len(RUNS)
    for run in RUNS:
        assert sorted(path.stem for path in (out / run).rglob("*.html") if path.stem != "index") == sorted(
            [*(label.rpartition("/")[2] for label in MADE), "types"]
        )
    assert len({(out / run / "round1/aokvqa_eval.json").read_bytes() for run in RUNS}) == 1
    assert len({(out / run / "final/aokvqa_eval.json").read_bytes() for run in RUNS}) == len(RUNS)


def test_no_checkpoint_is_left_and_no_page_links_to_one(done: tuple[Path, str]) -> None:
    out = done[0] / "reports/tiny"
    assert list(out.glob("*/*/round1/checkpoint*")) == []
    assert len(list(out.glob("*/*/round1/train_log.json"))) == len(RUNS), "its log stays"
    for run in RUNS:
        for page in ("round1/5_fine_tune.html", "index.html"):
            links = re.findall(r'href="([^"]*)"', (out / run / page).read_text())
            assert links and not [link for link in links if "checkpoint" in link]


def test_the_same_command_makes_nothing_anew_also_without_what_lies_beside_the_runs(
    done: tuple[Path, str],
) -> None:
    folder, _ = done
    out = folder / "reports/tiny"
    before = {run: made_steps(out, run) for run in RUNS}
    shutil.rmtree(out / ".shared")
    finished = study(folder)
    assert finished.returncode == 0, finished.stderr
    assert "4 of 4 runs: nothing changed, skipped" in finished.stdout
    assert {run: made_steps(out, run) for run in RUNS} == before


def test_a_run_that_fails_does_not_stop_the_others(done: tuple[Path, str]) -> None:
    """An arm whose weights file is broken after the checks; the arm beside it takes everything from `more`."""
    folder, _ = done
    content = yaml.safe_load((folder / "tiny.yaml").read_text())
    content |= {
        "arms": {"broken": {"construct_queries": {"weight": "weights.json"}}, "more": None},
        "seeds": 1,
    }
    (folder / "weights.json").write_text("{")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    finished = study(folder, "--parallel", "1")
    state: StudyFile = read_json(folder / "reports/tiny/study.json", StudyFile)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    assert [(run.folder, run.status) for run in state.runs] == [
        ("broken/seed0", "failed"),
        ("more/seed0", "done"),
    ]
    assert "weights.json" in state.runs[0].error
    assert f"broken/seed0 failed: {state.runs[0].error}" in finished.stdout
    assert os.path.exists(folder / "reports/tiny/broken/seed0/run.log")
