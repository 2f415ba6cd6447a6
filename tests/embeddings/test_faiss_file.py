"""Tests of the FAISS file: FAISS itself reads it and finds what our exact search finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataengine_lib.embeddings.faiss_file import write_faiss
from dataengine_lib.embeddings.store import EmbeddingStore, StoredImage, StoreMeta, nearest, write_store

PACKAGES = Path(sys.prefix) / "test-packages"
READ = """
import json, sys, faiss, numpy as np
index = faiss.read_index(sys.argv[1])
found = index.search(np.load(sys.argv[2]), 7)
flat = faiss.downcast_index(index.index)
print(json.dumps([index.ntotal, index.d, type(flat).__name__, found[1].tolist(), found[0].tolist()]))
"""


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    vectors = np.random.default_rng(0).normal(size=(500, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(500) * 3 + 2**40
    return write_store(tmp_path / "store", StoreMeta(encoder="x"), ids, vectors, [StoredImage()] * 500)


@pytest.mark.skipif(
    not (PACKAGES / "faiss").is_dir(), reason=f"{PACKAGES} is not here; `make test` installs FAISS there"
)
def test_faiss_finds_what_our_search_finds(store: EmbeddingStore, tmp_path: Path) -> None:
    np.save(tmp_path / "queries.npy", store.vectors[:20])
    file = write_faiss(store, tmp_path / "x.faiss")
    done = subprocess.run(
        [sys.executable, "-c", READ, str(file), str(tmp_path / "queries.npy")],
        env=os.environ | {"PYTHONPATH": str(PACKAGES)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    count, dimension, kind, ids, cosines = json.loads(done.stdout)
    assert (count, dimension, kind) == (500, 24, "IndexFlatIP")
    rows, similarities = nearest(store.vectors[:20], store.vectors, 7)
    assert ids == store.ids[rows].tolist()
    assert np.array(cosines) == pytest.approx(similarities, abs=1e-6)


def test_bytes_follow_the_faiss_format(store: EmbeddingStore, tmp_path: Path) -> None:
    """Checked where FAISS is not installed: two headers of 33 bytes, then codes and ids, each after its length."""
    content = write_faiss(store, tmp_path / "x.faiss").read_bytes()
    assert (content[:4], content[37:41]) == (b"IxMp", b"IxFI")
    assert len(content) == 2 * 37 + 8 + 500 * 24 * 4 + 8 + 500 * 8
    assert np.array_equal(np.frombuffer(content[82:], "<f4", 500 * 24).reshape(500, 24), store.vectors)
    assert np.array_equal(np.frombuffer(content[-4000:], "<i8"), store.ids)
