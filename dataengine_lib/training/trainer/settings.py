"""Step 5: the parameters of the trainer, which goes through the batches."""

from typing import Literal

from pydantic import Field

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.training.loggers import Logger
from dataengine_lib.training.parts.settings import Seed

Scheduler = Literal["cosine", "linear", "constant"]


class TrainerSettings(StepConfig):
    """How the trainer goes through the batches."""

    learning_rate: float = Field(2e-4, gt=0)
    """The highest, after a linear warm-up."""
    scheduler: Scheduler = "cosine"
    """How the rate decays after the warm-up: cosine, linear or constant."""
    warmup: float = Field(0.03, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's."""
    clip: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0: no limit."""
    accumulate: int = Field(1, ge=1)
    """Passes that the rows of a step are divided into, to fit into memory; a small student's are computed at once."""
    workers: int | None = Field(None, ge=0)
    """Processes that prepare images and texts, 0 for none; default: 4 beside a GPU, else 0."""
    save_steps: int = Field(500, ge=1)
    """Steps between saved states, from which an interrupted run continues."""
    keep_best: bool = False
    """Keep the weights of the smallest validation loss, not the last ones."""
    report_to: list[Logger] = Field(default_factory=list)
    """Loggers of transformers, such as tensorboard or wandb."""
    seed: Seed = 0
    """Of the trainer's loggers and states."""
