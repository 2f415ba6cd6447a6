"""Step 5: what is seen while a student is trained: a bar with the losses and the time left, and a log."""

import json
import time
from math import isfinite
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dataengine_lib.core.progress.bar import ProgressBar, progress_bar
from dataengine_lib.errors import DataEngineError

_NAMES = {"loss": "loss", "eval_loss": "validation loss", "learning_rate": "rate"}


class TrainingProgress(TrainerCallback):
    """A bar over all steps, beginning where a continued training begins, and a line of JSON a step in `log`.

    With `announce` each line is printed as well, behind these words, for the process that started this one.
    Raises DataEngineError when the loss is not finite, before a state with such weights is saved.
    """

    def __init__(self, learning_rate: float, log: Path, announce: str = "") -> None:
        self._learning_rate, self._log, self._announce = learning_rate, log, announce
        self._bar: ProgressBar[Any] | None = None
        self._shown: dict[str, float] = {}
        self._began, self._first = time.monotonic(), 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._began, self._first = time.monotonic(), state.global_step
        if state.is_world_process_zero:
            self._bar = progress_bar(
                total=state.max_steps,
                initial=state.global_step,
                desc="fine-tuning",
                unit="step",
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
        if not logs.keys() & _NAMES.keys():  # the Trainer's own summary at the end
            return
        loss = logs.get("loss", 0.0)
        if not isfinite(loss):
            raise DataEngineError(
                f"fine-tuning: the loss is {loss} at step {state.global_step}; lower learning_rate "
                f"({self._learning_rate})"
            )
        self._shown |= {_NAMES[key]: value for key, value in logs.items() if key in _NAMES}
        if self._bar is None:
            return
        self._bar.set_postfix({key: f"{value:.3g}" for key, value in self._shown.items()}, refresh=False)
        seconds, done = time.monotonic() - self._began, state.global_step - self._first
        left = seconds / max(1, done) * (state.max_steps - state.global_step)
        point = {"step": state.global_step, "steps": state.max_steps, **self._shown}
        line = json.dumps(point | {"seconds": round(seconds, 1), "seconds left": round(left, 1)})
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        if self._announce:
            print(self._announce + line, flush=True)

    def close(self) -> None:
        """End the bar, also after an error."""
        if self._bar is not None:
            self._bar.close()
