"""Step 5: a student that can be trained, with LoRA adapters or all its weights, and its saved checkpoint."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, set_seed

from dataengine_lib.core.torch_loading import quiet_in_logs
from dataengine_lib.students.loading import load_student

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
