"""Step 5: the rows are drawn, shuffled, batched and trained on, and what was done is written down."""

import hashlib
import resource
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch

from dataengine_lib.core.files import fingerprint, sha256
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.students.encoder_decoder import is_encoder_decoder
from dataengine_lib.students.length_limit import LengthLimit
from dataengine_lib.students.stored_weights import local_folder
from dataengine_lib.training.checkpoint_folder import STATES
from dataengine_lib.training.data_sets import (
    DataSet,
    draw_mixed,
    left_out_by_file,
    logged_data,
)
from dataengine_lib.training.examples import Example, ExampleEncoder
from dataengine_lib.training.launch.world import World
from dataengine_lib.training.log import TrainLog, TrainTime
from dataengine_lib.training.loggers import TENSORBOARD_FILES
from dataengine_lib.training.mixing import MixSettings, length_batches
from dataengine_lib.training.trainable import Trainable
from dataengine_lib.training.trainer.saved_state import begin_states
from dataengine_lib.training.trainer.settings import TrainerSettings
from dataengine_lib.training.trainer.train import PROGRESS_LOG, train
from dataengine_lib.training.validation import split_validation


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained on: `mix` of the sets, `batch_size` rows a step, `eval_share` of the images for validation.

    Rows of more than `max_length` tokens are left out; None is the student's own limit.

    `name` is the student's; `image_root` is where the new data's images are looked for; `identity` is what a saved
    state depends on, besides data and weights.
    """

    name: str
    method: str
    image_root: Path
    mix: MixSettings
    batch_size: int
    max_length: int | None
    eval_share: float
    seed: int
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class TrainingDone:
    """The log and the time; `gathered` are the weights of a model that lies in parts on several devices, else None."""

    log: TrainLog
    time: TrainTime
    gathered: dict[str, torch.Tensor] | None = None


def train_student(
    student: Trainable,
    sets: Sequence[DataSet],
    plan: TrainingPlan,
    settings: TrainerSettings,
    work: Path,
    world: World = World(),  # noqa: B008 - it is frozen
) -> TrainingDone:
    """Train the student in place on rows of `sets`; states lie in `work` meanwhile.

    Every process of `world` draws the same rows, and trains on its part of each step.

    Raises DataEngineError when no new row can be encoded, and as `train` does.
    """
    # one generator makes all random draws
    began, rng = time.monotonic(), Random(f"fine-tune {plan.seed}")
    examples = ExampleEncoder(
        student.processor,
        left_out_by_file(sets),
        encoder_decoder=is_encoder_decoder(student.model.config),
        limit=LengthLimit(student.model, student.processor, plan.max_length),
    )
    trained, aside = split_validation(sets, plan.eval_share, plan.seed)
    drawn, mixed = draw_mixed(trained, plan.mix, examples, rng, plan.image_root)
    steps = _batches(mixed, plan.batch_size, rng)
    with progress_bar(desc="reading validation rows", unit="row") as bar:
        made = examples.make([(row, row.formats[0]) for row in aside], bar)
    validation = _batches([one for one in made if one is not None], plan.batch_size, rng)
    states = work / STATES
    earlier_run = begin_states(states, _identity(plan, mixed, student.base.adapter)) if world.is_main else ""
    world.wait()
    read = time.monotonic()
    done = train(student, examples, steps, validation, settings, states)
    if done.resumed_from:
        earlier_run = f"An earlier run was continued after its step {done.resumed_from:,}."
    trained_s = time.monotonic() - read
    if world.is_main:
        # copied, as a kill before the checkpoint is complete leaves the states alone
        shutil.copy(states / PROGRESS_LOG, work / PROGRESS_LOG)
        if (states / TENSORBOARD_FILES).is_dir():
            shutil.copytree(states / TENSORBOARD_FILES, work / TENSORBOARD_FILES)
    rows = sum(map(len, steps[done.resumed_from :]))
    seconds = TrainTime(
        reading=round(read - began, 1),
        training=round(trained_s, 1),
        device=str(student.device),
        rows_per_s=round(rows / max(trained_s, 1e-9), 2),
        peak_memory_mb=_peak_memory_mb(student.device),
        resumed_from=done.resumed_from,
        earlier_run=earlier_run,
    )
    log = TrainLog(
        student=plan.name,
        method=plan.method,
        dtype=str(student.compute).removeprefix("torch."),
        trained_parameters=sum(parameter.numel() for parameter in student.parameters),
        trained_modules=student.trained_modules(),
        steps=len(done.loss),
        loss=done.loss,
        validation=done.validation,
        kept_step=done.kept_step,
        accumulate=done.accumulate,
        **logged_data(trained, drawn),
    )
    return TrainingDone(log, seconds, done.gathered)


def _batches(examples: list[Example], size: int, rng: Random) -> list[list[Example]]:
    indices = length_batches([len(example) for example in examples], size, rng)
    return [[examples[i] for i in batch] for batch in indices]


def _identity(plan: TrainingPlan, mixed: Sequence[Example], adapter: str | None) -> dict[str, Any]:
    """What a state depends on; images and the student's files count by size and time of change."""
    data = hashlib.sha256()
    images: set[Path] = set()
    for example in mixed:
        data.update(f"{example.row.file}\0{example.row.where}\0{len(example)}\0{example.answer}\n".encode())
        # the same row may be written in another text format or order of options
        data.update(repr(example.row.turns(example.text_format)).encode())
        if example.row.image:
            images.add(example.row.image)
    files = [sha256(file) for file in sorted({example.row.file for example in mixed})]
    digest = fingerprint(data.hexdigest(), *files, *sorted(images))
    versions = {"torch": str(torch.__version__)}
    return {
        **plan.identity,
        **versions,
        "training data": digest,
        "student's files": fingerprint(local_folder(plan.name)),
        **({"adapter's files": fingerprint(local_folder(adapter, "adapter_config.json"))} if adapter else {}),
    }


def _peak_memory_mb(device: torch.device) -> int:
    """The most memory used so far: of the GPU by torch, else of this process."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    # in KiB; macOS gives bytes
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
