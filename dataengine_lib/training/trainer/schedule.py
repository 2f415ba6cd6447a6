"""Step 5: the learning rate over a training."""

from functools import partial
from math import ceil, cos, pi

import torch

from dataengine_lib.training.trainer.settings import Scheduler


def rate_schedule(
    optimizer: torch.optim.Optimizer, kind: Scheduler, warmup: float, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """A linear warm-up over the share `warmup` of all `steps`, then a cosine or a line to zero, or a constant rate."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, partial(rate_factor, kind=kind, warmup_steps=ceil(warmup * steps), steps=steps)
    )


def rate_factor(step: int, kind: Scheduler, warmup_steps: int, steps: int) -> float:
    """Factor of the learning rate at `step`, counted from 0; above 0, so that a training of one step has an effect."""
    # three steps of warm-up give 1/4, 2/4 and 3/4; the decay begins at 1
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    done = (step - warmup_steps) / max(1, steps - warmup_steps)
    if kind == "cosine":
        return (1 + cos(pi * done)) / 2
    return 1 - done if kind == "linear" else 1.0
