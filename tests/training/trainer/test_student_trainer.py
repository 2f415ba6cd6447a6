"""The trainer: a step is the same however it is divided, loaded or stored; the rate, validation and loggers."""

import re
import sys
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fine_tuning import Make, row, weights
from PIL import Image
from tiny_families import FAMILIES, save_family

from dataengine_lib.core.files import write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune
from dataengine_lib.training.examples import ExampleEncoder
from dataengine_lib.training.trainable import load_trainable
from dataengine_lib.training.trainer.passes import passes_of
from dataengine_lib.training.trainer.schedule import rate_factor
from dataengine_lib.training.trainer.train import train


def uneven(count: int) -> list[dict[str, Any]]:
    """Rows with answers of different lengths."""
    choices = ["red", "green and bright", "blue", "white, or nearly white, in this light"]
    return [row(n, choices=choices, question="Which? " * (1 + n % 5)) for n in range(count)]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_two_passes_are_one_pass_in_every_family(config: Make, images: Path, family: str) -> None:
    """Answers are of unequal length, and there is no dropout."""
    folder = save_family(family, images / family)
    text = (folder / "config.json").read_text()
    # "attention_probs_dropout_prob": 0.1
    (folder / "config.json").write_text(re.sub(r'("\w*dropout\w*": )[\d.]+', r"\g<1>0.0", text))
    found = []
    for accumulate in (1, 2):
        settings = {"student": str(folder), "method": "full", "learning_rate": 1e-3, "accumulate": accumulate}
        result = fine_tune(config(uneven(8), output_dir=images / f"of{accumulate}", **settings))
        found.append([point.loss for point in result.log.loss])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_step_of_few_rows_is_filled_up_with_passes_that_count_nothing() -> None:
    rows = [SimpleNamespace(answer=n) for n in (3, 5, 2)]
    steps: Any = [rows, rows[:1]]
    whole = passes_of(steps, 1)
    assert [one.learnt for one in whole.rows] == [(10, 10)] * 3 + [(3, 3)]
    parts = [passes_of(steps, 2, world=2, rank=rank) for rank in (0, 1)]
    assert [len(part) for part in parts] == [4, 4]
    learnt = [[part.rows[places[0]].learnt for places in part.places] for part in parts]
    # 0, 1, 1 and 1 of three rows, and the one row of the last step in the last pass
    assert learnt == [[(0, 10), (3, 10), (0, 3), (0, 3)], [(5, 10), (2, 10), (0, 3), (3, 3)]]


def test_more_passes_than_rows_train_and_validate_the_same(
    config: Make, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"method": "full", "eval_share": 0.25}
    one = fine_tune(config(uneven(9), output_dir=images / "a", **settings)).log
    sizes: list[int] = []
    real = ExampleEncoder.batch

    def batch(self: Any, examples: Any) -> Any:
        sizes.append(len(examples))
        return real(self, examples)

    monkeypatch.setattr(ExampleEncoder, "batch", batch)
    many = fine_tune(config(uneven(9), output_dir=images / "b", accumulate=60, **settings)).log
    assert set(sizes) == {1}, (
        "nor is a whole step validated in one pass, for which the memory may be too small"
    )
    assert many.accumulate == 4, "a step has four rows"
    for curve in ("loss", "validation"):
        found = [[point.loss for point in getattr(log, curve)] for log in (one, many)]
        assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("other", [{"workers": 2}, {"gradient_checkpointing": True}])
def test_what_saves_time_or_memory_gives_the_same_weights(
    config: Make, images: Path, method: str, other: dict[str, Any]
) -> None:
    settings = {"epochs": 2, "method": method}
    plain = fine_tune(config(output_dir=images / "a", **settings))
    assert weights(plain.checkpoint) == weights(
        fine_tune(config(output_dir=images / "b", **settings, **other)).checkpoint
    )


