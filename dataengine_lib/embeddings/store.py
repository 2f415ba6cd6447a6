"""Step 2: the embedding store, a folder with image ids, unit vectors and the encoder that made them; exact search.

Files: `ids.npy` int64 `(n,)`; `vectors.npy` float32 `(n, d)`, read memory-mapped; `images.json`, the file that each row
was made from; `meta.json`, the encoder. A new version is written whole into `new/` and then moved over the old one.
"""

import math
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import numpy as np

from dataengine_lib.core.files import read_json, sha256, write_json
from dataengine_lib.core.text import one_line
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError

# In the order in which they are written and moved: where meta.json is there, all others are.
_FILES = ("ids.npy", "vectors.npy", "images.json", "meta.json")
_BLOCK, _ROWS = 256, 1 << 17  # queries and stored rows compared at a time: their float32 cosines are 134 MB
_OBJECT = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")  # matches <ast.Name object at 0x7f060d421480>
_WORTH_TORCH = 300_000_000  # number of cosines from which importing torch is worth its time
# Decimals of a float32 cosine that count; how far two equal cosines may differ.
_DECIMALS, _ROUNDING = 6, 2e-6


class StoredImage(msgspec.Struct, gc=False):
    """The file that a row was made from: path under the image root, bytes, modification time, BLAKE2b digest.

    `size` is -1 where the file is not known (an imported row). `image_id` is written only where the id is a text, whose
    key (`references.id_key`) stands in `ids.npy`.
    """

    path: str = ""
    size: int = -1
    mtime_ns: int = -1
    digest: str = ""
    image_id: str | msgspec.UnsetType = msgspec.UNSET


class StoreMeta(msgspec.Struct, kw_only=True):
    """What made the vectors; `weights_sha256` is empty for imported vectors, whose weights are not recorded.

    `dtype` is what the encoder last computed in; the vectors are float32 in any case.
    """

    encoder: str
    weights_sha256: str = ""
    preprocessing: dict[str, Any] = {}
    dtype: str = ""
    dimension: int = 0
    count: int = 0
    ids_sha256: str = ""


class EncoderIdentity(Protocol):
    """The part of an encoder that decides whether its vectors may be compared with others."""

    name: str

    @property
    def weights_sha256(self) -> str: ...

    @property
    def preprocessing(self) -> dict[str, Any]: ...


@dataclass
class EmbeddingStore:
    """An open store: `ids` int64 `(n,)`, `vectors` float32 `(n, d)` of unit length (memory-mapped), n `images`."""

    path: Path
    meta: StoreMeta
    ids: np.ndarray
    vectors: np.ndarray
    images: list[StoredImage]

    def check_encoder(self, encoder: EncoderIdentity) -> None:
        """Raise DataEngineError when `encoder` would give other vectors than this store holds."""
        if not self.meta.weights_sha256:
            return  # imported: compared on a few images, see update_store.py
        for what, stored, given in (  # the first difference is reported
            ("weights", self.meta.weights_sha256, encoder.weights_sha256),
            ("preprocessing", self.meta.preprocessing, encoder.preprocessing),
        ):
            if stored != given:
                raise DataEngineError(
                    f"{self.path}: made by encoder {self.meta.encoder}, whose {what} differ from those of {encoder.name}; "
                    "use that encoder, or another folder for the embeddings"
                )


def store_exists(path: Path) -> bool:
    """Whether there is a store at `path`, or a finished one in `new/` that was not moved into place yet."""
    return (Path(path) / "meta.json").is_file() or (Path(path) / "new" / "meta.json").is_file()


def open_store(path: Path) -> EmbeddingStore:
    """Open a store. Raises DataEngineError when it is missing, or damaged (its files do not belong together)."""
    path = Path(path)
    if not store_exists(path):
        raise DataEngineError(f"{path}: no embedding store here; make it with `dataengine embed`")
    _move_into_place(path)
    meta: StoreMeta = read_json(path / "meta.json", StoreMeta)
    images: list[StoredImage] = read_json(path / "images.json", list[StoredImage])
    if len(images) != meta.count:
        raise DataEngineError(
            f"{path}: damaged store ({len(images)} images where {meta.count} should be); "
            "delete the folder and embed again"
        )
    ids = _load_array(path / "ids.npy", np.dtype(np.int64), (meta.count,))
    # an array without values cannot be memory-mapped
    vectors = _load_array(
        path / "vectors.npy", np.dtype(np.float32), (meta.count, meta.dimension), "r" if meta.count else None
    )
    if meta.ids_sha256 != sha256(path / "ids.npy"):
        raise DataEngineError(
            f"{path}: ids.npy is not the one meta.json names; delete the folder and embed again"
        )
    return EmbeddingStore(path, meta, ids, vectors, images)


def _load_array(
    file: Path, dtype: np.dtype, shape: tuple[int, ...], mode: Literal["r"] | None = None
) -> np.ndarray:
    """The array in an .npy file, which must have this type and shape, and hold as many bytes; nothing else is loaded.

    Format: numpy.lib.format, whose header is compared first: NumPy would allocate whatever size a header names.
    """
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            found, fortran, kind = np.lib.format.read_array_header_1_0(stream)
            held = file.stat().st_size - stream.tell()
        if (version, found, fortran, kind) != ((1, 0), shape, False, dtype):
            raise ValueError(f"shape {found} of {kind} where {shape} of {dtype} should be")
        if min(shape) < 0 or held != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{held} bytes of numbers where shape {shape} of {dtype} should be")
        loaded: np.ndarray = np.load(file, mmap_mode=mode, allow_pickle=False)
        return loaded
    except (
        Exception
    ) as error:  # a damaged header is evaluated, tokenized and compared, and each raises its own
        fault = _OBJECT.sub("…", one_line(str(error)))[:160]
        raise DataEngineError(
            f"{file.parent}: damaged store ({file.name}: {fault}); delete the folder and embed again"
        ) from error


