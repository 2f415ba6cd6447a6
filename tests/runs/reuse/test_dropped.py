"""Checkpoints of a finished run are removed, and its manifests know what they were."""

from pathlib import Path

import pytest
from experiments import demo_experiment

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.runs.manifest import Digest, Manifest, is_dropped
from dataengine_lib.runs.reuse.dropped import drop_checkpoints, dropped_outputs
from dataengine_lib.runs.workflow import Planned, plan


@pytest.fixture
def planned(tmp_path: Path) -> list[Planned]:
    """Two rounds of the demo, of which only the trainings have manifests and outputs."""
    steps = plan(demo_experiment(rounds=2), tmp_path)
    for item in steps:
        if item.step.name == "fine_tune":
            folder: Path = item.config.output_dir  # type: ignore[attr-defined]
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_text("weights")
            (folder / "train_log.json").write_text("[]")
            output = Digest(f"round{item.round}/checkpoint", f"hash {item.round}")
            write_json(
                item.manifest,
                Manifest(step=item.step.notebook, identity="x", started="", seed=0, parameters={}, inputs={},
                         outputs=[output], notebook_sha256="", code_sha256="", versions={}),
            )  # fmt: skip
    return steps


@pytest.mark.parametrize(("keep_last", "gone"), [(True, [1]), (False, [1, 2])])
def test_all_or_all_but_the_last_are_removed(
    planned: list[Planned], tmp_path: Path, keep_last: bool, gone: list[int]
) -> None:
    dropped = drop_checkpoints(planned, tmp_path, keep_last=keep_last)
    assert [item.round for item in dropped] == gone
    assert [n for n in (1, 2) if not (tmp_path / f"round{n}/checkpoint").exists()] == gone
    assert list(tmp_path.glob("round*/*.tmp")) == []
    assert dropped_outputs(planned, tmp_path) == {
        tmp_path / f"round{n}/checkpoint": f"hash {n}" for n in gone
    }
    assert drop_checkpoints(planned, tmp_path, keep_last=keep_last) == [], "nothing is left to remove"


def test_what_a_kill_left_of_a_removal_is_removed(planned: list[Planned], tmp_path: Path) -> None:
    drop_checkpoints(planned, tmp_path, keep_last=False)
    left = tmp_path / "round1" / "checkpoint.dropped.tmp"
    left.mkdir()
    (left / "half").write_text("")
    assert drop_checkpoints(planned, tmp_path, keep_last=False) == []
    assert not left.exists()


def test_one_that_is_there_again_is_not_dropped(planned: list[Planned], tmp_path: Path) -> None:
    drop_checkpoints(planned, tmp_path, keep_last=False)
    (tmp_path / "round1" / "checkpoint").mkdir()
    manifest = read_json(tmp_path / "round1" / "5_fine_tune.manifest.json", Manifest)
    assert not is_dropped(manifest, manifest.outputs[0], tmp_path)
    assert list(dropped_outputs(planned, tmp_path)) == [tmp_path / "round2/checkpoint"]
