"""Step 5: a base model in 4 bits under the adapters (QLoRA), by bitsandbytes."""

import importlib.util
from typing import Any

import torch

from dataengine_lib.errors import ParameterError, install_command


def check_quantize(device: str) -> None:
    """Raise ParameterError where a model cannot be held in 4 bits: without bitsandbytes, or without an NVIDIA GPU."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ParameterError(
            f"quantize: 4bit needs bitsandbytes, which is not installed; run: {install_command('4bit')}"
        )
    on_gpu = device.startswith("cuda") or device == "auto"
    if not (on_gpu and torch.cuda.is_available()):
        raise ParameterError(
            f"quantize: 4bit needs an NVIDIA GPU (device is {device}, and torch sees {torch.cuda.device_count()}); leave "
            "quantize out, or train where there is one"
        )


def quantization_config(compute: torch.dtype) -> Any:
    """The settings of QLoRA: NormalFloat, scales quantized as well, products in `compute`.

    Source: Dettmers et al. 2023, arXiv 2305.14314.
    """
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def prepare_quantized(model: Any) -> Any:
    """The model with all weights frozen, and those that are not in 4 bits (norms, embeddings) in float32."""
    from peft import prepare_model_for_kbit_training

    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
