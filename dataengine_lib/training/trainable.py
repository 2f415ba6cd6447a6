"""Step 5: a student that can be trained, with LoRA adapters or all its weights, and its saved checkpoint."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from transformers import set_seed

from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.loading import load_student, torch_device
from dataengine_lib.students.stored_weights import common_dtype, stored_dtypes
from dataengine_lib.training.log import TrainedModules
from dataengine_lib.training.parts.adapted_layers import AdaptedLayers, adapted_layers
from dataengine_lib.training.parts.quantized import prepare_quantized, quantization_config
from dataengine_lib.training.parts.settings import TrainableSettings, TrainDtype
from dataengine_lib.training.parts.student_parts import StudentParts, find_parts
from dataengine_lib.training.parts.trained_modules import adapted_name, trained_modules


@dataclass(frozen=True)
class BaseStudent:
    """What a student was loaded from: a model folder or hub name, and an adapter that was merged into it.

    `file_dtypes` is the precision of each tensor in the model's files, `stored` that of most of them; in memory the
    weights that are not trained are `held` in their own, or in packed form where they are `quantized`.
    """

    name: str
    adapter: str | None
    file_dtypes: dict[str, torch.dtype]
    stored: torch.dtype
    held: torch.dtype
    quantized: bool = False

    @property
    def held_exactly(self) -> bool:
        """Whether the weights in memory are those of the files, not rounded ones."""
        wider = {torch.float32: {torch.float32, torch.float16, torch.bfloat16}}
        return not self.quantized and {*self.file_dtypes.values(), self.stored} <= wider.get(
            self.held, {self.held}
        )


@dataclass
class Trainable:
    """A student that can be trained.

    `compute` is the precision of its matrix products, `base` what it was loaded from. `projector_rate` is the learning
    rate of the projector where it is another than that of the other parts.
    """

    model: Any
    processor: Any
    device: torch.device
    compute: torch.dtype
    base: "BaseStudent"
    parts: StudentParts
    projector_rate: float | None = None

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Those that are trained."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def parameter_groups(self, learning_rate: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """What is trained as groups for a torch optimizer: `params`, `lr` and `weight_decay` of each.

        The projector has `projector_rate`; biases and norms, which have one dimension, do not decay.
        """
        groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                projector = (
                    self.projector_rate is not None and self.parts.of(adapted_name(name)) == "projector"
                )
                rate = self.projector_rate if projector else learning_rate
                decay = weight_decay if parameter.dim() > 1 else 0.0
                groups.setdefault((rate or learning_rate, decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]

    def trained_modules(self) -> list[TrainedModules]:
        """The modules that are trained, with their numbers of parameters."""
        return trained_modules(self.model, self.parts)


def load_trainable(name: str, settings: TrainableSettings) -> Trainable:
    """The student with LoRA adapters on the linear layers of the parts to train, or with all weights of these parts.

    The parts are Q-Former, projector (or merger) and language model, and the vision tower with `train_vision`, unless
    `train_parts` names others. Raises DataEngineError when the student cannot be loaded, when it lacks one of
    `train_parts`, and when one of `target_modules` names none of its layers.
    """
    found = torch_device(settings.device)
    if found is None:
        raise DataEngineError(
            "device device_map: a training takes one device in each process; choose another, and set processes"
        )
    device = torch.device(found)
    compute = _compute_dtype(settings.dtype, device)
    lora = settings.method == "lora"
    held = _held_dtype(device, compute) if lora else torch.float32
    packed = quantization_config(compute) if settings.quantize else None
    place = device.type if device.index is None else str(device)
    loaded = load_student(name, place, settings.adapter, quantization=packed)
    model = prepare_quantized(loaded.model) if settings.quantize else loaded.model.to(held)
    if settings.attention != "auto":
        _set_attention(model, settings.attention)
    if settings.gradient_checkpointing:
        # the other variant would give no gradients to adapters above a frozen embedding
        model.gradient_checkpointing_enable({"use_reentrant": False})
    # the weights' precision on disk; the loaded model only knows the one it was loaded in
    file_dtypes = stored_dtypes(name)
    base = BaseStudent(
        name, settings.adapter, file_dtypes, common_dtype(name, file_dtypes), held, packed is not None
    )
    parts = find_parts(model)
    # after an adapter was read, which draws numbers, and before new ones are made of random weights
    set_seed(settings.seed)
    trained = parts.chosen(settings.train_parts, settings.train_vision)
    if lora:
        model = _with_lora(model, settings, adapted_layers(model, parts, trained, settings.target_modules))
    else:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(parts.of(name) in trained)
    if not settings.quantize:  # which is in its place
        model = model.to(device)
    return Trainable(model, loaded.processor, device, compute, base, parts, settings.projector_rate)


def _set_attention(model: Any, kind: str) -> None:
    try:
        model.set_attn_implementation(kind)
    except ValueError as error:
        raise DataEngineError(
            f"attention: this student has none of kind {kind} ({one_line(str(error))[:160]}); set it to auto"
        ) from error


def _with_lora(model: Any, settings: TrainableSettings, layers: AdaptedLayers) -> Any:
    """The model with new adapters on `layers`; their scale is alpha over rank."""
    from peft import LoraConfig, get_peft_model

    if layers.parameters and settings.lora_dropout:
        raise DataEngineError(
            f"lora_dropout: {layers.parameters[0]} is a matrix that peft adapts without dropout only; set lora_dropout "
            "to 0, or leave projector out of train_parts"
        )
    rank = settings.lora_rank
    lora = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if settings.lora_alpha is None else settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=layers.modules,
        target_parameters=layers.parameters or None,
    )
    with warnings.catch_warnings():
        # peft 0.21 uses an old name of transformers 5; users can do nothing about the warning
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(model, lora)


def _held_dtype(device: torch.device, compute: torch.dtype) -> torch.dtype:
    """Precision of the weights under adapters: a large model's fit a GPU only in half precision."""
    return compute if device.type == "cuda" else torch.float32


def _compute_dtype(dtype: TrainDtype, device: torch.device) -> torch.dtype:
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
