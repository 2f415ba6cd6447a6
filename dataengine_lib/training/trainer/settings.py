"""Step 5: how the trainer goes through the batches."""

from dataclasses import dataclass
from typing import Literal

Scheduler = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True)
class TrainerSettings:
    """The fields of FineTuneConfig of the same names; `warmup` is a share of all steps, `clip` the gradient's norm.

    `report_to` are names of transformers' loggers, such as tensorboard; `run_name` is what they show. With `announce`
    the progress is printed, each line behind these words.
    """

    learning_rate: float
    scheduler: Scheduler = "cosine"
    warmup: float = 0.03
    weight_decay: float = 0.0
    clip: float = 1.0
    accumulate: int = 1
    workers: int = 0
    save_steps: int = 500
    keep_best: bool = False
    report_to: tuple[str, ...] = ()
    run_name: str = ""
    seed: int = 0
    announce: str = ""
