"""Step 2: brings an embedding store up to date: embeds what is new, shard by shard.

An interrupted run that is started again goes on where it stopped, and ends with the same vectors.
"""

import os
import shutil
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId
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
from dataengine_lib.images.references import id_key

if TYPE_CHECKING:
    from dataengine_lib.embeddings.encoder import Encoder
    from dataengine_lib.embeddings.lazy_encoder import LazyEncoder

_SHARD_BATCHES = 16  # batches in a shard; each shard is saved when it is done
_SAME_WEIGHTS = 0.95  # median cosine from which two implementations are taken to run the same weights
_COMPARED = 8  # images embedded for that


@dataclass
class EmbedResult:
    """An up-to-date store; `rows` int64 `(n,)` is the store's row of each image asked for, -1 if it is unreadable.

    `added` counts the images embedded in this run, `left_out` those that were not asked for, by reason.
    """

    store: EmbeddingStore
    rows: np.ndarray
    added: int
    unreadable: list[Unreadable]
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def complete_store(
    images: list[tuple[ImageId, str]],
    root: Path,
    encoder: "Encoder | LazyEncoder",
    output: Path,
    batch_size: int = 64,
    engine: Engine = encode_shards,
) -> EmbedResult:
    """Bring the store at `output` up to date for `images`, pairs of (id, path relative to `root`).

    `engine` embeds on this machine (`encode_shards`) or on the machines of a Ray cluster. Rows whose file is unchanged
    are kept; images that cannot be read are listed in the result. Raises DataEngineError when another encoder made the
    store.
    """
    store = open_store(output) if store_exists(output) else None
    if store is not None:
        store.check_encoder(encoder)
    shards = Path(output) / "parts"  # finished shards of a run, beside plan.json: what the run was to do
    plan_file = shards / "plan.json"
    # 1. what the store holds already, and what is missing
    rows = _known_rows(store, images, root)
    if store is not None and not store.meta.weights_sha256:
        _check_import(store, encoder, images, rows, root)
    missing = [image for image, row in zip(images, rows, strict=True) if row < 0]

    # 2. finished shards of an interrupted run
    plan, identity = plan_digests(missing, encoder, batch_size * _SHARD_BATCHES)
    if plan_file.is_file():
        old: tuple[str, str] = read_json(plan_file, tuple[str, str])
        old_plan, old_identity = old
        if old_plan != plan and old_identity == identity:
            # an interrupted run for other images: its finished shards go into the store first
            _add_to_store(output, store, encoder, read_shards(shards))
            return complete_store(images, root, encoder, output, batch_size, engine)
        # those of another encoder are of no use here
        if old_plan != plan:
            shutil.rmtree(shards)
    if not missing:
        store = store and _with_asked_ids(store, images, rows)
        return EmbedResult(store or _empty_store(output, encoder), rows, 0, [])

    # 3. embed shard by shard, then join the shards with the store
    write_json(plan_file, [plan, identity])
    _encode_missing(missing, root, encoder, shards, batch_size, engine)
    embedded = read_shards(shards)
    if len(embedded.ids):
        store = _add_to_store(output, store, encoder, embedded)
    else:
        # no image could be read
        shutil.rmtree(shards)
    store = store or _empty_store(output, encoder)
    rows = _known_rows(store, images, root)
    return EmbedResult(_with_asked_ids(store, images, rows), rows, len(embedded.ids), embedded.unreadable)


def _with_asked_ids(
    store: EmbeddingStore, images: list[tuple[ImageId, str]], rows: np.ndarray
) -> EmbeddingStore:
    """The store with the ids asked for: `embed` on a bare folder makes ids from paths, a pool has its annotations' ids.

    Step 4 finds vectors by id, so those of an image whose file is known must be its pool's. Of several ids asked for
    one file, the first counts; an unknown one never does.
    """
    ids = store.ids.copy()
    new: list[StoredImage] | None = None
    for (image_id, _), row in reversed(list(zip(images, rows.tolist(), strict=True))):
        if row >= 0 and image_id != UNKNOWN_IMAGE:
            ids[row] = id_key(image_id)
            text = image_id if isinstance(image_id, str) else msgspec.UNSET
            if store.images[row].image_id != text:
                new = new or list(store.images)
                new[row] = msgspec.structs.replace(store.images[row], image_id=text)
    if new is None and np.array_equal(ids, store.ids):
        return store
    return write_store(store.path, store.meta, ids, store.vectors, new or store.images)


