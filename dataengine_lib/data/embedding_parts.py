"""Part of step 2: the finished shards of an embedding run, kept until the store is whole."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from dataengine_lib.data.embeddings import EncoderIdentity, StoredImage
from dataengine_lib.data.files import replacing


class Unreadable(msgspec.Struct):
    """An image that could not be embedded."""

    path: str
    reason: str


@dataclass
class Part:
    """Rows of one shard, or of all of them: ids `(n,)`, vectors `(n, d)`, the files, and what could not be read."""

    ids: np.ndarray
    vectors: np.ndarray
    images: list[StoredImage]
    unreadable: list[Unreadable]


def plan_digests(todo: list[tuple[int, str]], encoder: EncoderIdentity, shard: int) -> list[str]:
    """Digests of the whole plan and of the encoder alone: shards of another plan do not line up with this one."""
    kind = repr((encoder.weights_sha256, encoder.preprocessing))
    return [hashlib.sha256(text.encode()).hexdigest() for text in (repr((kind, shard, todo)), kind)]


def write_part(file: Path, part: Part) -> None:
    """Save one shard, whole or not at all."""
    with replacing(file) as stream:
        np.savez(
            stream,
            ids=part.ids,
            vectors=part.vectors,
            images=np.frombuffer(msgspec.json.encode(part.images), dtype=np.uint8),
            unreadable=np.frombuffer(msgspec.json.encode(part.unreadable), dtype=np.uint8),
        )


def read_parts(folder: Path) -> Part:
    """All shards of a folder in order, joined."""
    ids, vectors = [np.empty(0, dtype=np.int64)], []
    images: list[StoredImage] = []
    unreadable: list[Unreadable] = []
    for file in sorted(folder.glob("*.npz")):
        with np.load(file, allow_pickle=False) as content:
            ids.append(content["ids"])
            if len(content["ids"]):
                vectors.append(content["vectors"])
            images += msgspec.json.decode(content["images"].tobytes(), type=list[StoredImage])
            unreadable += msgspec.json.decode(content["unreadable"].tobytes(), type=list[Unreadable])
    joined = np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
    return Part(np.concatenate(ids), joined, images, unreadable)
