"""A training that is killed continues from its newest state, and ends with the same bytes."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fine_tuning import Make, row, weights
from huggingface_hub import constants

from dataengine_lib.core.files import write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.fine_tune import FineTuneConfig, FineTuneResult, fine_tune
from dataengine_lib.training.logged_process import hold_lock
from dataengine_lib.training.trainer import student_trainer
from dataengine_lib.training.trainer.progress import TrainingProgress

EVERY = 3  # steps between states; twelve steps in all


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _in_step(at: int) -> None:
    went_on = TrainingProgress.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **more: Any) -> Any:
        if state.global_step == at:
            _die()
        return went_on(self, args, state, control, **more)

    TrainingProgress.on_step_end = on_step_end  # type: ignore[method-assign]


def _in_state(at: int) -> None:
    """While the weights of a state are half written."""
    real = student_trainer.save_file

    def save_file(tensors: Any, file: Path) -> None:
        real(tensors, file)
        if file.parent.name == f"checkpoint-{at}":
            file.write_bytes(file.read_bytes()[:100])
            _die()

    student_trainer.save_file = save_file  # type: ignore[assignment]


def _in_checkpoint(at: int) -> None:
    """While the checkpoint is written, when all steps are done."""
    from dataengine_lib.training import checkpoint

    checkpoint.save_checkpoint = lambda *_, **__: _die()  # type: ignore[assignment]


def killed(config: FineTuneConfig, at: int, where: Callable[[int], None]) -> None:
    """Run step 5 in a process that is killed there."""

    def run() -> None:
        where(at)
        fine_tune(config)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def continued(result: FineTuneResult) -> int:
    return result.time.resumed_from


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(
    ("where", "at", "newest"), [(_in_step, 8, 6), (_in_state, 9, 6), (_in_checkpoint, 0, 9)]
)
def test_a_killed_training_continues_bit_for_bit(
    config: Make, images: Path, method: str, where: Callable[[int], None], at: int, newest: int
) -> None:
    settings = {"method": method, "epochs": 6, "save_steps": EVERY, "accumulate": 2}
    whole = fine_tune(config(output_dir=images / "whole", **settings))
    assert whole.log.steps == 12 and whole.time.earlier_run == "" and continued(whole) == 0
    killed(config(**settings), at, where)
    assert not (images / "checkpoint").exists()
    result = fine_tune(config(**settings))
    assert continued(result) == newest
    assert result.time.earlier_run == f"An earlier run was continued after its step {newest}."
    assert weights(result.checkpoint) == weights(whole.checkpoint)
    assert result.log == whole.log
    assert [path.name for path in images.glob("*checkpoint*")] == ["checkpoint"]
    assert not (images / "checkpoint/states").exists()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"learning_rate": 1e-3}, "learning_rate was 0.005, is 0.001"),
        ({"rows": [row(n, question="Which?") for n in range(8)]}, "training data changed"),
        ({"student": "other"}, "student's files changed"),
    ],
)
def test_other_data_weights_or_settings_start_over(
    config: Make, images: Path, student: Path, changed: dict[str, Any], why: str
) -> None:
    settings: dict[str, Any] = {"epochs": 6, "save_steps": EVERY}
    killed(config(**settings), 8, _in_step)
    if "student" in changed:
        from tiny_models import save_tiny_llava

        changed = {"student": str(save_tiny_llava(images / "other"))}
    again = config(**(settings | changed))
    result = fine_tune(again)
    assert continued(result) == 0
    assert result.time.earlier_run == f"An earlier run stopped after its step 6 and was not continued: {why}."
    assert weights(result.checkpoint) == weights(
        fine_tune(config(**(settings | changed), output_dir=images / "whole")).checkpoint
    )


def test_a_student_and_an_adapter_by_their_hub_names_continue(
    config: Make, images: Path, student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = fine_tune(config(output_dir=images / "adapter", keep_adapter=True)).checkpoint
    cache = images / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name, folder in (("student", student), ("adapter", adapter)):
        commit = cache / f"models--owner--{name}/snapshots" / ("a" * 40)
        shutil.copytree(folder, commit)
        (commit.parents[1] / "refs").mkdir()
        (commit.parents[1] / "refs/main").write_text(commit.name)
    given = config(student="owner/student", adapter="owner/adapter", epochs=6, save_steps=EVERY)
    killed(given, 8, _in_step)
    assert continued(fine_tune(given)) == 6


def test_output_dir_is_not_in_the_student(config: Make, student: Path) -> None:
    for folder in (student, student / "checkpoint"):
        with pytest.raises(
            ParameterError, match="output_dir is the student's own folder or in it; choose another"
        ):
            fine_tune(config(output_dir=folder))


def test_an_image_that_changed_starts_over(config: Make, images: Path) -> None:
    killed(config(epochs=6, save_steps=EVERY), 8, _in_step)
    os.utime(images / f"{0:012d}.png", ns=(1, 1))
    result = fine_tune(config(epochs=6, save_steps=EVERY))
    assert continued(result) == 0 and result.time.earlier_run.endswith(
        "not continued: training data changed."
    )


def test_a_training_killed_behind_its_last_state_keeps_its_progress(config: Make, images: Path) -> None:
    settings = {"epochs": 4, "save_steps": EVERY, "eval_share": 0.25}
    killed(config(**settings), 0, _in_checkpoint)
    result = fine_tune(config(**settings))
    assert continued(result) == result.log.steps == 6, "with eval_share the last step has a state too"
    lines = (result.checkpoint / "train_progress.jsonl").read_text().splitlines()
    # each validation has a line of its own
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 3, 4, 5, 6, 6]


@pytest.mark.parametrize("library", ["safetensors", "torch"])
def test_a_full_disk_is_one_line_and_the_training_continues(
    config: Make, images: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """Files may grow to 10,000 bytes from the second state on, which is as if the disk were full."""
    settings = {"method": "full", "epochs": 4, "save_steps": 2}
    whole = fine_tune(config(output_dir=images / "whole", **settings))
    module, name = (student_trainer, "save_file") if library == "safetensors" else (torch, "save")
    real, soft_hard, saved = getattr(module, name), resource.getrlimit(resource.RLIMIT_FSIZE), list[Any]()

    def save(content: Any, file: Any) -> None:
        saved.append(file)
        if "checkpoint-4" in str(file):
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, soft_hard[1]))
        try:
            real(content, file)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, soft_hard)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, save)
        with pytest.raises(
            DataEngineError, match="checkpoint: the disk, a quota or a file size limit is used up"
        ):
            fine_tune(config(**settings))
    assert saved and not (images / "checkpoint").exists()
    result = fine_tune(config(**settings))
    assert continued(result) == 2 and weights(result.checkpoint) == weights(whole.checkpoint)


def test_two_trainings_at_once_do_not_share_a_folder(config: Make, images: Path) -> None:
    work = images / ".checkpoint.unfinished"
    work.mkdir()
    with hold_lock(work / "lock") as lock:
        print(4711, end="", file=lock, flush=True)
        with pytest.raises(
            DataEngineError, match=r"unfinished: process 4711 of an earlier run still works in this"
        ):
            fine_tune(config())
        assert (work / "lock").exists()
    checkpoint = fine_tune(config()).checkpoint
    assert not work.exists() and not (checkpoint / "lock").exists()


def test_an_error_keeps_the_states_and_an_earlier_checkpoint(config: Make, images: Path) -> None:
    before = weights(fine_tune(config()).checkpoint)
    killed(config(epochs=6, save_steps=EVERY), 8, _in_step)
    write_json(images / "train.json", [])
    with pytest.raises(Exception, match="no row can be trained on"):
        fine_tune(config(epochs=6, save_steps=EVERY, rows=[]))
    assert weights(images / "checkpoint") == before
    assert continued(fine_tune(config(epochs=6, save_steps=EVERY))) == 6
