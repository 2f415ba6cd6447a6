"""Step 5: the arguments of transformers' Trainer."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.training_args import ParallelMode

from dataengine_lib.training.trainable import Trainable
from dataengine_lib.training.trainer.settings import TrainerSettings


@dataclass
class _Arguments(TrainingArguments):
    """TrainingArguments on the student's own device: with several GPUs the Trainer would split each pass over all."""

    student_device: str = "cpu"

    @cached_property
    def _setup_devices(self) -> torch.device:
        # a cached property's own function
        found: torch.device = TrainingArguments.__dict__["_setup_devices"].func(self)
        if self.parallel_mode == ParallelMode.DISTRIBUTED:
            return found
        device = torch.device(self.student_device)
        self._n_gpu = int(device.type == "cuda")
        return device


def trainer_arguments(
    student: Trainable, settings: TrainerSettings, folder: Path, validated: bool, parts: int
) -> TrainingArguments:
    """`parts` passes of a step are computed at the same time, and count as one for the Trainer."""
    states: dict[str, Any] = {"save_strategy": "steps", "save_steps": settings.save_steps}
    if validated:
        states |= {
            "eval_strategy": "steps",
            "eval_steps": settings.save_steps,
            "load_best_model_at_end": settings.keep_best,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
        }
    return _Arguments(
        student_device=str(student.device),
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=1,  # for the Trainer's messages alone: our loader makes the passes
        gradient_accumulation_steps=settings.accumulate // parts,
        max_grad_norm=settings.clip,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to) or "none",
        # `round1` of round1/.checkpoint.unfinished/states
        run_name=folder.absolute().parent.parent.name or None,
        disable_tqdm=True,
        use_cpu=student.device.type == "cpu",
        # a pass of texts alone uses no projector, in this process or in all
        ddp_find_unused_parameters=True,
        remove_unused_columns=False,
        seed=settings.seed,
        **states,
    )
