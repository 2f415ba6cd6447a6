"""Part of step 2's encoder: the weights in a CLIP checkpoint of OpenAI's format, read without running what is in it.

`clip.load` would unpickle a file, or load it as TorchScript, and both may run code that is in the file. Here a plain
state dict goes through torch's weights-only reader, and of a TorchScript archive (what OpenAI publishes) only the
tensors are read.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from dataengine_lib.errors import DataEngineError

_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


def read_checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by name, on the CPU, in the precision they are stored in.

    Raises DataEngineError when the file cannot be read or holds anything but tensors.
    """
    try:
        with file.open("rb") as stream:
            archive = zipfile.ZipFile(stream) if zipfile.is_zipfile(stream) else None
            if archive and (scripted := [n for n in archive.namelist() if n.endswith("/constants.pkl")]):
                return _Archive(archive, scripted[0].partition("/")[0]).tensors()
        content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataEngineError(
            f"{file}: cannot be read ({error.strerror or error}); check the path"
        ) from error
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split()).split(" Please file an issue")[0][:240]
        raise DataEngineError(
            f"{file}: refused, for this checkpoint is not only tensors and could run code: {reason}"
        ) from error
    except (
        *(EOFError, RuntimeError, ValueError, TypeError, AttributeError, LookupError, RecursionError),
        zipfile.BadZipFile,
    ) as error:
        raise DataEngineError(
            f"{file}: not a readable checkpoint ({' '.join(str(error).split())[:160]}); download it again"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise DataEngineError(
            f"{file}: holds no state dict (tensors by name); give a CLIP model's state_dict()"
        )
    return dict(content)


class _Module:
    """Stands for any module of a TorchScript archive: only its attributes count."""


def _tensor(values: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    return torch.as_strided(values, tuple(size), tuple(stride), offset)  # checks the bounds


def _as_it_is(value: Any) -> Any:
    return value


class _Archive(pickle.Unpickler):
    """The modules of a TorchScript archive, by its `data.pkl`; its code is not looked at."""

    def __init__(self, archive: zipfile.ZipFile, top: str) -> None:
        super().__init__(archive.open(f"{top}/data.pkl"))
        self.archive, self.top = archive, top

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return _as_it_is
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        _, dtype, key, *_ = pid
        return torch.frombuffer(bytearray(self.archive.read(f"{self.top}/data/{int(key)}")), dtype=dtype)

    def tensors(self) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}

        def collect(module: Any, above: str) -> None:
            for name, value in vars(module).items():
                if isinstance(value, _Module):
                    collect(value, f"{above}{name}.")
                elif isinstance(value, torch.Tensor) and name != "attn_mask":  # made anew with the model
                    found[above + name] = value

        collect(self.load(), "")
        return found
