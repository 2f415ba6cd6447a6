"""The encoder of step 2, loaded when it is first needed: a store that is up to date needs none of it.

What tells encoders apart takes seconds to find out, since the weights have to be loaded for it; so it is kept in the
user's cache under a digest of the files that the encoder would be loaded from.
"""

import hashlib
import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from dataengine_lib.core.files import cache_folder, read_json, sha256, write_json
from dataengine_lib.errors import DataEngineError

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataengine_lib.core.torch_loading import Dtype
    from dataengine_lib.embeddings.encoder import Encoder

log = logging.getLogger(__name__)


class _Identity(msgspec.Struct):
    weights_sha256: str
    preprocessing: dict[str, Any]


class LazyEncoder:
    """As `Encoder`; `load_encoder` is called with the same arguments, and raises what it raises, when it is needed."""

    def __init__(self, name: str, device: str = "auto", dtype: "Dtype" = "auto") -> None:
        self.name = name
        self._device, self._dtype = device, dtype

    @cached_property
    def loaded(self) -> "Encoder":
        """The encoder itself."""
        from dataengine_lib.embeddings.encoder import load_encoder

        return load_encoder(self.name, self._device, self._dtype)

    @property
    def weights_sha256(self) -> str:
        return self._identity.weights_sha256

    @property
    def preprocessing(self) -> dict[str, Any]:
        return self._identity.preprocessing

    @property
    def dtype(self) -> str:
        return self.loaded.dtype

    @property
    def prepare(self) -> "Callable[[Image], np.ndarray]":
        return self.loaded.prepare

    def encode_prepared(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """`(n, d)` float32 vectors of unit length for images that `prepare` has seen."""
        return self.loaded.encode_prepared(pixels)

    @cached_property
    def _identity(self) -> _Identity:
        file = _cached(self.name)
        if file is not None and file.is_file() and "loaded" not in vars(self):
            try:
                found: _Identity = read_json(file, _Identity)
                return found
            except DataEngineError as error:
                log.info("%s; finding it out again", error)
        identity = _Identity(self.loaded.weights_sha256, self.loaded.preprocessing)
        if file is not None:
            try:
                write_json(file, identity)
            except (OSError, DataEngineError) as error:
                log.info("no cache of the encoder's identity: %s", error)
        return identity


def _cached(name: str) -> Path | None:
    """Where the identity is kept; None where it cannot be told which files the encoder is loaded from."""
    folder, files = cache_folder("encoders"), _files(name)
    if folder is None or not files:
        return None
    # what the settings mean, and which defaults they have, is for the libraries to say
    libraries = [
        importlib.metadata.version(package) for package in ("transformers", "torch", "mllm-dataengine")
    ]
    content = [(file.name, sha256(file)) for file in files]
    return folder / f"{hashlib.sha256(repr((libraries, content)).encode()).hexdigest()}.json"


def _files(name: str) -> list[Path]:
    kind, _, file = name.partition(":")
    if kind == "clip":
        return [Path(file)] if Path(file).is_file() else []
    folder = Path(name)
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            config = try_to_load_from_cache(name, "config.json")
        except HFValidationError:
            return []
        if not isinstance(config, str):
            return []
        folder = Path(config).parent
    suffixes = (".json", ".safetensors", ".bin")
    return sorted(file for file in folder.iterdir() if file.suffix in suffixes and file.is_file())
