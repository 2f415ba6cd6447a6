"""Passes at the same time, each in a process: the same weights as one after the other, or no such passes."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fine_tuning import Make, row, weights
from torch import nn

from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.fine_tune import fine_tune
from dataengine_lib.training.examples import ExampleEncoder
from dataengine_lib.training.trainer.parallel_passes import runs_at_once

CPU = torch.device("cpu")


def uneven(count: int) -> list[dict[str, Any]]:
    """Rows with questions and answers of different lengths."""
    choices = ["red", "green and bright", "blue", "white, or nearly white, in this light"]
    return [row(n, choices=choices, question="Which? " * (1 + n % 5)) for n in range(count)]


@pytest.mark.parametrize(("method", "dtype"), [("full", "bfloat16"), ("lora", "float32")])
def test_the_weights_are_the_same_in_one_process_and_in_several(
    config: Make,
    images: Path,
    torch_threads: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    dtype: str,
) -> None:
    encoded = images / "encoded"
    real = ExampleEncoder.batch

    def noted(self: Any, examples: Any) -> Any:
        with encoded.open("a") as stream:
            stream.write(f"{os.getpid()} {len(examples)}\n")
        return real(self, examples)

    monkeypatch.setattr(ExampleEncoder, "batch", noted)
    settings = {
        "method": method, "dtype": dtype, "accumulate": 3, "batch_size": 5, "epochs": 3, "eval_share": 0.25,
        "save_steps": 3, "keep_best": True,
    }  # fmt: skip
    found = {}
    for count in (1, 3):
        encoded.unlink(missing_ok=True)
        torch_threads(count)
        done = fine_tune(config(uneven(16), output_dir=images / f"of{count}", **settings))
        processes = {line.split()[0] for line in encoded.read_text().splitlines()}
        assert len(processes) == count
        found[count] = (done.log.loss, done.log.validation, done.log.kept_step, weights(done.checkpoint))
    assert found[1] == found[3]


def test_errors_of_a_copy_are_those_of_the_step(
    config: Make, torch_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_threads(2)
    here, real = os.getpid(), ExampleEncoder.batch

    def broken(self: Any, examples: Any) -> Any:
        if os.getpid() != here:
            raise DataEngineError("image gone; start the step again")
        return real(self, examples)

    settings = {"method": "full", "accumulate": 2}
    monkeypatch.setattr(ExampleEncoder, "batch", broken)
    with pytest.raises(DataEngineError, match=r"^image gone; start the step again$"):
        fine_tune(config(**settings))

    def killed(self: Any, examples: Any) -> Any:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, examples)

    monkeypatch.setattr(ExampleEncoder, "batch", killed)
    with pytest.raises(DataEngineError, match="fine-tuning: a process ended with status -9, most likely"):
        fine_tune(config(**settings))


class _Attention(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.attention_dropout = dropout


def test_only_what_gives_the_same_weights_runs_at_once(torch_threads: Callable[[int], None]) -> None:
    plain = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0), _Attention(0.0), nn.LayerNorm(2))
    torch_threads(2)
    assert runs_at_once(plain, 2, CPU)
    assert not runs_at_once(plain, 1, CPU), "a step of one pass"
    assert not runs_at_once(plain, 3, CPU), "more passes than cores"
    assert not runs_at_once(plain, 2, torch.device("meta"))
    for other in (nn.Dropout(0.1), _Attention(0.1), nn.BatchNorm1d(2)):
        assert not runs_at_once(nn.Sequential(*plain, other), 2, CPU), other
