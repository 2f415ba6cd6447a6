"""What one run of a study has made is taken over by the others; each has files of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from experiments import demo_experiment
from fake_loop import STEPS as FAKE_STEPS
from fake_loop import make_loop, read_fake

from dataengine_lib.core.files import read_json
from dataengine_lib.runs import workflow
from dataengine_lib.runs.manifest import Manifest
from dataengine_lib.runs.run import run_experiment
from dataengine_lib.runs.workflow import Planned
from dataengine_lib.studies.grid import step_keys
from dataengine_lib.studies.run_study import _with_shared_students
from dataengine_lib.studies.shared_steps import StudySteps, _copy, _link_folder, _lock

HOLD = """
import sys
from pathlib import Path
from dataengine_lib.studies.shared_steps import _lock
with _lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def forked(forked_kernels: None) -> None:
    """All kernels of this file."""


def run_arm(file: Path, arm: str, *sets: str) -> dict[str, Manifest]:
    """The fake loop as one run of a study; its manifests by step."""
    workflow.STEPS = FAKE_STEPS
    out = file.parent / "study" / arm / "seed5"
    run_experiment(
        read_fake(file, *sets), out, notebooks=file.parent / "notebooks", print_line=lambda line: None,
        shared=StudySteps(file.parent / "study"),
    )  # fmt: skip
    return {path.name.split(".")[0]: read_json(path, Manifest) for path in out.glob("round1/*.manifest.json")}


def test_a_step_made_from_the_same_is_taken_over_whole_and_apart(tmp_path: Path) -> None:
    file = make_loop(tmp_path, shout={"warn": "loud"})
    first, second = (tmp_path / "study" / arm / "seed5" / "round1" for arm in ("a", "a2"))
    made = run_arm(file, "a")
    taken = run_arm(file, "a2", "shout.warn=louder")
    assert [made[name].taken_from for name in ("0_write", "1_shout")] == ["", ""]
    assert [taken[name].taken_from for name in ("0_write", "1_shout")] == ["a/seed5", ""]
    assert taken["0_write"].identity == made["0_write"].identity
    assert (second / "written.txt").read_bytes() == (first / "written.txt").read_bytes()
    # files of its own, which name its own folder
    assert (second / "written.txt").stat().st_ino != (first / "written.txt").stat().st_ino
    for name in ("0_write.ipynb", "0_write.html", "0_write.manifest.json"):
        text = (second / name).read_text()
        assert str(first) not in text and "study/a/" not in text, name
    assert str(second / "written.txt") in (second / "0_write.ipynb").read_text()
    # and it is done: nothing runs once more, also without what the study keeps beside its runs
    again = run_arm(file, "a2", "shout.warn=louder")
    assert {name: one.started for name, one in again.items()} == {
        name: one.started for name, one in taken.items()
    }

    # an output that was changed afterwards is not taken over
    (first / "written.txt").write_text("tampered")
    (second / "written.txt").unlink()
    third = run_arm(file, "b")
    assert third["0_write"].taken_from == ""
    assert (tmp_path / "study/b/seed5/round1/written.txt").read_text() == "some words 6"


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    file = tmp_path / "locks" / "one"
    hold = [sys.executable, "-c", HOLD, str(file)]
    holder = subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    waiting = subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(1.0)
    holder.kill()
    assert waiting.communicate(timeout=60)[0] == "held\n"
    holder.communicate()
    with _lock(file):
        pass


def test_paths_of_a_run_are_changed_and_those_that_only_begin_alike_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('["r/s/a/seed1", "r/s/a/seed1/x", "r/s/a/seed10/x", "r/s/a/seed1.b"]')
    _copy(tmp_path / "a.json", tmp_path / "b.json", "r/s/a/seed1", "r/s/b/seed2")
    assert json.loads((tmp_path / "b.json").read_text()) == [
        "r/s/b/seed2", "r/s/b/seed2/x", "r/s/a/seed10/x", "r/s/a/seed1.b",
    ]  # fmt: skip
    (tmp_path / "a.bin").write_bytes(b"r/s/a/seed1")
    _copy(tmp_path / "a.bin", tmp_path / "b.bin", "r/s/a/seed1", "r/s/b/seed2")
    assert (tmp_path / "b.bin").read_bytes() == b"r/s/a/seed1"


def test_a_folder_is_linked_and_survives_its_source(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x").write_text("1")
    _link_folder(tmp_path / "a", tmp_path / "b")
    _link_folder(tmp_path / "a", tmp_path / "b")  # in place of an earlier one
    assert os.stat(tmp_path / "a/deep/x").st_nlink == 2
    (tmp_path / "a" / "deep" / "x").unlink()
    assert (tmp_path / "b" / "deep" / "x").read_text() == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_step_keys_say_beforehand_what_is_shared(tmp_path: Path) -> None:
    workflow.STEPS = FAKE_STEPS
    file = make_loop(tmp_path)

    def keys(*sets: str) -> dict[str, str]:
        out = tmp_path / "study" / f"arm{len(sets)}"
        return step_keys(workflow.plan(read_fake(file, *sets), out), out)

    base, louder, other = keys(), keys("shout.warn=x"), keys("write.text=x", "shout.warn=y")
    assert base["round1/0_write"] == louder["round1/0_write"] != other["round1/0_write"]
    assert len({one["round1/1_shout"] for one in (base, louder, other)}) == 3


def test_embeddings_are_made_by_one_run_and_linked_by_the_next(tmp_path: Path) -> None:
    steps = StudySteps(tmp_path)

    def queries(arm: str, *sets: str) -> tuple[Planned, Path]:
        out = tmp_path / arm / "seed0"
        item = next(one for one in workflow.plan(demo_experiment(*sets), out) if one.step.number == 2)
        return item, out / "coco_embedding"

    first, store = queries("a")
    with steps._stores(first, tmp_path / "a/seed0"):
        store.mkdir(parents=True)
        (store / "vectors.npy").write_text("vectors")
    second, other = queries("b")
    with steps._stores(second, tmp_path / "b/seed0"):
        assert (other / "vectors.npy").read_text() == "vectors"
        # a store's files are replaced and never changed, so that a new one is another file
        (other / "vectors.npy").unlink()
        (other / "vectors.npy").write_text("more")
    assert (store / "vectors.npy").read_text() == "vectors"
    third, none = queries("c", "construct_queries.encoder=another/clip")
    with steps._stores(third, tmp_path / "c/seed0"):
        assert not none.exists()
        none.mkdir(parents=True)


def test_a_run_that_failed_shares_no_store(tmp_path: Path) -> None:
    item = next(one for one in workflow.plan(demo_experiment(), tmp_path / "a/seed0") if one.step.number == 2)
    with pytest.raises(ValueError), StudySteps(tmp_path)._stores(item, tmp_path / "a/seed0"):
        (tmp_path / "a/seed0/coco_embedding").mkdir(parents=True)
        raise ValueError
    assert [path.name for path in (tmp_path / ".shared/stores").iterdir() if path.is_dir()] == []


def test_students_that_other_runs_take_over_are_known(tmp_path: Path) -> None:
    keys = {"a/seed0": {"round1/5_fine_tune": "x"}, "b/seed0": {"round1/5_fine_tune": "x"},
            "c/seed0": {"round1/5_fine_tune": "y"}}  # fmt: skip
    assert _with_shared_students(keys) == {"a/seed0", "b/seed0"}
