"""Tests of the embedding store: search, damage, other encoders, and embeddings made by MLLM-DataEngine."""

import json
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dataengine_lib.embeddings import store as embeddings
from dataengine_lib.embeddings.import_pth import import_embeddings
from dataengine_lib.embeddings.store import (
    StoredImage,
    StoreMeta,
    closest,
    nearest,
    open_store,
    store_exists,
    write_store,
)
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import id_key


def unit(count: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def store(path: Path, count: int = 5, seed: int = 0):  # type: ignore[no-untyped-def]
    meta = StoreMeta(encoder="tiny", weights_sha256="abc", preprocessing={"size": 32})
    images = [StoredImage(f"{i}.jpg", 10, 1, "d") for i in range(count)]
    return write_store(path, meta, np.arange(count) * 7, unit(count, seed=seed), images)


def test_a_store_is_read_back_memory_mapped(tmp_path: Path) -> None:
    store(tmp_path / "s")
    opened = open_store(tmp_path / "s")
    assert opened.ids.tolist() == [0, 7, 14, 21, 28]
    assert isinstance(opened.vectors, np.memmap)
    assert np.array_equal(opened.vectors, unit(5))
    assert opened.images[3].path == "3.jpg"
    assert (opened.meta.count, opened.meta.dimension) == (5, 8)


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    made = store(tmp_path / "s")
    made.check_encoder(SimpleNamespace(name="copy", weights_sha256="abc", preprocessing={"size": 32}))
    for weights, size in (("xyz", 32), ("abc", 40)):
        with pytest.raises(DataEngineError, match=r"made by encoder tiny, whose .* differ"):
            made.check_encoder(
                SimpleNamespace(name="other", weights_sha256=weights, preprocessing={"size": size})
            )


def test_an_interrupted_write_is_finished_or_discarded(tmp_path: Path) -> None:
    store(tmp_path / "s")
    store(tmp_path / "newer", count=3, seed=1)
    os.rename(tmp_path / "newer", tmp_path / "s" / "new")
    os.replace(tmp_path / "s" / "new" / "ids.npy", tmp_path / "s" / "ids.npy")  # killed after the first move
    assert open_store(tmp_path / "s").ids.tolist() == [0, 7, 14]
    assert not (tmp_path / "s" / "new").exists()
    (tmp_path / "s" / "new").mkdir()
    (tmp_path / "s" / "new" / "ids.npy").write_bytes(b"half")  # killed before everything was there
    assert open_store(tmp_path / "s").ids.tolist() == [0, 7, 14]
    store(tmp_path / "s", count=4)
    assert len(open_store(tmp_path / "s").ids) == 4


def test_damage_is_one_clear_line(tmp_path: Path) -> None:
    assert not store_exists(tmp_path / "none")
    with pytest.raises(DataEngineError, match="dataengine embed"):
        open_store(tmp_path / "none")
    for name, content in (
        ("vectors.npy", b"x"),
        ("ids.npy", b"x"),
        ("images.json", b"[]"),
        ("meta.json", b"{"),
    ):
        store(tmp_path / name)
        (tmp_path / name / name).write_bytes(content)
        with pytest.raises(DataEngineError, match=str(tmp_path / name)):
            open_store(tmp_path / name)


def npy(dtype: str, shape: str, data: bytes = b"") -> bytes:
    """An .npy file of version 1.0 with this header."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.npy", npy("'<i8'", "(1000000000000,)")),  # NumPy would allocate 8 TB
        ("ids.npy", npy("'<i8'", "(-5,)", bytes(40))),
        ("ids.npy", npy("'<f8'", "(5,)", bytes(40))),
        ("ids.npy", npy("'|O'", "(5,)", b"cos\nsystem\n(S'true'\ntR.")),
        ("ids.npy", npy("[('a', '|O')]", "(5,)")),
        ("vectors.npy", npy("'<f4'", "(5, 8)", bytes(159))),
        ("vectors.npy", npy("'<f4'", "(-5, -8)", bytes(160))),
        ("vectors.npy", npy("'<f4'", "(" * 3000, bytes(160))),
        ("vectors.npy", npy("'<f4", "(5, 8)", bytes(160))),
        ("vectors.npy", npy("__import__('os')", "(5, 8)", bytes(160))),
    ],
)
def test_a_hostile_array_is_refused_by_its_header(tmp_path: Path, name: str, content: bytes) -> None:
    store(tmp_path / "s")
    (tmp_path / "s" / name).write_bytes(content)
    with pytest.raises(DataEngineError, match=rf"s: damaged store \({name}: .*delete the folder") as caught:
        open_store(tmp_path / "s")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"), [("count", -5), ("count", 10**30), ("dimension", -8), ("dimension", 0)]
)
def test_a_store_whose_sizes_do_not_fit_is_refused(tmp_path: Path, key: str, value: int) -> None:
    store(tmp_path / "s")
    file = tmp_path / "s" / "meta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(DataEngineError, match=r"s: damaged store .*delete the folder"):
        open_store(tmp_path / "s")


def test_ids_of_another_store_are_noticed(tmp_path: Path) -> None:
    store(tmp_path / "s")
    np.save(tmp_path / "s" / "ids.npy", np.arange(5))
    with pytest.raises(DataEngineError, match="not the one"):
        open_store(tmp_path / "s")


@pytest.fixture(params=["torch", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search with torch and without; `nearest` uses torch when it has been imported already."""
    import torch

    if request.param == "numpy":
        monkeypatch.delitem(sys.modules, "torch")
        monkeypatch.setattr(torch.Tensor, "topk", None)
    else:
        monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("k", [1, 10, 299, 300, 5000])
def test_nearest_is_exact(k: int) -> None:
    vectors, queries = unit(300), unit(600, seed=1)  # more queries than one block
    indices, similarities = nearest(queries, vectors, k)
    exact = queries @ vectors.T
    assert indices.shape == similarities.shape == (600, min(k, 300))
    best = -np.sort(-exact, axis=1)[:, : min(k, 300)]
    assert similarities == pytest.approx(best, abs=1e-6)
    assert np.take_along_axis(exact, indices, axis=1) == pytest.approx(best, abs=1e-6)


@pytest.mark.usefixtures("way")
def test_equal_images_come_in_row_order() -> None:
    vectors = np.repeat(unit(1), 6, axis=0)
    assert nearest(unit(1), vectors, 6)[0].tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("k", [1, 2, 7, 20, 40])
def test_equal_images_at_the_last_place_come_in_row_order(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the rows are read in several blocks, and where more rows are equal than are asked for."""
    vectors = np.concatenate([np.repeat(unit(2), [12, 3], axis=0), unit(5, seed=1)])
    vectors = np.ascontiguousarray(vectors[np.random.default_rng(3).permutation(20)])
    queries = np.concatenate([unit(2), unit(4, seed=2)])
    exact = np.round(queries @ vectors.T, 6)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :k]
    for rows in (3, 8, 100):
        monkeypatch.setattr(embeddings, "_ROWS", rows)
        monkeypatch.setattr(embeddings, "_BLOCK", 4)
        assert nearest(queries, vectors, k)[0].tolist() == expected.tolist()


@pytest.mark.usefixtures("way")
def test_a_search_without_queries_or_vectors_is_empty() -> None:
    for queries, vectors, k, shape in (
        (unit(3), np.empty((0, 8), np.float32), 5, (3, 0)),
        (np.empty((0, 8), np.float32), unit(3), 5, (0, 3)),
        (unit(3), unit(4), 0, (3, 0)),
    ):
        assert [part.shape for part in nearest(queries, vectors, k)] == [shape, shape]


def test_closest() -> None:
    vectors, others = unit(5000), unit(30, seed=1)
    assert closest(vectors, others) == pytest.approx((vectors @ others.T).max(axis=1), abs=1e-6)
    assert closest(vectors, np.empty((0, 0), dtype=np.float32)).tolist() == [-1] * 5000


def rows(count: int = 4) -> dict[int, torch.Tensor]:
    return {30 - i: torch.from_numpy(3 * unit(count)[i : i + 1]).half() for i in range(count)}


@pytest.mark.parametrize("kind", ["pickle", "pickle2", "zip", "legacy", "numpy", "text ids", "flat"])
def test_embeddings_of_the_original_are_imported(tmp_path: Path, kind: str) -> None:
    source, content = tmp_path / "coco_images.pth", rows()
    if kind == "zip":
        torch.save(content, source)
    elif kind == "legacy":
        torch.save(content, source, _use_new_zipfile_serialization=False)
    elif kind == "numpy":
        source.write_bytes(pickle.dumps({key: value.numpy() for key, value in content.items()}))
    elif kind == "text ids":
        source.write_bytes(pickle.dumps({str(key): value for key, value in content.items()}))
    elif kind == "flat":
        source.write_bytes(pickle.dumps({key: value[0] for key, value in content.items()}))
    else:
        source.write_bytes(pickle.dumps(content, protocol=2 if kind == "pickle2" else None))
    made = import_embeddings(source, tmp_path / "store")
    assert made.ids.tolist() == [27, 28, 29, 30]
    assert made.vectors == pytest.approx(unit(4)[::-1], abs=1e-3)
    assert np.linalg.norm(made.vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert (made.meta.encoder, made.meta.weights_sha256) == ("clip:ViT-B/32", "")


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.mkdir, (str(self.target),)


class EvilStorage:
    """Hides code one level down, in bytes that torch's own loader would unpickle without restriction."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return torch.storage._load_from_bytes, (pickle.dumps(Evil(self.target)),)


@pytest.mark.parametrize("how", ["pickle", "zip", "legacy", "inner"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    source, target = tmp_path / "coco_images.pth", tmp_path / "owned"
    content = {1: torch.ones(1, 4), 2: (EvilStorage if how == "inner" else Evil)(target)}
    if how in ("pickle", "inner"):
        source.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, source, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(DataEngineError, match=r"coco_images\.pth: refused.*could run code") as caught:
        import_embeddings(source, tmp_path / "store")
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert not store_exists(tmp_path / "store")


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"": torch.ones(1, 4)},
        {1.5: torch.ones(1, 4)},
        {1: torch.ones(1, 4), 2: torch.ones(1, 5)},
        {1: torch.zeros(1, 4)},
        {1: torch.full((1, 4), float("nan"))},
        {1: "words"},
        {1: torch.ones(1, 4), "1": torch.ones(1, 4)},
    ],
)
def test_values_that_are_no_vectors_are_one_clear_line(tmp_path: Path, content: object) -> None:
    (tmp_path / "e.pth").write_bytes(pickle.dumps(content))
    with pytest.raises(DataEngineError, match=r"e\.pth: ") as caught:
        import_embeddings(tmp_path / "e.pth", tmp_path / "store")
    assert "\n" not in str(caught.value)


def test_ids_may_be_texts(tmp_path: Path) -> None:
    content = {
        "fe600639ac5f36c1": torch.ones(1, 4),
        "12": torch.ones(1, 4),
        "000a1249af2bc5f0": torch.ones(1, 4),
    }
    (tmp_path / "e.pth").write_bytes(pickle.dumps(content))
    store = import_embeddings(tmp_path / "e.pth", tmp_path / "store")
    assert set(store.ids.tolist()) == {id_key("fe600639ac5f36c1"), 12, id_key("000a1249af2bc5f0")}
    by_key = dict(zip(store.ids.tolist(), store.images, strict=True))
    assert by_key[id_key("000a1249af2bc5f0")].image_id == "000a1249af2bc5f0"


@pytest.mark.parametrize("data", [b"", b"not a pickle", pickle.dumps(rows())[:-40]])
def test_a_damaged_pickle_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "e.pth").write_bytes(data)
    with pytest.raises(DataEngineError, match=r"e\.pth: "):
        import_embeddings(tmp_path / "e.pth", tmp_path / "store")
    with pytest.raises(DataEngineError, match="cannot be read"):
        import_embeddings(tmp_path / "missing.pth", tmp_path / "store")
