"""Step 2: imports embeddings made elsewhere, MLLM-DataEngine's `coco_images.pth`, into an embedding store.

The file is a pickle of `{image_id: tensor[1, d]}`. A pickle can run any code when it is read, so only the names that
rebuild tensors and arrays are allowed.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from dataengine_lib.core.torch_loading import tensor_file_errors
from dataengine_lib.embeddings.store import (
    EmbeddingStore,
    StoredImage,
    StoreMeta,
    write_store,
)
from dataengine_lib.errors import DataEngineError

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # first object of a file by torch.save before version 1.6
# names that a pickle of tensors or arrays refers to, by versions of torch and NumPy
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # how pickle protocol 2 writes bytes
}


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles dicts, tensors and arrays; raises UnpicklingError for every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _load_storage  # torch's own unpickles the inner bytes without restriction
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _load_storage(data: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def import_embeddings(source: Path, output: Path, encoder: str = "clip:ViT-B/32") -> EmbeddingStore:
    """Read `{image_id: vector}` (a plain pickle or torch.save) into a store at `output`, normalised to unit length.

    `encoder` names the encoder that made the vectors; the file does not say which weights it had, so `embed` and
    `construct_queries` compare a few images later. Raises DataEngineError for a pickle that would run code, and when
    the values are not finite vectors of one length.
    """
    content = _read(Path(source))
    if not isinstance(content, dict) or not content:
        raise DataEngineError(
            f"{source}: holds no {{image_id: vector}} pairs; give MLLM-DataEngine's coco_images.pth"
        )
    ids, rows = [], []
    for key, value in content.items():
        try:
            ids.append(int(key))
            row = (
                value.detach().float().numpy()
                if hasattr(value, "detach")
                else np.asarray(value, dtype=np.float32)
            )
        except (TypeError, ValueError) as error:
            raise DataEngineError(
                f"{source}: key {key!r}: not an image id with a vector ({error})"
            ) from error
        # (1, d) in coco_images.pth
        rows.append(row.reshape(-1))
        # zeros are refused too, since they cannot be brought to unit length
        if rows[-1].shape != rows[0].shape or not np.isfinite(rows[-1]).all() or not rows[-1].any():
            raise DataEngineError(f"{source}: key {key!r}: not a finite vector of {rows[0].size} numbers")
    if len(set(ids)) != len(ids):
        raise DataEngineError(
            f"{source}: an image id occurs twice, as a number and as text; make the file again"
        )
    order = np.argsort(np.array(ids, dtype=np.int64), kind="stable")
    vectors = np.stack(rows).astype(np.float32)[order]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    meta = StoreMeta(encoder=encoder)
    return write_store(output, meta, np.array(ids)[order], vectors, [StoredImage()] * len(ids))


def _read(source: Path) -> Any:
    """The content of a plain pickle, or of a file by torch.save before 1.6 (several pickles) or after (a zip file)."""
    import torch

    with tensor_file_errors(source, "pickle"):
        with source.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                stream.seek(0)
                content = _TensorUnpickler(stream).load()
                # after the magic number more pickles follow, which torch reads itself
                if content != _TORCH_MAGIC:
                    return content
        return torch.load(source, map_location="cpu", weights_only=True)
