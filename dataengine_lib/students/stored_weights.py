"""The precision of a model's weights in its files (steps 1 and 5), whatever precision it is loaded in."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig
from transformers.utils import cached_file

# safetensors' names of the floating types that checkpoints have
_FLOATING = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def local_folder(name: str, settings: str = "config.json") -> Path:
    """The folder of a model's files: `name` itself, or that of a hub name's commit in the cache of this machine.

    `settings` is a file of it. The files must be on this machine, as they are once the model was loaded.
    """
    folder = Path(name)
    return folder if folder.is_dir() else Path(str(cached_file(name, settings))).parent


def stored_dtypes(name: str) -> dict[str, torch.dtype]:
    """Precision of each floating tensor in the files of a model folder or hub name, by its name there.

    Empty where the files are neither safetensors nor PyTorch's. The model's files must be on this machine, as they are
    once it was loaded.
    """
    folder = local_folder(name)
    files = sorted(folder.glob("model*.safetensors"))
    if files:
        return {key: dtype for file in files for key, dtype in _of_safetensors(file)}
    found: dict[str, torch.dtype] = {}
    for file in sorted(folder.glob("pytorch_model*.bin")):
        tensors = torch.load(file, map_location="meta", weights_only=True)
        found |= {key: tensor.dtype for key, tensor in tensors.items() if tensor.is_floating_point()}
    return found


def _of_safetensors(file: Path) -> Iterator[tuple[str, torch.dtype]]:
    with safe_open(file, framework="pt") as weights:
        for key in weights.keys():  # noqa: SIM118  (not a dict: it cannot be iterated)
            dtype = _FLOATING.get(weights.get_slice(key).get_dtype())
            if dtype is not None:
                yield key, dtype


def common_dtype(name: str, dtypes: dict[str, torch.dtype]) -> torch.dtype:
    """The precision of most of the `dtypes`, or that of the model's config where there are none."""
    if dtypes:
        kinds = list(dtypes.values())
        return max(dict.fromkeys(kinds), key=kinds.count)
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    return getattr(config, "dtype", None) or torch.float32
