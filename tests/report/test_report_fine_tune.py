"""The conclusion of step 5's report."""

from typing import Any

from dataengine_lib.report.fine_tune import training_sentences
from dataengine_lib.training.log import LossPoint, TrainLog, TrainTime


def log(losses: list[float], **more: Any) -> TrainLog:
    settings: dict[str, Any] = {
        "student": "s", "method": "lora", "dtype": "float32", "trained_parameters": 9000, "steps": len(losses),
        "loss": [LossPoint(n, loss, 0.1) for n, loss in enumerate(losses, 1)], "mix": [], "by_type": {},
        "skipped": {}, "skipped_rows": [],
    }  # fmt: skip
    return TrainLog(**(settings | more))


TIME = TrainTime(1.0, 90.4, "cpu", 2.5, 1200)


def test_a_training_here() -> None:
    assert training_sentences(log([2.0, 1.0]), TIME) == [
        "2 steps in 90 s on cpu, 9,000 parameters trained (lora).",
        "The loss went from 2.00 to 1.00 (first and last tenth of the steps).",
        "2.5 rows a second, at most 1,200 MB of memory.",
    ]


def test_of_a_command_that_logs_nothing_only_the_time_is_known() -> None:
    assert training_sentences(log([], method="command", trained_parameters=0), TIME) == [
        "Another trainer's command took 90 s.",
    ]


def test_a_command_that_keeps_trainers_log() -> None:
    found = training_sentences(log([2.0, 1.0], method="command"), TIME)
    assert found[0] == "Another trainer's command took 90 s, in 2 steps."
    assert "9,000 parameters" in found[1] and "from 2.00 to 1.00" in found[2]
