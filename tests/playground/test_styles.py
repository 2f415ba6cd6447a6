"""Styles are computed with tables and in whole numbers: the same pixels as the plain arithmetic."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dataengine_lib.playground.drawing.pen import PAINTS, mix
from dataengine_lib.playground.drawing.styles import in_style


def sketch(image: Image.Image, _: int) -> np.ndarray:
    grey = ImageOps.grayscale(image)
    edges = ImageOps.invert(grey.filter(ImageFilter.FIND_EDGES)).filter(ImageFilter.MinFilter(3))
    paper = np.asarray(grey, np.float32) * 0.35 + 165
    hatch = np.indices((image.height, image.width)).sum(0) % 10 < 2
    paper -= hatch * (np.asarray(grey) < 130) * 40
    lines = np.clip((255 - np.asarray(edges, np.float32)) * 2.2, 0, 190)
    return np.repeat(np.clip(paper - lines, 0, 255).astype(np.uint8)[..., None], 3, 2)


def painting(image: Image.Image, seed: int) -> np.ndarray:
    height, width = image.height, image.width
    swing = np.random.default_rng(seed).normal(0, 1, (height // 8, width // 8, 2)).astype(np.float32)
    bend = [Image.fromarray(swing[..., i]).resize(image.size, Image.Resampling.NEAREST) for i in (0, 1)]
    y, x = np.indices((height, width))
    dx, dy = (np.asarray(part) * width / 150 for part in bend)
    rows, columns = (
        np.clip(place, 0, last).astype(int) for place, last in ((y + dy, height - 1), (x + dx, width - 1))
    )
    light = ((x + y + 9 * np.asarray(bend[0])) % 14 < 6) * 22 - 9
    brushed = np.asarray(image, np.float32)[rows, columns] * (1.03, 1.0, 0.9)
    return np.clip(brushed + light[..., None], 0, 255).astype(np.uint8)


def poster(image: Image.Image, _: int) -> np.ndarray:
    flat = np.array(ImageEnhance.Color(ImageOps.posterize(image, 3)).enhance(1.5))
    edges = ImageOps.grayscale(image).filter(ImageFilter.FIND_EDGES).filter(ImageFilter.MaxFilter(5))
    flat[np.asarray(edges) > 38] = (20, 16, 30)
    return flat


@pytest.mark.parametrize("plain", [sketch, painting, poster])
@pytest.mark.parametrize("size", [(96, 96), (101, 60)])
def test_a_style_has_the_pixels_of_its_plain_arithmetic(plain, size):
    random = np.random.default_rng(7)
    blocks = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).resize(
        size, Image.Resampling.NEAREST
    )
    noise = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8))
    for seed, image in enumerate((blocks, noise, Image.blend(blocks, noise, 0.2))):
        found, wanted = np.asarray(in_style(image, plain.__name__, seed)), plain(image, seed)
        if plain is poster:  # its frame lies over the picture, 3 % of each side and rounded corners
            margin = -(-max(size) * 4 // 100)
            assert tuple(found[0, size[0] // 2]) == mix(PAINTS["red"], (0, 0, 0), 0.1)
            found, wanted = (part[margin:-margin, margin:-margin] for part in (found, wanted))
        assert np.array_equal(found, wanted)


def test_another_style_leaves_the_picture_as_it_is():
    image = Image.new("RGB", (8, 8), "red")
    assert in_style(image, "plain", 0) is image
