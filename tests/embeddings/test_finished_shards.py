"""Tests of the shards of an interrupted embedding run: read back as they were written, and refused when damaged."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dataengine_lib.embeddings.finished_shards import (
    EmbeddedRows,
    Unreadable,
    read_shards,
    save_rows,
    write_shard,
)
from dataengine_lib.embeddings.store import StoredImage
from dataengine_lib.errors import DataEngineError


def rows(first: int, count: int = 2) -> EmbeddedRows:
    vectors = np.full((count, 3), first, dtype=np.float32) if count else np.empty((0, 0), dtype=np.float32)
    images = [StoredImage(f"{first + n}.jpg", 1, 2, "d") for n in range(count)]
    return EmbeddedRows(
        np.arange(first, first + count, dtype=np.int64), vectors, images, [Unreadable("x", "why")]
    )


def test_shards_are_joined_in_order(tmp_path: Path) -> None:
    for number, shard in enumerate([rows(10), rows(0, 0), rows(5, 1)]):
        write_shard(tmp_path / f"{number:06d}.npz", shard)
    found = read_shards(tmp_path)
    assert found.ids.tolist() == [10, 11, 5] and found.vectors[:, 0].tolist() == [10, 10, 5]
    assert [image.path for image in found.images] == ["10.jpg", "11.jpg", "5.jpg"]
    assert len(found.unreadable) == 3


def _cut(data: bytes) -> bytes:
    return data[:-40]


def _packed(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return stream.getvalue()


def _objects(_: bytes) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, ids=np.array([None]), vectors=np.ones(1), images=np.ones(1), unreadable=np.ones(1))
    return stream.getvalue()


def _shorter(_: bytes) -> bytes:
    stream, shard = io.BytesIO(), rows(1)
    save_rows(stream, EmbeddedRows(shard.ids[:1], shard.vectors, shard.images, []))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("change", "fault"),
    [(_cut, "not a zip file"), (_packed, "packed arrays"), (_objects, "allow_pickle=False"), (_shorter, "do not fit"),
     (lambda data: b"", "not a zip file")],
)  # fmt: skip
def test_a_damaged_shard_is_one_line(tmp_path: Path, change: Callable[[bytes], bytes], fault: str) -> None:
    write_shard(tmp_path / "000000.npz", rows(1))
    (tmp_path / "000000.npz").write_bytes(change((tmp_path / "000000.npz").read_bytes()))
    with pytest.raises(
        DataEngineError, match=rf"000000\.npz: damaged part .*{fault}.*delete it and"
    ) as caught:
        read_shards(tmp_path)
    assert "\n" not in str(caught.value)
