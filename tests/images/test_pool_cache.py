"""Tests of the image pool's cache: when it is used, when it is not, and that the pool is the same with and without."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from coco_folder import annotation, coco

from dataengine_lib.images.coco import coco_columns, coco_files
from dataengine_lib.images.pool import COCO, NO_FILE, PoolImage
from dataengine_lib.images.pool_cache import cached_columns
from dataengine_lib.images.read_pool import read_pool


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder, not made yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/mllm-dataengine/pools"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    boxes = [
        annotation(1, [10, 10, 30.25, 20]),
        annotation(2, [7, 0, 5, 5]),
        annotation(2, [0, 0, 9, 9], crowd=1),
    ]
    return coco(tmp_path / "pool", {1: "a.jpg", 2: "b.jpg", 3: "c.jpg"}, boxes, {1: "Öne.", 2: "Two."})


def images(root: Path) -> list[PoolImage]:
    return list(read_pool(root))


def is_cached(root: Path) -> bool:
    read: list[int] = []
    files = coco_files(root)

    def count_and_read() -> pa.RecordBatch:
        read.append(1)
        return coco_columns(root, files)

    cached_columns(root, COCO, files, count_and_read)
    return not read


def test_the_cached_pool_is_the_one_read_from_annotations(root: Path, home: Path) -> None:
    cold = images(root)
    (file,) = home.iterdir()
    written = file.stat().st_mtime_ns
    assert is_cached(root) and images(root) == cold
    assert file.stat().st_mtime_ns == written
    assert not [path for path in root.rglob("*") if path.suffix == ".arrow"]


def test_a_moved_folder_is_known_by_its_content(root: Path, home: Path) -> None:
    cold = images(root)
    root.rename(root.with_name("moved"))
    assert is_cached(root.with_name("moved")) and images(root.with_name("moved")) == cold


def test_one_changed_byte_is_seen(root: Path, home: Path) -> None:
    images(root)
    file = root / "annotations/captions_train2017.json"
    state = file.stat()
    file.write_bytes(file.read_bytes().replace(b"Two", b"Too"))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file.stat().st_size == state.st_size and not is_cached(root)
    assert images(root)[1].captions == ["Too."]


def other(content: bytes) -> bytes:
    """A valid Arrow file with other columns."""
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"id": [1]})
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    body = sink.getvalue().to_pybytes()
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2] + b"\xff" + content[len(content) // 2 + 1 :],
        lambda content: content[:-1],
        lambda content: content[:10],
        lambda content: b"",
        other,
    ],
    ids=["one byte", "cut", "stump", "empty", "other"],
)
def test_a_damaged_cache_is_made_again(root: Path, home: Path, damage) -> None:  # type: ignore[no-untyped-def]
    cold = images(root)
    (file,) = home.iterdir()
    intact = file.read_bytes()
    file.write_bytes(damage(intact))
    assert images(root) == cold
    assert file.read_bytes() == intact and is_cached(root)


def test_without_a_writable_cache_folder_annotations_are_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert images(root) == images(root) and not is_cached(root)


def test_image_files_are_looked_up_also_with_a_cache(root: Path, home: Path) -> None:
    assert images(root)[1].skip == ""
    (root / "train2017/b.jpg").rename(root / "away.jpg")
    assert is_cached(root) and images(root)[1].skip == NO_FILE
    (root / "away.jpg").rename(root / "train2017/b.jpg")
    assert images(root)[1].path == "train2017/b.jpg"


def test_annotations_that_change_while_they_are_read_are_not_cached(root: Path, home: Path) -> None:
    files = coco_files(root)

    def read() -> pa.RecordBatch:
        files[0].write_bytes(files[0].read_bytes() + b"\n")
        return coco_columns(root, files)

    cached_columns(root, COCO, files, read)
    assert not home.exists() and not is_cached(root)


def test_many_readers_at_once(root: Path, home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(images, [root] * 16))
    assert all(each == found[0] for each in found)
    assert [path.suffix for path in home.iterdir()] == [".arrow"]
