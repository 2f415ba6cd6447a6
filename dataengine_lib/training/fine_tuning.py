"""Step 5: a trainable student (LoRA or full), the training loop, and saving the result."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil, cos, isfinite, pi
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm.auto import tqdm
from transformers import AutoConfig, set_seed

from dataengine_lib.core.torch_loading import quiet_in_logs
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.loading import load_student
from dataengine_lib.training.examples import Example, ExampleEncoder
from dataengine_lib.training.log import LossPoint

_TrainDtype = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class TrainableSettings:
    """What is trained and how it is held: the fields of FineTuneConfig of the same names."""

    method: Literal["lora", "full"]
    lora_rank: int
    train_vision: bool
    dtype: _TrainDtype
    device: str
    seed: int


@dataclass
class Trainable:
    """A student that can be trained.

    `stored` is the precision of its weights on disk, `compute` that of its matrix products.
    """

    model: Any
    processor: Any
    device: torch.device
    compute: torch.dtype
    stored: torch.dtype

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Those that are trained."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def load_trainable(name: str, settings: TrainableSettings) -> Trainable:
    """The student with LoRA adapters on every linear layer of language model and projector, or with all its weights.

    The vision tower is trained only with `train_vision`. Raises DataEngineError when the student cannot be loaded.
    """
    # before the adapters are made: their first weights are random
    set_seed(settings.seed)
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(automatic if settings.device == "auto" else settings.device)
    compute = _compute_dtype(settings.dtype, device)
    lora = settings.method == "lora"
    # A large model's frozen weights fit a GPU only in half precision; trained weights stay in float32.
    half = lora and device.type == "cuda" and compute == torch.bfloat16
    loaded = load_student(name, device.type if device.index is None else str(device))
    model, processor = loaded.model.to(torch.bfloat16 if half else torch.float32), loaded.processor
    # the weights' precision on disk; the loaded model only knows the one it was loaded in
    stored = (
        getattr(AutoConfig.from_pretrained(name, trust_remote_code=False), "dtype", None) or torch.float32
    )
    tower = model.get_encoder(modality="image")  # the model itself where it has no tower of its own
    frozen = [] if settings.train_vision or tower is model else list(tower.modules())
    if lora:
        model = _with_lora(model, settings.lora_rank, frozen)
    else:
        for module in frozen:
            module.requires_grad_(False)
    return Trainable(model.to(device), processor, device, compute, stored)


def _with_lora(model: Any, rank: int, frozen: Sequence[torch.nn.Module]) -> Any:
    """The model with new adapters of scale 2 (alpha over rank) on its linear layers outside `frozen`."""
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_linear_layers(model, frozen))
    with warnings.catch_warnings():
        # peft 0.21 uses an old name of transformers 5; users can do nothing about the warning
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(model, lora)


def _compute_dtype(dtype: _TrainDtype, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 where the hardware multiplies it: on GPUs, and on CPUs with AVX512-BF16 or AMX."""
    if dtype != "auto":
        return torch.bfloat16 if dtype == "bfloat16" else torch.float32
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return torch.bfloat16 if fast else torch.float32


def _linear_layers(model: Any, frozen: Sequence[torch.nn.Module]) -> list[str]:
    """Names of the linear layers outside `frozen`, without the output layer, which often is the embedding itself."""
    excluded = {id(module) for module in [*frozen, model.get_output_embeddings()]}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and id(module) not in excluded
    ]


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


def save_checkpoint(student: Trainable, folder: Path, *, keep_adapter: bool) -> None:
    """Write model and processor in the precision of the student's files; adapters are merged unless `keep_adapter`."""
    model = student.model
    if not (keep_adapter and hasattr(model, "merge_and_unload")):
        # weights are trained in float32, and saved in the precision of the student's files
        model = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
        model.to(student.stored)
    with quiet_in_logs():
        model.save_pretrained(folder)
    student.processor.save_pretrained(folder)
