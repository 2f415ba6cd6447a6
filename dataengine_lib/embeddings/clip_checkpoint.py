"""Step 2: reads the weights of a CLIP checkpoint in OpenAI's format without running code from the file.

`clip.load` would unpickle the file or load it as TorchScript; both may run code that is in it. Here a plain state dict
goes through torch's weights-only reader, and of a TorchScript archive (what OpenAI publishes) only the tensors are
read.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from dataengine_lib.core.torch_loading import tensor_file_errors
from dataengine_lib.errors import DataEngineError

# storage classes that a pickle may name, with the type of their numbers
_STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


def read_checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by name, on the CPU, in their stored precision.

    Raises DataEngineError when the file cannot be read or holds anything but tensors.
    """
    with tensor_file_errors(file, "checkpoint"):
        with file.open("rb") as stream:
            archive = zipfile.ZipFile(stream) if zipfile.is_zipfile(stream) else None
            # only TorchScript archives have constants.pkl: "ViT-B-32/constants.pkl"
            if archive and (constants := [n for n in archive.namelist() if n.endswith("/constants.pkl")]):
                return _TorchScriptUnpickler(archive, constants[0].partition("/")[0]).tensors()
        content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise DataEngineError(
            f"{file}: holds no state dict (tensors by name); give a CLIP model's state_dict()"
        )
    return dict(content)


class _Module:
    """Stands for any module class of a TorchScript archive; unpickling sets its attributes."""


def _rebuild_tensor(values: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    return torch.as_strided(values, tuple(size), tuple(stride), offset)  # raises outside the storage's bounds


def _identity(value: Any) -> Any:
    return value


class _TorchScriptUnpickler(pickle.Unpickler):
    """Reads the modules of a TorchScript archive from its `data.pkl`; the archive's code is never opened.

    Only the names below can be unpickled, and none of them runs anything.
    """

    def __init__(self, archive: zipfile.ZipFile, top: str) -> None:
        super().__init__(archive.open(f"{top}/data.pkl"))
        self.archive, self.top = archive, top

    def find_class(self, module: str, name: str) -> Any:
        # the archive's own classes, such as Conv2d in "__torch__.torch.nn.modules.conv"
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch.jit._pickle" and name.startswith("build_"):  # typed lists
            return _identity
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """The numbers of a storage, from its own file in the archive; `pid` is ("storage", type, key, …)."""
        _, dtype, key, *_ = pid
        # storages are numbered files. bytearray, since torch warns about memory that is read-only
        return torch.frombuffer(bytearray(self.archive.read(f"{self.top}/data/{int(key)}")), dtype=dtype)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All tensors by their dotted name, as in a state dict: `visual.conv1.weight`."""
        found: dict[str, torch.Tensor] = {}

        def collect(module: Any, above: str) -> None:
            for name, value in vars(module).items():
                if isinstance(value, _Module):
                    collect(value, f"{above}{name}.")
                # attn_mask is no weight: the model builds it
                elif isinstance(value, torch.Tensor) and name != "attn_mask":
                    found[above + name] = value

        collect(self.load(), "")
        return found
