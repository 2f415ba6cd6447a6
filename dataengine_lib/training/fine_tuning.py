"""Step 5: the training loop."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from math import ceil, cos, isfinite, pi

import torch
from tqdm.auto import tqdm

from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.examples import Example, ExampleEncoder
from dataengine_lib.training.log import LossPoint
from dataengine_lib.training.trainable import Trainable


def train_on_batches(
    student: Trainable,
    examples: ExampleEncoder,
    batches: Sequence[Sequence[Example]],
    *,
    learning_rate: float,
    accumulate: int = 1,
    warmup: float = 0.03,
    clip: float = 1.0,
    on_step: Callable[[LossPoint], None] = lambda point: None,
) -> list[LossPoint]:
    """Train in place on the batches in their order: AdamW, linear warm-up, then a cosine to zero.

    One batch is one optimizer step, in `accumulate` passes; `warmup` is a share of all steps, `clip` the largest norm
    of the gradient. `on_step` is called after every step. Raises DataEngineError when the loss is not finite.
    """
    optimizer = torch.optim.AdamW(student.parameters, lr=learning_rate, weight_decay=0.0)
    warmup_steps, steps = ceil(warmup * len(batches)), len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate_factor(step, warmup_steps, steps)
    )
    # autocast computes products in half precision and keeps the weights and the optimizer in float32
    half = student.compute != torch.float32
    student.model.train()
    curve = []
    for step, batch in enumerate(tqdm(batches, desc="fine-tuning", unit="step", disable=None), 1):
        answer_tokens = sum(example.answer for example in batch)
        size, total = ceil(len(batch) / accumulate), 0.0
        for part in (batch[start : start + size] for start in range(0, len(batch), size)):
            inputs = {key: value.to(student.device) for key, value in examples.batch(part).items()}
            with torch.autocast(student.device.type, student.compute) if half else nullcontext():
                loss = student.model(**inputs, use_cache=False).loss
            # the model's loss is a mean over the part's answer tokens; weighted by their number, every answer token
            # of the batch counts the same, however the batch is divided
            loss = loss * sum(example.answer for example in part) / answer_tokens
            loss.backward()
            total += loss.item()
        if not isfinite(total):
            raise DataEngineError(
                f"fine-tuning: the loss is {total} at step {step}; lower learning_rate ({learning_rate})"
            )
        # the gradient of the step is complete: clip its norm, then update
        torch.nn.utils.clip_grad_norm_(student.parameters, clip)
        # the rate of this step, before the schedule moves on
        point = LossPoint(step, round(total, 6), float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        curve.append(point)
        on_step(point)
    return curve


def _rate_factor(step: int, warmup_steps: int, steps: int) -> float:
    """Factor of the learning rate at `step`, counted from 0; in (0, 1], so that a training of one step has an effect."""
    # three steps of warm-up give 1/4, 2/4 and 3/4; the cosine begins at 1
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return (1 + cos(pi * (step - warmup_steps) / max(1, steps - warmup_steps))) / 2
