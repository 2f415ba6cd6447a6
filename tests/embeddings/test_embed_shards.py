"""Several batches at the same time by a small encoder: the same rows as one after the other, errors, threads."""

from collections.abc import Callable
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from project import PROJECT_ROOT

from dataengine_lib.core.machine.threads import ONE_THREAD_BELOW
from dataengine_lib.embeddings.embed_shards import Shards, encode_shards
from dataengine_lib.embeddings.encoder import Encoder, load_encoder

CLIP = str(PROJECT_ROOT / "data_demo/models/tiny-clip")


@pytest.fixture
def three_threads(torch_threads: Callable[[int], None]) -> None:
    torch_threads(3)


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """21 images, of which two cannot be read, in shards of 9."""
    for number in range(21):
        pixels = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"none")
    (tmp_path / "16.png").unlink()
    items = [(number, f"{number}.png") for number in range(21)]
    return {number: items[9 * number : 9 * number + 9] for number in range(3)}


def embedded(shards: Shards, root: Path, encoder: Encoder) -> list[Any]:
    found, done = [], 0

    def count(number: int) -> None:
        nonlocal done
        done += number

    for number, rows in encode_shards(shards, root, encoder, 2, count):
        found.append([number, rows.ids.tolist(), rows.vectors.tobytes(), rows.images, rows.unreadable])
    assert done == 21
    return found


@pytest.mark.usefixtures("three_threads")
def test_rows_are_the_same_bytes_with_several_batches_at_a_time(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(CLIP, "cpu")
    assert encoder.batches_at_once == 3
    together = embedded(shards, tmp_path, encoder)
    assert torch.get_num_threads() == 3
    assert [row[1] for row in together] == [[0, 1, 2, 4, 5, 6, 7, 8], [*range(9, 16), 17], [18, 19, 20]]
    monkeypatch.setattr(Encoder, "batches_at_once", 1)
    assert embedded(shards, tmp_path, encoder) == together


@pytest.mark.usefixtures("three_threads")
def test_three_batches_are_with_a_small_encoder_at_the_same_time(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, threads = Barrier(3, timeout=60), set()  # each waits for the two others

    def encode(self: Encoder, pixels: list[np.ndarray]) -> np.ndarray:
        together.wait()
        threads.add(torch.get_num_threads())
        return np.zeros((len(pixels), 4), dtype=np.float32)

    monkeypatch.setattr(Encoder, "encode_prepared", encode)
    items = shards[0][:3] + shards[1][:3]
    ((_, rows),) = encode_shards({0: items}, tmp_path, load_encoder(CLIP, "cpu"), 2, lambda number: None)
    assert rows.vectors.shape == (6, 4) and threads == {1}


@pytest.mark.usefixtures("three_threads")
def test_a_large_encoder_or_a_gpu_has_one_batch_at_a_time() -> None:
    encoder = load_encoder(CLIP, "cpu")
    encoder.parameters = ONE_THREAD_BELOW
    assert encoder.batches_at_once == 1
    encoder.parameters, encoder.device = 0, "cuda"
    assert encoder.batches_at_once == 1


@pytest.mark.usefixtures("three_threads")
def test_an_error_of_the_encoder_is_raised_and_torch_keeps_its_threads(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(self: Encoder, pixels: list[np.ndarray]) -> np.ndarray:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Encoder, "encode_prepared", encode)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(encode_shards(shards, tmp_path, load_encoder(CLIP, "cpu"), 2, lambda number: None))
    assert torch.get_num_threads() == 3
