"""Step 2: imports embeddings made elsewhere, MLLM-DataEngine's `coco_images.pth`, into an embedding store.

The file is a pickle of `{image_id: tensor[1, d]}`. A pickle can run any code when it is read, so it is not run: see
`pickle_reader.py`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from dataengine_lib.core.records import UNKNOWN_IMAGE, image_id_of
from dataengine_lib.embeddings.store import (
    EmbeddingStore,
    StoredImage,
    StoreMeta,
    write_store,
)
from dataengine_lib.embeddings.stored_tensors import StoredArray, StoredTensor
from dataengine_lib.embeddings.tensor_file import read_tensor_file
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import id_key

# numbers in all vectors, as a multiple of the file's bytes: vectors may share a storage, each of them only once
_MOST_NUMBERS, _SMALL = 2, 1 << 20


def import_embeddings(source: Path, output: Path, encoder: str = "clip:ViT-B/32") -> EmbeddingStore:
    """Read `{image_id: vector}` (a plain pickle or torch.save) into a store at `output`, normalised to unit length.

    `encoder` names the encoder that made the vectors; the file does not say which weights it had, so `embed` and
    `construct_queries` compare a few images later. Raises DataEngineError for a pickle that would run code, and when
    the values are not finite vectors of one length.
    """
    source = Path(source)
    content = read_tensor_file(source, "pickle")
    if not isinstance(content, dict) or not content:
        raise DataEngineError(
            f"{source}: holds no {{image_id: vector}} pairs; give MLLM-DataEngine's coco_images.pth"
        )
    ids: list[int] = []
    images: list[StoredImage] = []
    rows: list[np.ndarray] = []
    left = _MOST_NUMBERS * source.stat().st_size + _SMALL
    for key, value in content.items():
        try:
            found = image_id_of(key) if isinstance(key, int | str) else UNKNOWN_IMAGE
            if found == UNKNOWN_IMAGE:
                raise ValueError("it names no image")
            ids.append(id_key(found))
            images.append(StoredImage(image_id=found) if isinstance(found, str) else StoredImage())
            rows.append(_unit_vector(value))
        except (TypeError, ValueError) as error:
            raise DataEngineError(
                f"{source}: {_shown(key)}: not an image id with a vector ({str(error)[:120]})"
            ) from error
        if rows[-1].shape != rows[0].shape:
            raise DataEngineError(f"{source}: {_shown(key)}: not a finite vector of {rows[0].size} numbers")
        if (left := left - rows[0].size) < 0:
            raise DataEngineError(
                f"{source}: {_shown(key)}: its vectors are larger than the file; make it again"
            )
    if len(set(ids)) != len(ids):
        raise DataEngineError(
            f"{source}: an image id occurs twice, as a number and as text; make the file again"
        )
    order = np.argsort(np.array(ids, dtype=np.int64), kind="stable")
    vectors = np.stack(rows)[order]
    meta = StoreMeta(encoder=encoder)
    return write_store(output, meta, np.array(ids)[order], vectors, [images[place] for place in order])


def _unit_vector(value: Any) -> np.ndarray:
    """The vector `(d,)` float32 of unit length; raises ValueError when it has no direction."""
    if type(value) is list and len(value) == 1:
        value = value[0] if type(value[0]) is list else value  # (1, d) as lists
    if isinstance(value, StoredTensor):
        row = value.values().detach().double().numpy()
    elif isinstance(value, StoredArray):
        row = value.values().astype(np.float64)
    # lists are not walked through: their parts may be shared, and then grow without end
    elif type(value) is list and all(type(number) in (int, float) for number in value):
        row = np.array(value, dtype=np.float64)
    else:
        raise ValueError("neither a tensor nor an array nor a list of numbers")
    row = row.reshape(-1)  # (1, d) in coco_images.pth
    # zeros are refused too, since they cannot be brought to unit length
    if not np.isfinite(row).all() or not row.any():
        raise ValueError("not a finite vector with a direction")
    return (row / np.abs(row).max() / np.linalg.norm(row / np.abs(row).max())).astype(np.float32)


def _shown(key: int | str) -> str:
    return f"key {str(key)[:60]!r}" if isinstance(key, str) else f"key {key}"
