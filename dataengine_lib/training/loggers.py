"""Step 5: loggers of transformers that a training can report to."""

import importlib.util
from collections.abc import Sequence
from typing import Literal

from dataengine_lib.errors import ParameterError

Logger = Literal["tensorboard", "wandb", "mlflow", "comet_ml", "clearml", "swanlab", "trackio"]

TENSORBOARD_FILES = "runs"  # the folder beside the states, then in the checkpoint, as transformers names it


def check_loggers(names: Sequence[Logger]) -> None:
    """Raise ParameterError for a logger that is not installed."""
    for name in names:
        packages = ("tensorboard", "tensorboardX") if name == "tensorboard" else (name,)
        if not any(importlib.util.find_spec(package) for package in packages):
            raise ParameterError(
                f"report_to: {name} is not installed; run: pip install {name}, or leave it out"
            )
