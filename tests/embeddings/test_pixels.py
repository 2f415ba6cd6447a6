"""Tests of fast image preparation: it gives the same values as the models' own processors."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dataengine_lib.embeddings.pixels import preparation_of

PLAIN: dict[str, Any] = {
    "do_resize": True, "size": {"shortest_edge": 48}, "resample": 3, "do_center_crop": True,
    "crop_size": {"height": 40, "width": 48}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4],
}  # fmt: skip
SIZES = [(64, 48), (500, 333), (333, 500), (50, 50), (30, 200), (97, 61), (48, 48)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"size": {"height": 40, "width": 56}, "do_center_crop": False},
        {"resample": 2},
        {"resample": 1, "do_center_crop": None},
    ],
)
def test_values_are_those_of_the_processor(size: tuple[int, int], changes: dict[str, Any]) -> None:
    from transformers import CLIPImageProcessorPil

    settings = PLAIN | changes
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    expected = CLIPImageProcessorPil(**settings)(images=image, return_tensors="np")["pixel_values"][0]
    preparation = preparation_of(settings)
    assert preparation is not None
    prepared = preparation.prepare(image)
    assert prepared.dtype == np.uint8
    found = preparation.finish(torch.from_numpy(prepared[None]))[0].numpy()
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": {"longest_edge": 40}},
        {"do_normalize": False},
        {"do_pad": True},
        {"crop_size": {"height": 49, "width": 10}},
    ],
)
def test_other_settings_are_left_to_the_processor(changes: dict[str, Any]) -> None:
    assert preparation_of(PLAIN | changes) is None


def test_a_processor_that_does_something_else_is_noticed() -> None:
    preparation = preparation_of(PLAIN)
    assert preparation is not None

    def brighter(image: Image.Image) -> np.ndarray:
        pixels = torch.from_numpy(preparation.prepare(image)[None])
        return preparation.finish(pixels)[0].numpy() + 0.004

    assert not preparation.agrees(brighter)
