"""Brings an embedding store up to date (step 2): embeds what is new, saves in shards.

Killed and started again it goes on where it was, and ends with the same vectors.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.embeddings.embed_shards import Engine, digest, encode_shards, load_image
from dataengine_lib.embeddings.finished_shards import (
    EmbeddedRows,
    Unreadable,
    plan_digests,
    read_shards,
    write_shard,
)
from dataengine_lib.embeddings.store import (
    EmbeddingStore,
    StoredImage,
    StoreMeta,
    open_store,
    store_exists,
    write_store,
)
from dataengine_lib.errors import DataEngineError

if TYPE_CHECKING:
    from dataengine_lib.embeddings.encoder import Encoder
    from dataengine_lib.embeddings.lazy_encoder import LazyEncoder

_SHARD_BATCHES = 16  # batches between two saves
_SAME = 0.95  # cosine above which two implementations are taken to run the same weights


@dataclass
class EmbedResult:
    """An up-to-date store; `rows[i]` is the store's row of the i-th image asked for, -1 if it is unreadable."""

    store: EmbeddingStore
    rows: np.ndarray
    added: int
    unreadable: list[Unreadable]


def complete_store(
    images: list[tuple[int, str]],
    root: Path,
    encoder: "Encoder | LazyEncoder",
    output: Path,
    batch_size: int = 64,
    engine: Engine = encode_shards,
) -> EmbedResult:
    """Bring the store at `output` up to date for `images`, pairs of (id, path relative to `root`).

    `engine` embeds here, or on the machines of a Ray cluster.
    Rows whose file is unchanged are kept; images that cannot be read are listed in the result.
    Raises DataEngineError when another encoder made the store.
    """
    store = open_store(output) if store_exists(output) else None
    if store is not None:
        store.check_encoder(encoder)
    parts = Path(output) / "parts"
    rows = _known_rows(store, images, root)
    if store is not None and not store.meta.weights_sha256:
        _check_import(store, encoder, images, rows, root)
    todo = [image for image, row in zip(images, rows, strict=True) if row < 0]
    plan = plan_digests(todo, encoder, batch_size * _SHARD_BATCHES)
    if (parts / "plan.json").is_file() and read_json(parts / "plan.json", list[str])[0] != plan[0]:
        if (
            read_json(parts / "plan.json", list[str])[1] == plan[1]
        ):  # same encoder, other images: keep what is done
            store = _fold(output, store, encoder, read_shards(parts))
            return complete_store(images, root, encoder, output, batch_size, engine)
        shutil.rmtree(parts)
    if not todo:
        return EmbedResult(store or _empty(output, encoder), rows, 0, [])
    write_json(parts / "plan.json", plan)
    _encode_missing(todo, root, encoder, parts, batch_size, engine)
    part = read_shards(parts)
    if not len(part.ids):
        shutil.rmtree(parts)
    if len(part.ids):
        store = _fold(output, store, encoder, part)
    store = store or _empty(output, encoder)
    return EmbedResult(store, _known_rows(store, images, root), len(part.ids), part.unreadable)


def _known_rows(store: EmbeddingStore | None, images: list[tuple[int, str]], root: Path) -> np.ndarray:
    """The store's row of every image whose file is still the one that was embedded, else -1."""
    rows = np.full(len(images), -1, dtype=np.int64)
    if store is None:
        return rows
    by_path = {image.path: row for row, image in enumerate(store.images) if image.path}
    by_id = {image_id: row for row, image_id in enumerate(store.ids.tolist())}
    folder = f"{root}/"  # joining 100,000 Path objects would take longer than asking for the files
    for i, (image_id, path) in enumerate(images):
        row = by_path.get(path)
        if row is None:
            row = by_id.get(image_id, -1)
        if row >= 0 and _unchanged(folder + path, store.images[row]):
            rows[i] = row
    return rows


def _unchanged(file: str, stored: StoredImage) -> bool:
    if stored.size < 0:
        return True
    try:
        state = os.stat(file)
        if state.st_size != stored.size:
            return False
        # a copied folder has new times: then the content decides
        return state.st_mtime_ns == stored.mtime_ns or digest(Path(file).read_bytes()) == stored.digest
    except OSError:
        return False  # gone or locked: the encoding pass reports it by name


def _check_import(
    store: EmbeddingStore,
    encoder: "Encoder | LazyEncoder",
    images: list[tuple[int, str]],
    rows: np.ndarray,
    root: Path,
) -> None:
    """Imported vectors do not say which weights made them, so a few images are embedded again and compared."""
    cosines: list[float] = []
    for (_, path), row in zip(images, rows, strict=True):
        if row >= 0 and store.images[row].size < 0:
            pixels = load_image(root / path, path, encoder)[1]
            if isinstance(pixels, str):
                continue
            vector = encoder.encode_prepared([pixels])[0]
            cosines.append(
                float(vector @ store.vectors[row]) if vector.shape == store.vectors[row].shape else -1.0
            )
            if len(cosines) == 8:
                break
    if cosines and float(np.median(cosines)) < _SAME:
        raise DataEngineError(
            f"{store.path}: its imported vectors do not fit encoder {encoder.name} (median cosine "
            f"{float(np.median(cosines)):.2f} on {len(cosines)} images); set encoder to the one that made them "
            f"({store.meta.encoder})"
        )


def _encode_missing(
    todo: list[tuple[int, str]],
    root: Path,
    encoder: "Encoder | LazyEncoder",
    parts: Path,
    batch_size: int,
    engine: Engine,
) -> None:
    size = batch_size * _SHARD_BATCHES
    shards = {n: todo[start : start + size] for n, start in enumerate(range(0, len(todo), size))}
    files = {n: parts / f"{n:06d}.npz" for n in shards}
    missing = {n: items for n, items in shards.items() if not files[n].is_file()}
    left = sum(map(len, missing.values()))
    with tqdm(total=len(todo), initial=len(todo) - left, desc="embedding", unit="image", disable=None) as bar:
        for number, part in engine(missing, root, encoder, batch_size, bar.update):
            write_shard(files[number], part)


def _fold(
    output: Path, store: EmbeddingStore | None, encoder: "Encoder | LazyEncoder", part: EmbeddedRows
) -> EmbeddingStore:
    """Join the store's rows and the finished shards into a new store; a file's newer row replaces its older one."""
    ids, vectors, images = part.ids, part.vectors, part.images
    if store is not None and len(store.ids):
        fresh = {image.path for image in images}
        kept = [row for row, image in enumerate(store.images) if image.path not in fresh]
        ids = np.concatenate([store.ids[kept], ids])
        vectors = (
            np.concatenate([store.vectors[kept], vectors])
            if len(part.ids)
            else np.asarray(store.vectors[kept])
        )
        images = [store.images[row] for row in kept] + images
    result = write_store(output, _meta(encoder), ids, vectors, images)
    shutil.rmtree(Path(output) / "parts")
    return result


def _meta(encoder: "Encoder | LazyEncoder") -> StoreMeta:
    return StoreMeta(
        encoder=encoder.name,
        weights_sha256=encoder.weights_sha256,
        preprocessing=encoder.preprocessing,
        dtype=encoder.dtype,
    )


def _empty(output: Path, encoder: "Encoder | LazyEncoder") -> EmbeddingStore:
    return write_store(
        output, _meta(encoder), np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32), []
    )
