"""Step 5: the student is trained on the new questions of all rounds, mixed with its base data."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Literal, Self

import msgspec
from pydantic import Field, model_validator

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.machine.threads import threads_for
from dataengine_lib.core.step_config import changed_parameters
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.recorded.formats import read_prediction_file
from dataengine_lib.exports.minigpt4.loader import LOADER_FORMATS
from dataengine_lib.exports.training_rows import trainer_row_fault, write_training_rows
from dataengine_lib.questions.question_sets import Panel
from dataengine_lib.training.base_data import base_files
from dataengine_lib.training.checkpoint_folder import replaced_when_complete, unfinished_folder
from dataengine_lib.training.data_sets import (
    DataSet,
    TrainingFiles,
    check_any_row,
    read_data_sets,
)
from dataengine_lib.training.external.command import TEMPLATE_SETTINGS
from dataengine_lib.training.external.settings import CommandSettings, unused_settings, work_folder
from dataengine_lib.training.held_out_images import HeldOutImages
from dataengine_lib.training.launch.command import local_command, processes_of
from dataengine_lib.training.launch.launcher import OUT_OF_MEMORY, run_processes
from dataengine_lib.training.launch.machines import was_made_of, write_inputs
from dataengine_lib.training.launch.world import World
from dataengine_lib.training.log import TrainLog, TrainTime
from dataengine_lib.training.loggers import check_loggers
from dataengine_lib.training.mix.settings import MixParameters
from dataengine_lib.training.mixing import MixSettings
from dataengine_lib.training.parts.settings import Seed, TrainableSettings
from dataengine_lib.training.texts import TextFormat
from dataengine_lib.training.trainer.settings import TrainerSettings
from dataengine_lib.training.warnings import training_warnings

if TYPE_CHECKING:
    from dataengine_lib.training.student_training import TrainingDone

PROCESS = "dataengine_lib.steps.fine_tune_process"  # the module that each of several processes runs
_LOG, _TIME = "train_log.json", "train_time.json"
# parameters that change nothing about the weights, or whose files are compared as such
_NOT_IN_STATES = {
    "student", "train_data", "image_root", "output_dir", "base_data", "base_image_root", "questions",
    "evaluation_image_root", "max_bad_share", "workers", "report_to", "keep_adapter",
    "evaluations", "panel", "panels",
}  # fmt: skip
# parameters that another trainer cannot be given; those of TEMPLATE_SETTINGS, its config may name
_FOR_OWN_TRAINER = [
    name
    for name in (
        *TrainableSettings.model_fields, *TrainerSettings.model_fields, "eval_share", "max_length", "processes",
        "accelerate_config",
    )
    if name not in (*TEMPLATE_SETTINGS, "device", "seed")
]  # fmt: skip


class FineTuneConfig(CommandSettings, MixParameters, TrainableSettings, TrainerSettings):
    """Parameters of `5_fine_tune`."""

    student: str
    """Model folder or Hugging Face name to start from."""
    start_from: Literal["base", "last"] = "base"
    """In a run: each round trains the first student, or the checkpoint of the round before."""
    image_root: Path
    """Where the new data's image paths start."""
    output_dir: Path
    """Gets the checkpoint: model, processor, train_log.json."""
    questions: Path | None = None
    """Evaluation questions, whose images must not be trained on."""
    evaluation_image_root: Path | None = None
    """Where their image paths start; default: image_root."""
    panel: Panel = Field(default_factory=dict)
    """Further evaluation sets, {NAME: {questions, image_root}}."""
    text_formats: list[TextFormat] = Field(["QM-A"], min_length=1)
    """Q-A, QM-A, QM-AE, mmbench, answer, letter: one drawn per use of a row."""
    shuffle_options: bool = False
    """Show the options of a question in a new order in each use."""
    keep_adapter: bool = False
    """Save the adapter alone, unmerged."""
    eval_share: float = Field(0.0, ge=0, lt=1)
    """Share of the training images whose rows are kept aside for validation."""
    max_length: int | None = Field(None, ge=1)
    """Most tokens of a row with its image; longer ones are left out; default: the student's limit."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of a file's rows cannot be used."""
    processes: int = Field(1, ge=1)
    """Processes that train together on this machine, one GPU each."""
    accelerate_config: Path | None = None
    """A file of `accelerate config` (DDP, FSDP, DeepSpeed) by which they are started."""
    seed: Seed = 0
    """Draws the rows, their text formats and their order."""

    @model_validator(mode="after")
    def _settings_have_their_files(self) -> Self:
        if self.questions is None and self.evaluation_image_root:
            raise ValueError("evaluation_image_root needs questions")
        if self.keep_best and not self.eval_share:
            raise ValueError("keep_best needs eval_share")
        if self.trainer == "own" and self.method != "lora" and self.keep_adapter:
            raise ValueError("keep_adapter is for method lora; full has no adapter")
        if self.trainer == "command" and self.adapter:
            raise ValueError("adapter is for trainer: own; merge it into a folder and give that as student")
        if self.trainer == "command" and (given := changed_parameters(self, _FOR_OWN_TRAINER)):
            raise ValueError(
                f"{' and '.join(given)}: for trainer: own alone; leave this out, and set the like in the command or "
                "the trainer's own config"
            )
        if self.processes > 1 and self.accelerate_config:
            raise ValueError("accelerate_config says how many processes there are; leave processes out")
        several = len(self.text_formats) > 1
        if self.command_format == "minigpt4" and (several or self.text_formats[0] not in LOADER_FORMATS):
            raise ValueError(f"command_format minigpt4 has one text format: {' or '.join(LOADER_FORMATS)}")
        return self


