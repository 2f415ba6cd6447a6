"""Step 2: reads the weights of a CLIP checkpoint in OpenAI's format without running code from the file.

`clip.load` would unpickle the file or load it as TorchScript; both may run code that is in it. Here only the tensors
are read, of a state dict as of a TorchScript archive (what OpenAI publishes).
"""

from pathlib import Path
from typing import Any

import torch

from dataengine_lib.core.torch_loading import tensor_file_errors
from dataengine_lib.embeddings.pickle_reader import ModuleState
from dataengine_lib.embeddings.stored_tensors import StoredTensor
from dataengine_lib.embeddings.tensor_file import read_tensor_file
from dataengine_lib.errors import DataEngineError

_MOST_MODULES = 100_000  # attributes of a TorchScript archive; those of ViT-L/14 are 3,000


def read_checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by name, on the CPU, in their stored precision.

    Raises DataEngineError when the file cannot be read or holds anything but tensors.
    """
    content = read_tensor_file(file, "checkpoint")
    with tensor_file_errors(file, "checkpoint"):
        found = _module_tensors(content) if isinstance(content, ModuleState) else content
        if isinstance(found, dict) and found and all(isinstance(one, StoredTensor) for one in found.values()):
            return {str(name): tensor.values() for name, tensor in found.items()}
    raise DataEngineError(f"{file}: holds no state dict (tensors by name); give a CLIP model's state_dict()")


def _module_tensors(top: ModuleState) -> dict[str, Any]:
    """All tensors by their dotted name, as in a state dict: `visual.conv1.weight`.

    A hostile archive's modules may contain each other: every attribute counts each time that it is reached.
    """
    found: dict[str, Any] = {}
    waiting = [("", top)]
    seen = 0
    while waiting:
        above, module = waiting.pop()
        for name, value in module.attributes.items():
            if (seen := seen + 1) > _MOST_MODULES:
                raise ValueError(f"more than {_MOST_MODULES} parts")
            if isinstance(value, ModuleState):
                waiting.append((f"{above}{name}.", value))
            # attn_mask is no weight: the model builds it
            elif isinstance(value, StoredTensor) and name != "attn_mask":
                found[above + name] = value
    return found