def _known_rows(store: EmbeddingStore | None, images: list[tuple[ImageId, str]], root: Path) -> np.ndarray:
    """Int64 `(n,)`: the store's row of each image whose file is still the one that was embedded, else -1."""
    rows = np.full(len(images), -1, dtype=np.int64)
    if store is None:
        return rows
    # imported rows have no path and are found by their id
    by_path = {image.path: row for row, image in enumerate(store.images) if image.path}
    by_id = {image_id: row for row, image_id in enumerate(store.ids.tolist())}
    folder = f"{root}/"  # text, not Path: joining 100,000 Path objects takes longer than the file look-ups
    for i, (image_id, path) in enumerate(images):
        row = by_path.get(path)
        if row is None:
            row = by_id.get(id_key(image_id), -1)
        if row >= 0 and _unchanged(folder + path, store.images[row]):
            rows[i] = row
    return rows


def _unchanged(file: str, stored: StoredImage) -> bool:
    if stored.size < 0:  # an imported row, which knows no file
        return True
    try:
        state = os.stat(file)
        if state.st_size != stored.size:
            return False
        # a copied folder has new modification times: then the content decides
        return state.st_mtime_ns == stored.mtime_ns or digest(Path(file).read_bytes()) == stored.digest
    except OSError:
        return False  # missing or not permitted: encoding it will report the reason


def _check_import(
    store: EmbeddingStore,
    encoder: "Encoder | LazyEncoder",
    images: list[tuple[ImageId, str]],
    rows: np.ndarray,
    root: Path,
) -> None:
    """Compare imported vectors, whose weights are not known, with the encoder's vectors of a few images.

    Raises DataEngineError when they do not fit.
    """
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
            if len(cosines) == _COMPARED:
                break
    # the median, so that one image that was changed since then does not decide
    if cosines and float(np.median(cosines)) < _SAME_WEIGHTS:
        raise DataEngineError(
            f"{store.path}: its imported vectors do not fit encoder {encoder.name} (median cosine "
            f"{float(np.median(cosines)):.2f} on {len(cosines)} images); set encoder to the one that made them "
            f"({store.meta.encoder})"
        )


def _encode_missing(
    missing: list[tuple[ImageId, str]],
    root: Path,
    encoder: "Encoder | LazyEncoder",
    folder: Path,
    batch_size: int,
    engine: Engine,
) -> None:
    """Embed shard by shard into `folder`, without the shards that are there already."""
    size = batch_size * _SHARD_BATCHES
    shards = {n: missing[start : start + size] for n, start in enumerate(range(0, len(missing), size))}
    # six digits: `read_shards` takes the files in the order of their names
    files = {n: folder / f"{n:06d}.npz" for n in shards}
    todo = {n: items for n, items in shards.items() if not files[n].is_file()}
    done = len(missing) - sum(map(len, todo.values()))
    with (
        progress_bar(total=len(missing), initial=done, desc="embedding", unit="image") as bar,
        # closed also on an error, whose traceback would keep the threads
        closing(engine(todo, root, encoder, batch_size, bar.update)) as embedded,
    ):
        for number, rows in embedded:
            write_shard(files[number], rows)


def _add_to_store(
    output: Path, store: EmbeddingStore | None, encoder: "Encoder | LazyEncoder", new: EmbeddedRows
) -> EmbeddingStore:
    """Write a store of the old rows and `new`, and remove the shards; a file's new row replaces its old one."""
    ids, vectors, images = new.ids, new.vectors, new.images
    if store is not None and len(store.ids):
        new_paths = {image.path for image in images}
        kept = [row for row, image in enumerate(store.images) if image.path not in new_paths]
        ids = np.concatenate([store.ids[kept], ids])
        vectors = (
            np.concatenate([store.vectors[kept], vectors])
            if len(new.ids)
            else np.asarray(store.vectors[kept])
        )
        images = [store.images[row] for row in kept] + images
    result = write_store(output, _meta(encoder), ids, vectors, images)
    # last: after a kill before this line the next run adds the same rows again, in their own place
    shutil.rmtree(Path(output) / "parts")
    return result


def _meta(encoder: "Encoder | LazyEncoder") -> StoreMeta:
    return StoreMeta(
        encoder=encoder.name,
        weights_sha256=encoder.weights_sha256,
        preprocessing=encoder.preprocessing,
        dtype=encoder.dtype,
    )


def _empty_store(output: Path, encoder: "Encoder | LazyEncoder") -> EmbeddingStore:
    return write_store(
        output, _meta(encoder), np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32), []
    )