@dataclass
class FineTuneResult:
    """What notebook 5 shows; `checkpoint` is the folder written.

    `compared` says with which evaluation images the rows' images were compared, so that none is trained on.
    """

    checkpoint: Path
    log: TrainLog
    time: TrainTime
    compared: str
    warnings: list[str] = field(default_factory=list)


def check_devices(config: FineTuneConfig) -> int:
    """How many processes train; raises ParameterError where this machine has not what the parameters ask for."""
    check_loggers(config.report_to)
    processes = config.processes
    if config.accelerate_config:
        processes = processes_of(config.accelerate_config, quantized=bool(config.quantize))
    if config.quantize:
        from dataengine_lib.training.parts.quantized import check_quantize

        check_quantize(config.device)
    return processes


def fine_tune(config: FineTuneConfig) -> FineTuneResult:
    """Train the student and write the checkpoint, whole or not at all; same seed, same weights on a CPU.

    Raises DataEngineError when no new row can be used, too many rows of a file cannot (`max_bad_share`), the student
    cannot be loaded or the folder not written.
    """
    # another trainer may know its model under a name of its own, and `recorded:` be its answers
    if config.trainer == "own" and config.student.partition(":")[0] in ("api", "vllm", "recorded"):
        raise ParameterError(
            f"{config.student}: has no weights to train; set student to a model folder or hub name"
        )
    # in that folder, the states of a training would count as other files of the student
    if config.output_dir.resolve().is_relative_to(Path(config.student).resolve()):
        raise ParameterError(
            f"{config.output_dir}: output_dir is the student's own folder or in it; choose another folder"
        )
    processes = check_devices(config)
    if was_made_of(config.output_dir, config.model_dump(mode="json"), _data_files(config)):
        return _written(config, _held_out(config))
    if processes == 1 and not config.accelerate_config:
        return train_in_this_process(config, World())
    # files are read here first: a wrong path costs seconds, and is one line
    held_out = _held_out(config)
    _read_sets(config, held_out)
    with tempfile.TemporaryDirectory() as folder:
        file = write_json(Path(folder) / "config.json", config.model_dump(mode="json"))
        arguments, accumulate = [PROCESS, str(file), str(processes), str(os.getpid())], config.accumulate
        while True:
            command = [*arguments, str(accumulate)]
            try:
                run_processes(local_command(command, processes, config.accelerate_config))
                return _written(config, held_out)
            except DataEngineError as error:
                # one process cannot halve its passes while the others wait for it: all begin anew at the last state
                if accumulate >= config.batch_size or not str(error).startswith(OUT_OF_MEMORY):
                    raise
                accumulate = min(2 * accumulate, config.batch_size)


def _data_files(config: FineTuneConfig) -> list[Path]:
    of_panel = [file for folder in config.panels for file in sorted(folder.glob("*/*.json"))]
    base = [one.file for one in base_files(config.base_data)]
    return [*config.train_data, *base, *config.evaluations, *of_panel]


def _written(config: FineTuneConfig, held_out: HeldOutImages | None) -> FineTuneResult:
    """The result of a training by other processes."""
    log: TrainLog = read_json(config.output_dir / _LOG, TrainLog)
    seconds: TrainTime = read_json(config.output_dir / _TIME, TrainTime)
    return _result(config, held_out, log, seconds)


