"""Step 5: one training from its first step, or from its newest saved state, to its last one."""

from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.utils.memory import should_reduce_batch_size

from dataengine_lib.core.machine.forks import ForkEnded
from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.examples import ExampleEncoder
from dataengine_lib.training.launch.launcher import OUT_OF_MEMORY, PROGRESS
from dataengine_lib.training.log import LossPoint, ValidationPoint
from dataengine_lib.training.trainable import Trainable
from dataengine_lib.training.trainer.passes import Steps
from dataengine_lib.training.trainer.progress import TrainingProgress
from dataengine_lib.training.trainer.saved_state import newest_state
from dataengine_lib.training.trainer.settings import TrainerSettings
from dataengine_lib.training.trainer.student_trainer import StudentTrainer

PROGRESS_LOG = "train_progress.jsonl"  # a line a step, with the seconds so far and those left


@dataclass(frozen=True)
class Training:
    """A finished training: the curves of all steps, those before an interruption among them.

    `resumed_from` is the step of the state that this run began at, 0 for none; `accumulate` the passes of a step at
    the end, more than asked for where the memory was too small; `kept_step` the step whose weights the student has;
    `gathered` these weights where they lie in parts on several devices, None where the student holds them.
    """

    loss: list[LossPoint]
    validation: list[ValidationPoint]
    resumed_from: int
    accumulate: int
    kept_step: int
    gathered: dict[str, torch.Tensor] | None


def train(
    student: Trainable,
    examples: ExampleEncoder,
    steps: Steps,
    validation: Steps,
    settings: TrainerSettings,
    folder: Path,
) -> Training:
    """Train the student in place on `steps`, the batches in their order; one is one optimizer step.

    AdamW with the rate of `schedule.rate_schedule`. It continues from the newest state in `folder`, bit for bit on a
    CPU; that has to be a state of the same student, data and settings. When the memory does not suffice, the passes are
    halved, and the step is done with twice as many.
    Raises DataEngineError when the loss is not finite, or one row alone does not fit into memory.
    """
    most = max(map(len, steps))
    # more passes than rows would be empty ones
    accumulate = min(settings.accumulate, most)
    begun_at: int | None = None
    while True:
        found = newest_state(folder)
        trainer = StudentTrainer(
            student,
            examples,
            steps,
            validation,
            settings.model_copy(update={"accumulate": accumulate}),
            folder,
        )
        several = trainer.args.world_size > 1
        progress = TrainingProgress(
            settings.learning_rate, folder / PROGRESS_LOG, PROGRESS if several else ""
        )
        trainer.add_callback(progress)
        if begun_at is None:
            begun_at = int(found.name.rpartition("-")[2]) if found else 0
        try:
            trainer.train(resume_from_checkpoint=str(found) if found else None)
            return _finished(trainer, begun_at, accumulate, keep_best=settings.keep_best)
        except ForkEnded as error:
            raise DataEngineError(
                f"fine-tuning: {error}, most likely for lack of memory; set OMP_NUM_THREADS to 1 and start the step again"
            ) from error
        except RuntimeError as error:
            if not (isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)):
                raise
            if accumulate >= most:
                raise DataEngineError(
                    "fine-tuning: one row alone does not fit into memory; set gradient_checkpointing: true, "
                    "a smaller max_length, or dtype: bfloat16"
                ) from error
            if several:  # the other processes wait for this one's gradient
                raise DataEngineError(
                    f"{OUT_OF_MEMORY}; set accumulate to {2 * accumulate} or more"
                ) from error
        finally:
            progress.close()
            trainer.close()
        trainer.save_now()
        accumulate = min(2 * accumulate, most)
        torch.cuda.empty_cache()  # nothing where there is no GPU


def _finished(trainer: StudentTrainer, begun_at: int, accumulate: int, *, keep_best: bool) -> Training:
    loss, validation = [], []
    for row in trainer.state.log_history:
        if "loss" in row:
            loss.append(LossPoint(int(row["step"]), round(row["loss"], 6), row["learning_rate"]))
        elif "eval_loss" in row:
            validation.append(ValidationPoint(int(row["step"]), round(row["eval_loss"], 6)))
    best = trainer.state.best_global_step if keep_best else None
    kept = best or trainer.state.global_step
    return Training(loss, validation, begun_at, accumulate, kept, trainer.gathered())
