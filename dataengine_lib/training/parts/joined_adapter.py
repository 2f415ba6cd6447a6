"""Step 5: two LoRA adapters, of which the second was trained on top of the first, become one."""

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.utils import load_peft_weights
from safetensors.torch import save_file

from dataengine_lib.errors import DataEngineError

_WEIGHTS = "adapter_model.safetensors"
# settings with which the weights are not B A, or not of one rank and scale
_NOT_JOINED = ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "lora_bias")


def join_adapters(first: str, folder: Path) -> None:
    """Put the adapter `first` (folder or hub name) into the one in `folder`: its change of the weights is then both.

    B1 A1 + B2 A2 is the product of the matrices side by side, [B1 B2] [A1; A2], with the sum of both ranks. Raises
    DataEngineError where `first` is no plain LoRA adapter.
    """
    before, after = LoraConfig.from_pretrained(first), LoraConfig.from_pretrained(str(folder))
    if (
        before.peft_type != after.peft_type
        or before.use_dora
        or before.modules_to_save
        or before.bias != "none"
    ):
        raise DataEngineError(
            f"{first}: no plain LoRA adapter, which a new one could be joined with; set keep_adapter to false"
        )
    old = load_peft_weights(first, device="cpu")
    new = load_peft_weights(str(folder), device="cpu")
    joined: dict[str, torch.Tensor] = {}
    for key in {**old, **new}:
        # a layer that one of them does not adapt gets zeros from it
        parts = [_scaled(key, old, before), _scaled(key, new, after)]
        ranks = (before.r, after.r)
        dimension = 0 if ".lora_A" in key else 1
        known = next(part for part in parts if part is not None)
        for place, part in enumerate(parts):
            if part is None:
                shape = list(known.shape)
                shape[dimension] = ranks[place]
                parts[place] = torch.zeros(shape)
        joined[key] = torch.cat([part for part in parts if part is not None], dimension).contiguous()
    save_file(joined, folder / _WEIGHTS, {"format": "pt"})
    _write_settings(before, after, folder)


def _scaled(key: str, weights: dict[str, torch.Tensor], config: Any) -> torch.Tensor | None:
    """The matrix in float32; B with alpha over rank, so that the joined adapter's scale is 1."""
    if key not in weights:
        return None
    scale = config.lora_alpha / (config.r**0.5 if config.use_rslora else config.r)
    return weights[key].float() * (scale if ".lora_B" in key else 1.0)


def _write_settings(before: Any, after: Any, folder: Path) -> None:
    rank = before.r + after.r
    file = folder / "adapter_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings |= {"r": rank, "lora_alpha": rank, "use_rslora": False}
    for name in ("target_modules", "target_parameters"):
        targets = {*(getattr(before, name) or ()), *(getattr(after, name) or ())}
        settings[name] = sorted(targets) or None
    file.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
