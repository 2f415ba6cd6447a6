"""Steps 2 and 4: hashes of what an image shows, which stay nearly the same when it is mirrored, cropped or recoloured."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image
from scipy import fft

WORDS = 4  # uint64 words of a hash of 256 bits
_SIDE = 64  # pixels; the hash is made of 64 x 64
_THUMBNAIL = 128  # pixels of the longer side, enough for crops and rotations of 64 x 64
_HASH_SIDE = 16  # a hash has 16 x 16 bits, the signs of the lowest frequencies
_LEAST_CONTRAST = 4.0  # standard deviation of gray values; an image of less shows hardly anything to compare
_FLAT = 12  # gray values; a line of pixels that differ by no more is taken for a border
_CENTRE = ((0.5, 0.5),)
_CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
# The parts that are hashed: share of each side, and where the part lies. A hash tolerates about 5 % of difference.
_CROPS = ((0.95, _CENTRE), (0.9, _CENTRE + _CORNERS), (0.8, _CENTRE + _CORNERS), (0.75, _CENTRE))
_ROTATED_PART = 0.75  # the centre that stays inside the image under the rotations below
_TURNED_SHARE = (
    2 / 3
)  # of the size, before an image is turned: with its pixels about as far apart as the result's
_ANGLES = (-12, -9, -6, -3, 3, 6, 9, 12)  # degrees; a hash tolerates 1.5 of difference


def evaluation_hashes(image: Image.Image) -> np.ndarray:
    """Hashes of an evaluation image, uint64 `(n, 4)`: of the whole, of the whole without its border, and of parts.

    `(0, 4)` for an image with too little structure, as one of a single colour.
    """
    whole, *inner = _wholes(image)
    return _bits(_lowest((whole, *_parts(whole), *inner)))


def candidate_hashes(image: Image.Image) -> np.ndarray:
    """Hashes of an image that may be a copy, uint64 `(n, 4)`: also mirrored, turned by right angles, rotated a little.

    If the smallest distance (bits) to any of the `evaluation_hashes` of another image is small, one is a copy of the
    other. `(0, 4)` for an image with too little structure.
    """
    whole, *inner = _wholes(image)
    turned = whole.resize([round(length * _TURNED_SHARE) for length in whole.size], Image.Resampling.BILINEAR)
    parts = (*_parts(whole), *(_turned(turned, angle) for angle in _ANGLES))
    wholes = _lowest((whole, *inner))
    return _bits(np.concatenate([_dihedral(wholes), _lowest(parts)]))


def _wholes(image: Image.Image) -> list[Image.Image]:
    """The image, small and gray, and the same without a border of one colour, if it has one."""
    gray = image.convert("L")
    gray.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BILINEAR)
    inner = _without_border(gray)
    return [gray] if inner is None else [gray, inner]


def _without_border(gray: Image.Image) -> Image.Image | None:
    """The part inside a border of one colour; None where there is no border, or hardly anything inside it."""
    pixels = np.asarray(gray)
    flat_rows, flat_columns = (np.ptp(pixels, axis=axis) <= _FLAT for axis in (1, 0))
    if flat_rows.all() or flat_columns.all():
        return None
    # argmin finds the first line that is not flat
    top, bottom = int(flat_rows.argmin()), int(flat_rows[::-1].argmin())
    left, right = int(flat_columns.argmin()), int(flat_columns[::-1].argmin())
    # one pixel more: reducing the image has mixed the border's colour into the pixels beside it
    top, bottom, left, right = (edge + (edge > 0) for edge in (top, bottom, left, right))
    width, height = gray.width - left - right, gray.height - top - bottom
    if (width, height) == gray.size or width * height < gray.width * gray.height / 8:
        return None
    return gray.crop((left, top, left + width, top + height))


def _parts(whole: Image.Image) -> Iterator[Image.Image]:
    for share, places in _CROPS:
        for x, y in places:
            yield _part(whole, share, x, y)


def _part(whole: Image.Image, share: float, x: float, y: float) -> Image.Image:
    """The part with `share` of each side; `x`, `y` from 0 (left, top) to 1 (right, bottom)."""
    width, height = whole.width * share, whole.height * share
    left, top = (whole.width - width) * x, (whole.height - height) * y
    return whole.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, (left, top, left + width, top + height))


def _turned(whole: Image.Image, angle: float) -> Image.Image:
    """The centre of the image turned by `angle` degrees; only the pixels of the result are computed."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    across, down = (
        _ROTATED_PART * length / _SIDE for length in whole.size
    )  # pixels of whole for one of the result
    to_x, to_y = (across * cosine, -down * sine), (across * sine, down * cosine)
    # both centres lie on each other
    x, y = (length / 2 - sum(row) * _SIDE / 2 for length, row in zip(whole.size, (to_x, to_y), strict=True))
    affine = (*to_x, x, *to_y, y)
    return whole.transform((_SIDE, _SIDE), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)


def _lowest(images: Iterable[Image.Image]) -> np.ndarray:
    """The lowest frequencies of the images that have enough structure, made small: float32 `(n, 16, 16)`, `[y, x]`.

    Those of imagehash.phash, all at once: of a cosine transform along the columns, then along the rows.
    """
    small = np.stack([np.asarray(_small(image)) for image in images])
    pixels = small[small.std(axis=(1, 2)) >= _LEAST_CONTRAST]
    if not len(pixels):
        return np.empty((0, _HASH_SIDE, _HASH_SIDE), np.float32)
    # of the first transform's results only the lowest frequencies are transformed along the rows
    columns = fft.dct(pixels.astype(np.float32), axis=1)[:, :_HASH_SIDE]
    return fft.dct(columns, axis=2)[:, :, :_HASH_SIDE]


def _dihedral(lowest: np.ndarray) -> np.ndarray:
    """`(8 n, 16, 16)`: the frequencies of the images, of their mirror images, and of both turned by right angles.

    Mirrored, an image's odd frequencies change their signs; with rows for columns, so do its frequencies.
    """
    signs = np.where(np.arange(_HASH_SIDE) % 2, np.float32(-1), np.float32(1))
    across, down = lowest * signs, lowest * signs[:, None]
    half = [lowest, across, down, across * signs[:, None]]
    return np.concatenate([*half, *(one.transpose(0, 2, 1) for one in half)])


def _bits(lowest: np.ndarray) -> np.ndarray:
    """The hashes, uint64 `(n, 4)`: which frequencies `(n, 16, 16)` are above the median of their image."""
    if not len(lowest):
        return np.empty((0, WORDS), np.uint64)
    values = lowest.reshape(len(lowest), -1)
    bits = values > np.median(values, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64)


def _small(image: Image.Image) -> Image.Image:
    return image if image.size == (_SIDE, _SIDE) else image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
