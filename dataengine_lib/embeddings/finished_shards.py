"""Part of step 2: the finished shards of an embedding run, kept until the store is whole."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from dataengine_lib.core.files import replacing
from dataengine_lib.embeddings.store import EncoderIdentity, StoredImage


class Unreadable(msgspec.Struct):
    """An image that could not be embedded."""

    path: str
    reason: str


@dataclass
class EmbeddedRows:
    """Rows of one shard, or of all of them: ids `(n,)`, vectors `(n, d)`, the files, and what could not be read."""

    ids: np.ndarray
    vectors: np.ndarray
    images: list[StoredImage]
    unreadable: list[Unreadable]


def plan_digests(todo: list[tuple[int, str]], encoder: EncoderIdentity, shard: int) -> list[str]:
    """Digests of the whole plan and of the encoder alone: shards of another plan do not line up with this one."""
    kind = repr((encoder.weights_sha256, encoder.preprocessing))
    return [hashlib.sha256(text.encode()).hexdigest() for text in (repr((kind, shard, todo)), kind)]


def write_shard(file: Path, part: EmbeddedRows) -> None:
    """Save one shard, whole or not at all."""
    with replacing(file) as stream:
        save_rows(stream, part)


def save_rows(stream: IO[bytes], part: EmbeddedRows) -> None:
    """Write one shard to an open file."""
    np.savez(
        stream,
        ids=part.ids,
        vectors=part.vectors,
        images=np.frombuffer(msgspec.json.encode(part.images), dtype=np.uint8),
        unreadable=np.frombuffer(msgspec.json.encode(part.unreadable), dtype=np.uint8),
    )


def load_rows(file: Path | IO[bytes]) -> EmbeddedRows:
    """Read one shard."""
    with np.load(file, allow_pickle=False) as content:
        return EmbeddedRows(
            content["ids"],
            content["vectors"],
            msgspec.json.decode(content["images"].tobytes(), type=list[StoredImage]),
            msgspec.json.decode(content["unreadable"].tobytes(), type=list[Unreadable]),
        )


def read_shards(folder: Path) -> EmbeddedRows:
    """All shards of a folder in order, joined."""
    parts = [load_rows(file) for file in sorted(folder.glob("*.npz"))]
    vectors = [part.vectors for part in parts if len(part.ids)]
    return EmbeddedRows(
        np.concatenate([np.empty(0, dtype=np.int64), *(part.ids for part in parts)]),
        np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32),
        [image for part in parts for image in part.images],
        [bad for part in parts for bad in part.unreadable],
    )
