"""A scene's picture as a sketch, a painting or a poster.

What depends on a pixel's value alone is looked up in tables of all values, which take the time of no arithmetic.
"""

from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from dataengine_lib.playground.drawing.pen import PAINTS, Pen, mix

_STROKE = 8  # pixels: the side of a painting's brush strokes
_BRIGHTER = (1.03, 1.0, 0.9)  # a painting's red, green and blue
_LIGHT, _DARK = 13, -9  # added to every other stroke
_IS_EDGE = [255 * (value > 38) for value in range(256)]


def in_style(image: Image.Image, style: str, seed: int) -> Image.Image:
    """The RGB picture in the style `sketch`, `painting` or `poster`; as it is in another one."""
    if style == "sketch":
        return _sketch(image)
    if style == "painting":
        return _painting(image, seed)
    return _poster(image) if style == "poster" else image


def _sketch(image: Image.Image) -> Image.Image:
    """Pale paper, hatching in dark places, and lines where the picture has edges."""
    grey = ImageOps.grayscale(image)
    edges = _extreme(np.asarray(ImageOps.invert(grey.filter(ImageFilter.FIND_EDGES))), 3, np.minimum)
    hatch = _diagonals(image.height, image.width) % 10 < 2
    drawn = _sketch_tones()[hatch.astype(np.uint8), np.asarray(grey), edges]
    return Image.merge("RGB", [Image.fromarray(drawn)] * 3)


@cache
def _sketch_tones() -> np.ndarray:
    """`(2, 256, 256)`: the tone of a pixel by whether it is hatched, its grey value and its inverted edge."""
    values = np.arange(256, dtype=np.uint8)
    paper = np.asarray(values, np.float32) * 0.35 + 165
    lines = np.clip((255 - np.asarray(values, np.float32)) * 2.2, 0, 190)
    hatched = paper.copy()
    hatched -= (values < 130) * 40
    both = np.stack([paper, hatched])[:, :, None]
    return np.clip(both - lines, 0, 255).astype(np.uint8)


def _painting(image: Image.Image, seed: int) -> Image.Image:
    """Each pixel takes the colour of a pixel nearby in its brush stroke, and every other stroke is lighter."""
    height, width = image.height, image.width
    swing = np.random.default_rng(seed).normal(0, 1, (height // _STROKE, width // _STROKE, 2))
    swing = swing.astype(np.float32)
    # whole pixels to the right and downwards; a pixel's place is a whole number, so that the sum's floor is this one's
    right, down = (_over_strokes(swing[..., i] * width / 150, image) for i in (0, 1))
    rows = np.clip(np.arange(height)[:, None] + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    stripe = (_diagonals(height, width) + _over_strokes(9 * swing[..., 0], image)) % 14 < 6
    tones = np.stack([np.asarray(image.point(_painting_tones(added))) for added in (_DARK, _LIGHT)])
    # `tones` as a list of pixels: dark ones, then light ones
    return Image.fromarray(tones.reshape(-1, 3)[(stripe * height + rows) * width + columns])


@cache
def _painting_tones(added: int) -> list[int]:
    """The tone of a value, 256 for each of red, green and blue."""
    values = np.arange(256, dtype=np.float32)[:, None] * np.asarray(_BRIGHTER)
    return [int(tone) for tone in np.clip(values + added, 0, 255).astype(np.uint8).T.ravel()]


def _over_strokes(values: np.ndarray, image: Image.Image) -> np.ndarray:
    """`(rows, columns)` of strokes, as the whole number of each pixel's stroke."""
    rows, columns = (
        (2 * np.arange(size) + 1) * strokes // (2 * size)
        for size, strokes in zip((image.height, image.width), values.shape, strict=True)
    )
    return np.floor(values).astype(np.int32)[rows[:, None], columns]


def _poster(image: Image.Image) -> Image.Image:
    """Few strong colours (3 bits each), dark outlines and a red frame."""
    flat = ImageEnhance.Color(ImageOps.posterize(image, 3)).enhance(1.5)
    edges = np.asarray(ImageOps.grayscale(image).filter(ImageFilter.FIND_EDGES))
    outlines = Image.fromarray(_extreme(edges, 5, np.maximum)).point(_IS_EDGE)
    flat = Image.composite(Image.new("RGB", flat.size, (20, 16, 30)), flat, outlines)
    pen = Pen(ImageDraw.Draw(flat), flat.width)
    for x0, y0, x1, y1 in ((0, 0, 1, 0.03), (0, 0.97, 1, 1), (0, 0, 0.03, 1), (0.97, 0, 1, 1)):
        pen.rect(x0, y0, x1, y1, mix(PAINTS["red"], (0, 0, 0), 0.1))
    return flat


def _extreme(values: np.ndarray, size: int, of_two: Any) -> np.ndarray:
    """The largest or smallest value in the square of `size` around each pixel; first in its column, then in its row.

    The same as Pillow's MaxFilter and MinFilter, which take fifty times as long.
    """
    for _ in range(2):
        found = values.copy()
        for distance in range(1, size // 2 + 1):
            of_two(found[distance:], values[:-distance], out=found[distance:])
            of_two(found[:-distance], values[distance:], out=found[:-distance])
        values = found.T
    return np.ascontiguousarray(values)


@cache
def _diagonals(height: int, width: int) -> np.ndarray:
    """`(height, width)`: row plus column of each pixel."""
    return np.arange(height, dtype=np.int32)[:, None] + np.arange(width, dtype=np.int32)
