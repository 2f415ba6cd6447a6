"""Step 5: transformers' Trainer over our passes: its loop, devices, loggers and states; our loss, rate and order."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import PrinterCallback, ProgressCallback, Trainer

from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.examples import ExampleEncoder
from dataengine_lib.training.trainable import Trainable
from dataengine_lib.training.trainer.arguments import trainer_arguments
from dataengine_lib.training.trainer.parallel_passes import ParallelPasses, runs_at_once
from dataengine_lib.training.trainer.passes import (
    LEARNT,
    Passes,
    Steps,
    examples_of,
    pass_inputs,
    pass_loader,
    passes_of,
)
from dataengine_lib.training.trainer.saved_state import mark_complete, newest_state, remove_older
from dataengine_lib.training.trainer.schedule import rate_schedule
from dataengine_lib.training.trainer.settings import TrainerSettings

_TRAINED = "trained.safetensors"  # the trained weights of a saved state, in float32


class StudentTrainer(Trainer):
    """Trains a student on the passes over `steps`, one step a batch.

    States are written below `folder` every `save_steps`; with `validation`, its loss is measured just before. The passes
    of a step follow each other, or are computed at the same time where that gives the same weights; `close` ends the
    processes that do so.
    """

    def __init__(
        self,
        student: Trainable,
        examples: ExampleEncoder,
        steps: Steps,
        validation: Steps,
        settings: TrainerSettings,
        folder: Path,
    ) -> None:
        self._student, self._examples, self._steps, self._validation = student, examples, steps, validation
        self._settings = settings
        self._parallel: ParallelPasses | None = None
        self._own: dict[int, Passes] = {}  # in a copy of this process: its passes, by their part
        several = int(os.environ.get("WORLD_SIZE", "1")) > 1
        at_once = not several and runs_at_once(student.model, settings.accumulate, student.device)
        self._parts = settings.accumulate if at_once else 1  # passes at the same time
        random_state = torch.get_rng_state()
        super().__init__(
            model=student.model,
            args=trainer_arguments(student, settings, folder, bool(validation), self._parts),
            eval_dataset=list(validation) or None,
        )
        self._check_sharding()
        # the Trainer sets the seed anew; dropout draws on from where loading the student left off
        torch.set_rng_state(random_state)
        # the loss is scaled below
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = True
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)

    def _check_sharding(self) -> None:
        """Raise DataEngineError where a launcher asks for weights in parts and they would lie whole on each device."""
        for name, used in (("FSDP", self.is_fsdp_enabled), ("DEEPSPEED", self.is_deepspeed_enabled)):
            if not used and os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true":
                raise DataEngineError(
                    f"fine-tuning: accelerate_config asks for {name}, which needs a GPU for each process; set "
                    "distributed_type: MULTI_GPU to train without it"
                )

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The passes of this process; not prepared by accelerate, which would divide them once more."""
        passes = self._passes(0)
        self._examples.prepare(examples_of(passes), self._parts)
        workers = self._settings.workers
        if workers is None:  # on a CPU they would take the cores that the training needs
            workers = 4 if self._student.device.type == "cuda" else 0
        return pass_loader(self._examples, passes, workers)

    def _passes(self, part: int) -> Passes:
        """All passes of this process; of several at the same time, the one of each step that is number `part`."""
        if self._parts > 1:
            return passes_of(self._steps, 1, self._parts, part)
        return passes_of(
            self._steps, self.args.gradient_accumulation_steps, self.args.world_size, self.args.process_index
        )

    def training_step(self, model: Any, inputs: dict[str, Any], *given: Any, **named: Any) -> torch.Tensor:
        """The loss of a pass, whose gradients are added to the parameters'; of all passes of a step at the same time."""
        if self._parts == 1:
            return super().training_step(model, inputs, *given, **named)
        if self._parallel is None:

            def of_copy(inputs: dict[str, Any]) -> torch.Tensor:
                return super(StudentTrainer, self).training_step(model, inputs, *given, **named)

            self._parallel = ParallelPasses(
                self._student.parameters, self._inputs_of, of_copy, self._parts, len(self._steps)
            )
        self._parallel.start(self.state.global_step)
        return self._parallel.add(super().training_step(model, inputs, *given, **named))

    def _inputs_of(self, part: int, step: int) -> dict[str, Any]:
        """In a copy of this process: the inputs of its pass of a step."""
        if part not in self._own:
            self._own[part] = self._passes(part)
            self._examples.prepare(examples_of(self._own[part]), self._parts)
        return pass_inputs(self._examples, self._own[part], step)

    def close(self) -> None:
        """End the processes of passes at the same time."""
        if self._parallel is not None:
            self._parallel.close()
            self._parallel = None

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW over the student's trained weights."""
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(
                self._student.parameter_groups(self._settings.learning_rate, self._settings.weight_decay)
            )
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LambdaLR:
        """The learning rate of `schedule.rate_schedule`."""
        if self.lr_scheduler is None:
            self.lr_scheduler = rate_schedule(
                optimizer or self.create_optimizer(),
                self._settings.scheduler,
                self._settings.warmup,
                num_training_steps,
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def compute_loss_context_manager(self) -> ExitStack:
        """Autocast computes products in half precision, and keeps the weights and the optimizer in float32."""
        contexts = ExitStack()
        if self._student.compute != torch.float32:
            contexts.enter_context(torch.autocast(self._student.device.type, self._student.compute))
        return contexts

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        """The mean loss over the pass's answer tokens, times its share of those of the step.

        So every answer token of a step counts the same, however the step is divided; the gradients of processes are
        averaged, so the loss is multiplied by their number. The stock Trainer weighs passes equally for models that
        take no number of items.
        """
        counted, of_step = inputs.pop(LEARNT)
        loss: torch.Tensor = model(**inputs, use_cache=False).loss
        loss = loss * counted / of_step
        return loss * self.args.world_size if self.args.world_size > 1 else loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> int:
        return 1  # not used: compute_loss scales the loss itself

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """0: counting goes through all weights in each step."""
        return 0

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """`{"eval_loss": mean loss per answer token of the validation rows}`."""
        # as many passes as in training, since a whole step of rows may not fit into memory
        passes = passes_of(
            self._validation,
            self._settings.accumulate,
            self.args.world_size,
            self.args.process_index,
        )
        model: Any = self.model_wrapped if self._sharded else self.model
        model.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        with torch.no_grad():
            # in this process: the workers of the training and their images stay as they are
            for inputs in pass_loader(self._examples, passes, 0):
                counted = inputs.pop(LEARNT)[0]
                with self.compute_loss_context_manager():
                    loss = model(**self._prepare_inputs(inputs), use_cache=False).loss
                sums += torch.stack([loss.double() * counted, loss.new_tensor(counted).double()])
        if self.args.world_size > 1:
            torch.distributed.all_reduce(sums)
        model.train()
        metrics = {"eval_loss": float(sums[0] / sums[1])}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    @property
    def _sharded(self) -> bool:
        """Whether weights lie in parts on several devices, whose states their own libraries write and read."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """The trained weights alone, as they are in memory: a training continues bit for bit."""
        assert output_dir is not None
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_trained(self.model), folder / _TRAINED)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.world_size > 1:
            torch.distributed.barrier()
        if best := self._best_state():
            self.state.best_model_checkpoint = str(best)
        if self.args.should_save:
            state = self._state_of(self.state.global_step)
            mark_complete(state)
            remove_older(state, keep=best)

    def gathered(self) -> dict[str, torch.Tensor] | None:
        """All weights, in the main process, of a model that lies in parts; all processes have to call it."""
        if not self._sharded:
            return None
        found: dict[str, torch.Tensor] = self.accelerator.get_state_dict(self.model_wrapped)
        return found

    def save_now(self) -> None:
        """Write a state after the last whole step, without the gradients of an unfinished step."""
        self._student.model.zero_grad()
        # a state that is there already is not opened again: a kill would leave half of it
        state = self._state_of(self.state.global_step)
        if newest_state(state.parent) != state:
            self._save_checkpoint(self.model, None)

    def _state_of(self, step: int) -> Path:
        return Path(str(self.args.output_dir)) / f"checkpoint-{step}"

    def _best_state(self) -> Path | None:
        """The state of the smallest validation loss.

        Where weights lie in parts, the Trainer's own `best_model_checkpoint` is the one before, or none in some of the
        processes: it looks for the folder before it is written.
        """
        best = self.state.best_global_step
        return self._state_of(best) if best else None

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self._sharded:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            _load_trained(self.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        best = self._best_state()
        if best and self._sharded:
            super()._load_best_model()
        elif best:
            _load_trained(self.model, best)


def _trained(model: Any) -> dict[str, torch.Tensor]:
    return {
        name: parameter.detach().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def _load_trained(model: Any, folder: Path) -> None:
    saved, trained = load_file(folder / _TRAINED), _trained(model)
    if saved.keys() != trained.keys():
        # the fingerprint of the state has been compared before: this is our own fault
        raise KeyError(f"{folder / _TRAINED}: holds other weights than those that are trained")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(saved[name])
