"""Step 2: saves the finished shards of an embedding run, so that an interrupted run goes on from them."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from dataengine_lib.core.records import ImageId
from dataengine_lib.core.text import one_line
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.embeddings.store import EncoderIdentity, StoredImage
from dataengine_lib.errors import DataEngineError


class Unreadable(msgspec.Struct):
    """An image that could not be embedded: its path under the image root, and the reason."""

    path: str
    reason: str


@dataclass
class EmbeddedRows:
    """Rows for the store, of one shard or of several joined.

    `ids` int64 `(n,)`, `vectors` float32 `(n, d)` of unit length (`(0, 0)` without rows), `images` the n files, and the
    images that could not be read.
    """

    ids: np.ndarray
    vectors: np.ndarray
    images: list[StoredImage]
    unreadable: list[Unreadable]


def plan_digests(
    missing: list[tuple[ImageId, str]], encoder: EncoderIdentity, shard_size: int
) -> tuple[str, str]:
    """SHA-256 of the whole plan (encoder, shard size, images to embed) and of the encoder alone.

    Finished shards can be continued only by the same plan; those of another plan with the same encoder are still
    valid vectors.
    """
    # the encoder's name does not count: the same weights in another folder give the same vectors
    identity = repr((encoder.weights_sha256, encoder.preprocessing))
    plan = repr((identity, shard_size, missing))
    return hashlib.sha256(plan.encode()).hexdigest(), hashlib.sha256(identity.encode()).hexdigest()


def write_shard(file: Path, rows: EmbeddedRows) -> None:
    """Save one shard, whole or not at all."""
    with replacing(file) as stream:
        save_rows(stream, rows)


def save_rows(stream: IO[bytes], rows: EmbeddedRows) -> None:
    """Write rows to an open file in NumPy's npz format; the lists are JSON bytes in it."""
    np.savez(
        stream,
        ids=rows.ids,
        vectors=rows.vectors,
        # as bytes, because npz would pickle objects, and `load_rows` accepts no pickles
        images=np.frombuffer(msgspec.json.encode(rows.images), dtype=np.uint8),
        unreadable=np.frombuffer(msgspec.json.encode(rows.unreadable), dtype=np.uint8),
    )


def load_rows(file: Path | IO[bytes]) -> EmbeddedRows:
    """Read what `save_rows` wrote."""
    with np.load(file, allow_pickle=False) as content:
        return EmbeddedRows(
            content["ids"],
            content["vectors"],
            msgspec.json.decode(content["images"].tobytes(), type=list[StoredImage]),
            msgspec.json.decode(content["unreadable"].tobytes(), type=list[Unreadable]),
        )


def read_shards(folder: Path) -> EmbeddedRows:
    """All shards of a folder in order, joined. Raises DataEngineError for a damaged one, which can be made once more."""
    shards = [_load_shard(file) for file in sorted(folder.glob("*.npz"))]
    # a shard without readable images has vectors (0, 0), which cannot be joined with (n, d)
    vectors = [shard.vectors for shard in shards if len(shard.ids)]
    return EmbeddedRows(
        np.concatenate([np.empty(0, dtype=np.int64), *(shard.ids for shard in shards)]),
        np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32),
        [image for shard in shards for image in shard.images],
        [bad for shard in shards for bad in shard.unreadable],
    )


def _load_shard(file: Path) -> EmbeddedRows:
    try:
        with zipfile.ZipFile(file) as archive:
            # NumPy writes its arrays as they are; a member that is packed may grow without end
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("packed arrays, which this step does not write")
        rows = load_rows(file)
        counts = {rows.ids.shape, rows.vectors.shape[:1], (len(rows.images),)}
        if len(counts) != 1 or rows.ids.dtype != np.int64 or rows.vectors.dtype != np.float32:
            raise ValueError("its parts do not fit together")
        return rows
    except Exception as error:  # zipfile, NumPy's header parser and msgspec each raise their own
        raise DataEngineError(
            f"{file}: damaged part of an interrupted run ({one_line(str(error))[:160]}); delete it and embed again"
        ) from error