def train_in_this_process(
    config: FineTuneConfig, world: World, *, by_command: bool = False, accumulate: int | None = None
) -> FineTuneResult:
    """As `fine_tune`, with `world.size` - 1 other processes that do the same; the main one writes the checkpoint.

    `by_command`: it was started by a printed command, not by the step, which will look for what it has made.
    `accumulate` is the number of passes where those of the parameters were too large for the memory.
    """
    # rows are drawn here, at most batch_size a step
    followed = {"text_formats", "seed", *(["batch_size"] if config.max_steps or config.steps else [])}
    unused = unused_settings(config, followed) if config.trainer == "command" else []
    writing = replaced_when_complete(config.output_dir, _LOG) if world.is_main else nullcontext()
    world.join(on_cpu=world.device(config.device) == "cpu")
    with writing:
        world.wait()  # until the main process has made the folder
        folder = unfinished_folder(config.output_dir)
        # files are read before the student is loaded: a wrong path costs seconds, not minutes
        held_out = _held_out(config)
        sets = _read_sets(config, held_out)
        check_any_row({one.name: one.rows for one in sets}, sets, config.image_root)
        left_out: list[str] = []
        replay = None
        if config.measures:
            from dataengine_lib.steps.parts.replay import measured_replay

            replay = measured_replay(config, config.max_bad_share, sets, left_out.append)
        mix = config.mix(replay)
        if config.trainer == "command":
            done = _train_by_command(config, sets, mix, folder)
        else:
            done = _train_here(config, sets, mix, folder, world, accumulate or config.accumulate)
        done.log.replay = replay or msgspec.UNSET
        if world.is_main:
            write_json(folder / _LOG, done.log)
            write_json(folder / _TIME, done.time)
            if by_command:
                write_inputs(folder, config.model_dump(mode="json"), _data_files(config))
        world.wait()
    if config.trainer == "command":
        rmtree(work_folder(config.output_dir), ignore_errors=True)
    return _result(config, held_out, done.log, done.time, [*unused, *left_out])


def _result(
    config: FineTuneConfig,
    held_out: HeldOutImages | None,
    log: TrainLog,
    seconds: TrainTime,
    more_warnings: Sequence[str] = (),
) -> FineTuneResult:
    warnings = [*(held_out.warnings if held_out else []), *more_warnings, *training_warnings(log)]
    compared = (
        held_out.comparison if held_out else "not compared with evaluation images, as questions is not given"
    )
    return FineTuneResult(config.output_dir, log, seconds, compared, warnings)


def _held_out(config: FineTuneConfig) -> HeldOutImages | None:
    root = config.evaluation_image_root or config.image_root
    if config.questions is None and not config.panel:
        return None
    return HeldOutImages(config.questions, root, config.max_bad_share, config.panel)


def _read_sets(config: FineTuneConfig, held_out: HeldOutImages | None) -> list[DataSet]:
    files = TrainingFiles(
        new=config.train_data,
        image_root=config.image_root,
        base=base_files(config.base_data),
        base_image_root=config.base_image_root or config.image_root,
        text_formats=config.text_formats,
        shuffle_options=config.shuffle_options,
    )
    return read_data_sets(files, config.max_bad_share, held_out)


def _train_here(
    config: FineTuneConfig,
    sets: list[DataSet],
    mix: MixSettings,
    folder: Path,
    world: World,
    accumulate: int,
) -> "TrainingDone":
    from dataengine_lib.training.checkpoint import save_checkpoint
    from dataengine_lib.training.student_training import TrainingPlan, train_student
    from dataengine_lib.training.trainable import load_trainable

    student = load_trainable(
        config.student, config.model_copy(update={"device": world.device(config.device)})
    )
    plan = TrainingPlan(
        name=config.student,
        method=config.method,
        image_root=config.image_root,
        mix=mix,
        batch_size=config.batch_size,
        max_length=config.max_length,
        eval_share=config.eval_share,
        seed=config.seed,
        identity=config.model_dump(mode="json", exclude=_NOT_IN_STATES),
    )
    settings = config.model_copy(update={"accumulate": accumulate})
    with threads_for(student.model):
        done = train_student(student, sets, plan, settings, folder, world)
        if world.is_main:
            if done.gathered is not None:
                student = load_trainable(config.student, config.model_copy(update={"device": "cpu"}))
                student.model.load_state_dict(done.gathered)
            save_checkpoint(student, folder, keep_adapter=config.keep_adapter)
    return done


def _train_by_command(
    config: FineTuneConfig, sets: list[DataSet], mix: MixSettings, folder: Path
) -> "TrainingDone":
    from dataengine_lib.training.external.command_training import CommandTraining, train_by_command

    training = CommandTraining(
        student=config.student,
        image_root=config.image_root,
        output_dir=config.output_dir,
        mix=mix,
        seed=config.seed,
        device=config.device,
        keep_adapter=config.keep_adapter,
        settings=config.model_dump(mode="json"),
        format_fault=trainer_row_fault(config.command_format),
        write_rows=partial(write_training_rows, config.command_format),
        check_answers=read_prediction_file,
    )
    return train_by_command(config, training, sets, folder)
