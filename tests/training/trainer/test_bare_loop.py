"""The trainer, for all that it can do, trains as the plainest loop does."""

from pathlib import Path
from typing import Any

import pytest
from fine_tuning import Make, row, weights
from fine_tuning.bare_loop import bare_loop

from dataengine_lib.steps.fine_tune import fine_tune
from dataengine_lib.training.log import LossPoint
from dataengine_lib.training.trainer.train import Training


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_checkpoint_is_that_of_a_bare_loop(
    config: Make, images: Path, monkeypatch: pytest.MonkeyPatch, method: str, dtype: str
) -> None:
    rows = [row(n, question="Which? " * (1 + n % 7)) for n in range(24)]
    settings = {"method": method, "dtype": dtype, "epochs": 4, "batch_size": 5}
    ours = fine_tune(config(rows, output_dir=images / "ours", **settings))
    assert ours.log.steps == 20

    def loop(student: Any, examples: Any, steps: Any, validation: Any, given: Any, folder: Path) -> Training:
        losses = bare_loop(student, [examples.batch(step) for step in steps], given.learning_rate)
        (folder / "train_progress.jsonl").touch()
        points = [LossPoint(step, round(loss, 6), 0.0) for step, loss in enumerate(losses, 1)]
        return Training(points, [], 0, 1, len(steps), None)

    with monkeypatch.context() as patched:
        patched.setattr("dataengine_lib.training.student_training.train", loop)
        bare = fine_tune(config(rows, output_dir=images / "bare", **settings))
    assert [point.loss for point in bare.log.loss] == [point.loss for point in ours.log.loss]
    assert weights(bare.checkpoint) == weights(ours.checkpoint)