def write_store(
    path: Path, meta: StoreMeta, ids: np.ndarray, vectors: np.ndarray, images: Sequence[StoredImage]
) -> EmbeddingStore:
    """Write a whole store and open it; also after a kill, a reader sees either the old one or the new one."""
    path = Path(path)
    new = path / "new"
    shutil.rmtree(new, ignore_errors=True)
    with replacing(new / "ids.npy") as stream:
        np.save(stream, np.asarray(ids, dtype=np.int64))
    with replacing(new / "vectors.npy") as stream:
        np.save(stream, np.ascontiguousarray(vectors, dtype=np.float32))
    write_json(new / "images.json", list(images))
    meta.count, meta.dimension = (int(n) for n in vectors.shape)
    meta.ids_sha256 = sha256(new / "ids.npy")
    # written last: without it `new/` is an unfinished write
    write_json(new / "meta.json", meta)
    return open_store(path)


def _move_into_place(path: Path) -> None:
    """Finish a `write_store`, also an interrupted one: complete files in `new/` replace the old ones."""
    new = path / "new"
    if (new / "meta.json").is_file():
        for name in _FILES:
            # a call that was interrupted may have moved some already
            if (new / name).exists():
                os.replace(new / name, path / name)
        shutil.rmtree(new, ignore_errors=True)


def nearest(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar rows of `vectors` `(n, d)` for each of `queries` `(m, d)` by exact cosine, best first.

    Both are float32 of unit length; `vectors` may be memory-mapped and is read once. Returns indices int64 and cosines
    float32 rounded to six decimals, each `(m, min(k, n))`; equal cosines are in the order of the rows.
    """
    shape = (len(queries), min(k, len(vectors)))
    indices, similarities = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
    # torch takes a third of NumPy's time, but importing it takes as long as NumPy does for 300 million cosines
    by_torch = "torch" in sys.modules or len(queries) * len(vectors) > _WORTH_TORCH
    done = 0  # columns of the result that hold the best of the rows so far
    for first in range(0, len(vectors), _ROWS):
        rows = np.asarray(vectors[first : first + _ROWS])
        for start in range(0, len(queries), _BLOCK):
            block = slice(start, start + _BLOCK)
            # merge the best of these rows with the best of the earlier ones
            found, values = _highest(queries[block] @ rows.T, shape[1], by_torch)
            found = np.concatenate([indices[block, :done], found + first], axis=1)
            values = np.concatenate([similarities[block, :done], values], axis=1)
            if done:  # earlier rows stand first, so a stable sort keeps equal similarities by row number
                order = np.argsort(-values, axis=1, kind="stable")[:, : shape[1]]
                found, values = (np.take_along_axis(part, order, axis=1) for part in (found, values))
            indices[block, : found.shape[1]] = found
            similarities[block, : found.shape[1]] = values
        done = min(done + len(rows), shape[1])
    return indices, similarities


def _highest(similarities: np.ndarray, k: int, by_torch: bool) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of the k highest in each row, best first; equal values in the order of the columns.

    A matrix product gives equal vectors cosines that differ in the last bits, depending on their place in the
    processor's tiles. So six decimals count, or the order would depend on the machine.
    """
    k = min(k, similarities.shape[1])
    # one more than k shows whether columns beyond the last place are equal to it
    columns = _top(similarities, min(k + 1, similarities.shape[1]), by_torch)
    values = np.take_along_axis(similarities, columns, axis=1)
    found = columns[:, :k]
    if values.shape[1] > k:
        for row in np.flatnonzero(values[:, k] >= values[:, k - 1] - _ROUNDING):
            # such a row is decided among all columns that reach the last place
            candidates = np.flatnonzero(similarities[row] >= values[row, k - 1] - _ROUNDING)
            rounded = np.round(similarities[row, candidates], _DECIMALS)
            found[row] = candidates[np.argsort(-rounded, kind="stable")[:k]]
    # by column first: the stable sort below then keeps equal values in that order
    found = np.sort(found, axis=1)
    best = np.round(np.take_along_axis(similarities, found, axis=1), _DECIMALS)
    order = np.argsort(-best, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(best, order, axis=1)


def _top(similarities: np.ndarray, k: int, by_torch: bool) -> np.ndarray:
    """Columns `(m, k)` of the k highest in each row, best first; equal values in any order."""
    if by_torch:
        import torch

        found: np.ndarray = torch.from_numpy(similarities).topk(k).indices.numpy()
        return found
    if k < similarities.shape[1]:
        # the k highest stand last, in no order
        columns = np.argpartition(similarities, -k, axis=1)[:, -k:]
    else:
        columns = np.tile(np.arange(k), (len(similarities), 1))
    order = np.argsort(-np.take_along_axis(similarities, columns, axis=1), axis=1)
    return np.take_along_axis(columns, order, axis=1)


def closest(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each row of `vectors` its highest cosine with any row of `others`: float32 `(n,)`, -1 without others."""
    best = np.full(len(vectors), -1.0, dtype=np.float32)
    if len(others):
        for start in range(0, len(vectors), 8 * _BLOCK):
            best[start : start + 8 * _BLOCK] = (vectors[start : start + 8 * _BLOCK] @ others.T).max(axis=1)
    return best
