"""Step 5, `trainer: command`: rows are drawn and shuffled, another trainer trains on them, and what was done is logged."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from shutil import copy

from dataengine_lib.training.data_sets import (
    DataSet,
    draw_mixed,
    left_out_by_file,
    logged_data,
)
from dataengine_lib.training.external.checkpoint import take_checkpoint, trained_curve
from dataengine_lib.training.external.command import TEMPLATE_SETTINGS, split_command
from dataengine_lib.training.external.drawn_rows import DrawnRow, FormatFault, RowChecker, TrainerData
from dataengine_lib.training.external.run_trainer import LOG, TrainerCommand, run_trainer
from dataengine_lib.training.external.settings import CommandSettings, work_folder
from dataengine_lib.training.log import TrainLog, TrainTime
from dataengine_lib.training.mixing import MixSettings
from dataengine_lib.training.student_training import TrainingDone


@dataclass(frozen=True)
class CommandTraining:
    """What another trainer trains on, and where its checkpoint belongs.

    `settings` are step 5's parameters, of which the template may name TEMPLATE_SETTINGS; `write_rows` exports rows into
    a folder, in a format that cannot hold those that `format_fault` says something of; `check_answers` raises
    DataEngineError for a file of answers that step 1 cannot read.
    """

    student: str
    image_root: Path
    output_dir: Path
    mix: MixSettings
    seed: int
    device: str
    keep_adapter: bool
    settings: Mapping[str, object]
    format_fault: FormatFault
    write_rows: Callable[[Sequence[DrawnRow], Path], TrainerData]
    check_answers: Callable[[Path], object]


def train_by_command(
    given: CommandSettings, training: CommandTraining, sets: Sequence[DataSet], folder: Path
) -> TrainingDone:
    """Draw rows of `sets` as step 5's own trainer does, and put the checkpoint that the command makes into `folder`.

    Raises DataEngineError when no new row can be used, the command fails, or step 1 could not load what it wrote.
    """
    began, rng = time.monotonic(), Random(f"fine-tune {training.seed}")
    checker = RowChecker(left_out_by_file(sets), training.format_fault)
    drawn, mixed = draw_mixed(sets, training.mix, checker, rng, training.image_root)
    read = time.monotonic()
    # a command may start in another folder, so that no path may be relative
    student = Path(training.student)
    values = {
        "student": str(student.absolute()) if student.is_dir() else training.student,
        "image_root": str(training.image_root.absolute()),
    }
    settings = {name: training.settings[name] for name in TEMPLATE_SETTINGS}
    command = TrainerCommand(
        split_command(given.command), given.command_config, given.command_folder, values, settings
    )
    work = work_folder(training.output_dir)
    found = run_trainer(command, work, lambda place: training.write_rows(mixed, place), print)
    curve = trained_curve(found)
    parameters = take_checkpoint(
        found,
        training.student,
        folder,
        device=training.device,
        keep_adapter=training.keep_adapter,
        check_answers=training.check_answers,
    )
    copy(work / LOG, folder / LOG)
    seconds = TrainTime(
        reading=round(read - began, 1),
        training=round(time.monotonic() - read, 1),
        device="the devices of another trainer",
    )
    log = TrainLog(
        student=training.student,
        method="command",
        dtype="",
        trained_parameters=parameters,
        steps=curve.steps,
        loss=curve.loss,
        kept_step=curve.steps,
        **logged_data(sets, drawn),
    )
    return TrainingDone(log, seconds)
