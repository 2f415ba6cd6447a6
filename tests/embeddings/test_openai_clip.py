"""Tests of OpenAI's `clip` package as encoder: a small random checkpoint, compared with transformers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project import PROJECT_ROOT

from dataengine_lib.embeddings.store import EmbeddingStore, nearest, open_store

PACKAGES = Path(sys.prefix) / "test-packages"
pytestmark = pytest.mark.skipif(
    not (PACKAGES / "clip").is_dir(),
    reason=f"{PACKAGES} is not here; `make test` installs OpenAI's clip there",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `helpers/openai_clip.py`, run in a process of its own that has clip and torchvision on its path."""
    folder = tmp_path_factory.mktemp("clip")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(60):
        # the packages round a centre between two pixels differently; with an even rest there is no such centre
        height = 64 + 2 * (i % 9)
        pixels = rng.integers(0, 255, (height // 8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, height)).save(folder / f"images/{i:012d}.png")
    path = os.pathsep.join(map(str, (PROJECT_ROOT, PROJECT_ROOT / "tests" / "helpers", PACKAGES)))
    script = PROJECT_ROOT / "tests" / "helpers" / "openai_clip.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def cosines(one: EmbeddingStore, other: EmbeddingStore) -> np.ndarray:
    assert one.ids.tolist() == other.ids.tolist()
    return (one.vectors * other.vectors).sum(axis=1)


def test_the_same_weights_through_both_packages_give_the_same_vectors(folder: Path) -> None:
    ours, theirs = open_store(folder / "state"), open_store(folder / "transformers")
    assert cosines(ours, theirs).min() >= 0.9999
    rows = [nearest(store.vectors, store.vectors, 10)[0] for store in (ours, theirs)]
    assert np.array_equal(*rows)
    assert len({tuple(row) for row in rows[0]}) > 50  # the images differ, so that this says something


def test_a_published_archive_gives_what_its_state_dict_gives(folder: Path) -> None:
    state, script = open_store(folder / "state"), open_store(folder / "script")
    assert np.array_equal(state.vectors, script.vectors)
    assert state.meta.weights_sha256 == script.meta.weights_sha256
    assert script.meta.encoder == f"clip:{folder}/script.pt"
    assert script.meta.preprocessing == {"size": 64}


def test_half_precision_is_near_and_recorded(folder: Path) -> None:
    half = open_store(folder / "bfloat16")
    assert half.meta.dtype == "bfloat16"
    assert 0.999 < cosines(open_store(folder / "state"), half).min() < 1 - 1e-7


def test_a_file_without_clip_weights_is_one_clear_line(folder: Path) -> None:
    messages = json.loads((folder / "messages.json").read_text())
    assert "DataEngineError" in messages["other.pt"] and "no weights of OpenAI's CLIP" in messages["other.pt"]
    assert "ViT-B/32" in messages["99"] and "or a checkpoint file" in messages["99"]
