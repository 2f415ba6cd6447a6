"""What step 5 warns of."""

from typing import Any

from dataengine_lib.training.log import LossPoint, MixPart, TrainLog
from dataengine_lib.training.warnings import training_warnings


def log(steps: int = 20, rows: int = 50, **more: Any) -> TrainLog:
    settings: dict[str, Any] = {
        "student": "s", "method": "lora", "dtype": "float32", "trained_parameters": 9, "steps": steps,
        "loss": [LossPoint(n, 1.0, 0.1) for n in range(steps)], "by_type": {}, "skipped": {}, "skipped_rows": [],
        "mix": [MixPart("round 1", "t.json", rows, rows, 0.5), MixPart("base", "b.json", 3, 3, 0.5)],
    }  # fmt: skip
    return TrainLog(**(settings | more))


def test_a_whole_training_has_no_warnings() -> None:
    assert training_warnings(log()) == []


def test_a_short_training_and_lost_rows_are_warned_of() -> None:
    assert training_warnings(log(steps=1, rows=1)) == [
        "only 1 training step: the student has hardly changed",
        "only 1 new row to train on",
    ]
    lost = log(
        skipped={"image not found": 9, "malformed row": 1}, skipped_rows=["t.json: q1: image not found"]
    )
    assert training_warnings(lost) == [
        "10 rows were not trained on: image not found (9), malformed row (1); the first: 't.json: q1: image not found'"
    ]
    (single,) = training_warnings(
        log(skipped={"malformed row": 1}, skipped_rows=["t.json: q1: malformed row"])
    )
    assert single.startswith("1 row was not trained on: malformed row (1); the first: ")
    empty = log(mix=[MixPart("round 1", "t.json", 50, 50, 1.0), MixPart("base", "b.json", 0, 0, 0.0)])
    assert training_warnings(empty) == ["base: no row of b.json was trained on"]
