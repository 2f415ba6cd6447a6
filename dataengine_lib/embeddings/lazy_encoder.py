"""Step 2: the encoder, loaded only when it is first needed; an up-to-date store never needs it.

An encoder's identity (the digest of its weights, its preprocessing) takes seconds to find out because the weights must
be loaded. So it is cached in the user's cache folder under a digest of the files that the encoder is loaded from.
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

_log = logging.getLogger(__name__)


class _Identity(msgspec.Struct):
    weights_sha256: str
    preprocessing: dict[str, Any]


class LazyEncoder:
    """Behaves like `Encoder`; calls `load_encoder` with the same arguments, and raises its errors, on first use."""

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
    def parameters(self) -> int:
        return self.loaded.parameters

    @property
    def batches_at_once(self) -> int:
        return self.loaded.batches_at_once

    @property
    def prepare(self) -> "Callable[[Image], np.ndarray]":
        return self.loaded.prepare

    def encode_prepared(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """`(n, d)` float32 vectors of unit length for pixels that come from `prepare`."""
        return self.loaded.encode_prepared(pixels)

    @cached_property
    def _identity(self) -> _Identity:
        file = _identity_file(self.name)
        # vars(self) holds a cached_property once computed: a loaded encoder gives its own identity
        if file is not None and file.is_file() and "loaded" not in vars(self):
            try:
                found: _Identity = read_json(file, _Identity)
                return found
            except DataEngineError as error:
                _log.info("%s; the encoder is loaded instead", error)
        identity = _Identity(self.loaded.weights_sha256, self.loaded.preprocessing)
        if file is not None:
            try:
                write_json(file, identity)
            except (OSError, DataEngineError) as error:
                _log.info("no cache of the encoder's identity: %s", error)
        return identity


def _identity_file(name: str) -> Path | None:
    """The cache file of an encoder's identity; None where the files it is loaded from are not known."""
    folder, files = cache_folder("encoders"), _source_files(name)
    if folder is None or not files:
        return None
    # the same files may mean another identity in another version: settings have defaults in the libraries
    libraries = [
        importlib.metadata.version(package) for package in ("transformers", "torch", "mllm-dataengine")
    ]
    content = [(file.name, sha256(file)) for file in files]
    return folder / f"{hashlib.sha256(repr((libraries, content)).encode()).hexdigest()}.json"


def _source_files(name: str) -> list[Path]:
    """The files that `load_encoder` would read, empty where they are not on this machine yet or not known."""
    kind, _, file = name.partition(":")
    if kind == "clip":
        # "clip:ViT-B/32" is a name of the package: where its file lies is not known here
        return [Path(file)] if Path(file).is_file() else []
    folder = Path(name)
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            # looks into the local cache only, and never asks the hub
            config = try_to_load_from_cache(name, "config.json")
        except HFValidationError:
            return []
        if not isinstance(config, str):
            return []
        folder = Path(config).parent
    # configuration and weights; README, images and other frameworks' weights do not change the vectors
    suffixes = (".json", ".safetensors", ".bin")
    return sorted(file for file in folder.iterdir() if file.suffix in suffixes and file.is_file())
