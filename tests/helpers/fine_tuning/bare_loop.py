"""The plainest loop that trains a student on the batches of step 5: what the trainer has to equal, byte for byte."""

from collections.abc import Sequence
from contextlib import nullcontext
from math import ceil, cos, pi
from typing import Any

import torch


def bare_loop(student: Any, batches: Sequence[Any], learning_rate: float) -> list[float]:
    """Train in place on ready tensors, one step each; AdamW, 3 % warm-up, a cosine to zero. Returns the losses."""
    optimizer = torch.optim.AdamW(student.parameters, lr=learning_rate, weight_decay=0.0)
    steps, warmup = len(batches), ceil(0.03 * len(batches))
    student.model.train()
    losses = []
    for step, inputs in enumerate(batches):
        rate = (step + 1) / (warmup + 1)
        if step >= warmup:
            rate = (1 + cos(pi * (step - warmup) / max(1, steps - warmup))) / 2
        optimizer.param_groups[0]["lr"] = learning_rate * rate
        half = student.compute != torch.float32
        with torch.autocast("cpu", student.compute) if half else nullcontext():
            loss = student.model(**inputs, use_cache=False).loss
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(student.parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return losses