def test_attention_is_computed_in_the_way_that_was_asked_for(config: Make, images: Path) -> None:
    settings = {"method": "full", "epochs": 2}
    plain = fine_tune(config(output_dir=images / "a", **settings))
    eager = config(output_dir=images / "b", attention="eager", **settings)
    assert load_trainable(eager.student, eager).model.config.get_text_config()._attn_implementation == "eager"
    done = fine_tune(eager)
    losses = [[point.loss for point in one.log.loss] for one in (plain, done)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    # nothing of it is saved
    configs = [(one.checkpoint / "config.json").read_bytes() for one in (plain, done)]
    assert configs[0] == configs[1]


def test_out_of_memory_halves_the_passes_and_continues(
    config: Make, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the sixth step on three rows no longer fit."""
    settings = {"method": "full", "epochs": 6, "save_steps": 100}
    whole = fine_tune(config(output_dir=images / "whole", **settings))
    sizes: list[int] = []

    def scarce(student: Any, *given: Any) -> Any:
        forward = student.model.forward

        def small(*args: Any, **inputs: Any) -> Any:
            sizes.append(len(inputs["input_ids"]))
            if len(sizes) > 5 and sizes[-1] > 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return forward(*args, **inputs)

        monkeypatch.setattr(student.model, "forward", small)
        return train(student, *given)

    monkeypatch.setattr("dataengine_lib.training.student_training.train", scarce)
    result = fine_tune(config(**settings))
    assert sizes == [4] * 6 + [2] * 14 and result.log.accumulate == 2
    assert [point.loss for point in result.log.loss] == pytest.approx(
        [point.loss for point in whole.log.loss], rel=1e-4
    )
    sizes[:] = [0] * 9

    def none(student: Any, *given: Any) -> Any:
        def full(*_: Any, **__: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory.")

        monkeypatch.setattr(student.model, "forward", full)
        return train(student, *given)

    monkeypatch.setattr("dataengine_lib.training.student_training.train", none)
    with pytest.raises(DataEngineError, match="one row alone does not fit into memory; set gradient_check"):
        fine_tune(config(seed=1, **settings))


@pytest.mark.parametrize(
    ("kind", "factors"),
    [
        ("cosine", [1 / 3, 2 / 3, 1, 0.75, 0.25]),
        ("linear", [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
        ("constant", [1 / 3, 2 / 3, 1, 1, 1]),
    ],
)
def test_the_rate_rises_and_decays(kind: Any, factors: list[float]) -> None:
    assert [rate_factor(step, kind, 2, 5) for step in range(5)] == pytest.approx(factors)


def test_settings_reach_the_optimizer(config: Make, images: Path) -> None:
    settings = {"method": "full", "epochs": 4, "learning_rate": 1e-3}
    plain = fine_tune(config(output_dir=images / "a", **settings)).log
    constant = fine_tune(config(output_dir=images / "b", scheduler="constant", warmup=0.5, **settings)).log
    assert [point.lr for point in constant.loss] == pytest.approx(
        [2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 1e-3, 1e-3, 1e-3]
    )
    decayed = fine_tune(config(output_dir=images / "c", weight_decay=10.0, **settings))
    clipped = fine_tune(config(output_dir=images / "d", clip=1e-12, **settings))
    before, after = tensors(images / "a"), tensors(decayed.checkpoint)
    name = next(name for name in before if "q_proj.weight" in name and "language_model" in name)
    assert after[name].norm() < 0.98 * before[name].norm()
    assert clipped.log.loss[-1].loss > plain.loss[-1].loss


def test_whole_images_are_kept_aside_and_the_best_weights_kept(config: Make, images: Path) -> None:
    settings = {"method": "full", "epochs": 8, "save_steps": 2, "eval_share": 0.25, "learning_rate": 0.02}
    last = fine_tune(config(output_dir=images / "last", **settings))
    assert last.log.mix[0].rows == 6, "the rows about one of four images are kept aside"
    assert [point.step for point in last.log.validation] == list(range(2, last.log.steps + 1, 2))
    assert last.log.kept_step == last.log.steps
    best = fine_tune(config(output_dir=images / "best", keep_best=True, **settings))
    losses = {point.step: point.loss for point in best.log.validation}
    assert best.log.validation == last.log.validation
    assert losses[best.log.kept_step] == min(losses.values()) < losses[best.log.steps]
    assert weights(best.checkpoint) != weights(last.checkpoint)
    with pytest.raises(ParameterError, match="keep_best needs eval_share"):
        type(config()).read({**config().model_dump(), "keep_best": True}, "here")


def test_a_logger_that_is_not_installed_stops_before_anything_is_read(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ParameterError, match="report_to: wandb is not installed; run: pip install wandb"):
        fine_tune(config(report_to=["wandb"], student="/nowhere"))


WRITER = """
from pathlib import Path
class SummaryWriter:
    def __init__(self, log_dir):
        self.file = Path(log_dir, "events")
        self.file.parent.mkdir(parents=True, exist_ok=True)
    def add_text(self, *given): pass
    def add_scalar(self, name, value, step):
        with self.file.open("a") as stream: stream.write(f"{name} {step}\\n")
    def flush(self): pass
    def close(self): pass
"""


def test_the_files_of_tensorboard_are_in_the_checkpoint(
    config: Make, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "packages").mkdir()
    (images / "packages/tensorboardX.py").write_text(WRITER)
    monkeypatch.syspath_prepend(images / "packages")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # needs the package tensorboard
    result = fine_tune(config(report_to=["tensorboard"]))
    (events,) = result.checkpoint.glob("runs/*/events")
    assert [line for line in events.read_text().splitlines() if "/loss" in line] == [
        "train/loss 1",
        "train/loss 2",
    ]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"epochs": inf}, "epochs: Input should be a finite number"),
        ({"learning_rate": inf}, "learning_rate: Input should be a finite number"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"seed": 2**32}, "seed: Input should be less than 4294967296"),
        (
            {"projector_rate": 1e-3, "train_parts": ["vision"]},
            "projector_rate needs projector in train_parts",
        ),
    ],
)
def test_values_that_no_training_can_have_are_refused(config: Make, given: dict[str, Any], why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        FineTuneConfig.read({**config().model_dump(), **given}, "here")


def test_an_unknown_device_is_one_line(config: Make) -> None:
    with pytest.raises(DataEngineError, match="device 'gpu': no such kind; choose auto, cpu"):
        fine_tune(config(device="gpu"))
    with pytest.raises(DataEngineError, match="device device_map: a training takes one device"):
        fine_tune(config(device="device_map"))


def test_a_new_image_of_another_size_is_trained_on(config: Make, images: Path) -> None:
    Image.new("RGB", (300, 20), "teal").save(images / "wide.png")
    rows = [*uneven(4), row(0, image_path="wide.png")]
    write_json(images / "more.json", rows)
    assert fine_tune(config(rows, workers=1)).log.mix[0].drawn == 5
