"""Step 5: what is seen while a student is trained: a bar with the losses and the time left."""

from math import isfinite
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dataengine_lib.errors import DataEngineError


class TrainingProgress(TrainerCallback):
    """A bar over all steps, beginning where a continued training begins.

    Raises DataEngineError when the loss is not finite, before a state with such weights is saved.
    """

    def __init__(self, learning_rate: float) -> None:
        self._learning_rate = learning_rate
        self._bar: tqdm[Any] | None = None
        self._shown: dict[str, str] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.is_world_process_zero:
            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="fine-tuning",
                unit="step",
                disable=None,
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        if state.global_step >= state.max_steps and not control.should_evaluate:
            # the checkpoint follows at once; a state at the end is wanted only where it may be the best one
            control.should_save = False
        if self._bar is not None:
            self._bar.update()
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        logs = logs or {}
        loss = logs.get("loss", 0.0)
        if not isfinite(loss):
            raise DataEngineError(
                f"fine-tuning: the loss is {loss} at step {state.global_step}; lower learning_rate "
                f"({self._learning_rate})"
            )
        names = {"loss": "loss", "eval_loss": "validation loss", "learning_rate": "rate"}
        self._shown |= {names[key]: f"{value:.3g}" for key, value in logs.items() if key in names}
        if self._bar is not None:
            self._bar.set_postfix(self._shown, refresh=False)

    def close(self) -> None:
        """End the bar, also after an error."""
        if self._bar is not None:
            self._bar.close()
