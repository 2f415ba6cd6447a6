"""The images of a gallery (all steps): each file once, reduced to thumbnails that together stay within a size.

Image names come from data files: they stay inside their root folder.
"""

import base64
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from PIL import Image

from dataengine_lib.core.records import ImageId
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import decode_image
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.images.references import image_file
from dataengine_lib.report.tables import escaped

BoxesOf = Callable[[ImageId], Sequence[NamedBox]]
"""The boxes of an image by its id; none where they are not known."""

NO_IMAGE_WORDS = "no image"
LARGE_SIDE = 320  # pixels of the longer side of an image in a notebook
# Longer side in pixels and WebP quality of a page's thumbnails, the best first.
_SIZES = ((320, 75), (224, 70), (192, 60), (160, 55), (128, 50), (112, 45), (96, 40), (80, 40), (64, 35))
# libwebp's effort from 0 to 6: its default of 4 takes twice the time of 2 for files that are 4 to 19 % smaller
_EFFORT = 2
_THREADS = 4  # each holds a decoded image
_SAMPLE = 24  # images from which the size of all is estimated
_LEAST_BYTES, _MOST_BYTES, _HALF = 400_000, 9_500_000, 3_000


class Thumbnail(msgspec.Struct, array_like=True, omit_defaults=True):
    """A reduced image: WebP in base64, its size in pixels, and its boxes; without data, why there is none."""

    data: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""
    boxes: list[tuple[str, float, float, float, float]] = []  # name, then corners from 0 to 1


class _Source(NamedTuple):
    path: Path | None
    why: str  # there is no path
    boxes: Sequence[NamedBox]


class Pictures:
    """The files of a gallery's images; every file has one place, however many cards show it."""

    def __init__(self, boxes: BoxesOf | None = None) -> None:
        self._boxes = boxes
        self._places: dict[tuple[Path | None, str], int] = {}
        self._sources: list[_Source] = []

    def __len__(self) -> int:
        return len(self._sources)

    def named(self, root: Path | None, name: str, image_id: ImageId | None = None) -> int:
        """The place of the image that a row names below `root`."""
        if root is None or not name:
            return self._place(None, NO_IMAGE_WORDS, None)
        try:
            return self._place(image_file(root, name), "", image_id)
        except DataEngineError as error:  # the name leads outside the root and is not opened
            return self._place(None, str(error), None)

    def at(self, path: Path, image_id: ImageId | None = None) -> int:
        """The place of an image file."""
        return self._place(path, "", image_id)

    def missing(self, why: str) -> int:
        """The place of an image that cannot be shown."""
        return self._place(None, why, None)

    def jpeg_html(self, place: int, alt: str, side: int = LARGE_SIDE) -> str:
        """The image as an element with its pixels as JPEG, at most `side` of them; a box with the reason without it."""
        picture = self._decoded(place, side)
        if isinstance(picture, str):
            return missing_image_html(picture)
        picture.thumbnail((side, side))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=82)
        width, height = picture.size
        return embedded_image_html("jpeg", base64.b64encode(stream.getvalue()).decode(), alt, width, height)

    def thumbnails(self) -> list[Thumbnail]:
        """All images, as large as fits into a size that grows with their number towards 9 MB."""
        count = len(self._sources)
        most = _LEAST_BYTES + _MOST_BYTES * count / (count + _HALF)
        sample = sorted({round(place) for place in _spread(count, min(count, _SAMPLE))})
        # Pillow decodes and encodes without Python's lock
        with ThreadPoolExecutor(_THREADS) as pool:
            for number, size in enumerate(_SIZES):
                last, make = number == len(_SIZES) - 1, partial(self._thumbnail, size=size)
                tried = sum(len(one.data) for one in pool.map(make, sample))
                if not last and tried * count > most * max(1, len(sample)):
                    continue
                made = list(pool.map(make, range(count)))
                # the sample may have been of images that are smaller than most
                if last or sum(len(one.data) for one in made) <= 1.1 * most:
                    return made
        raise AssertionError("the smallest size is always taken")

    def _place(self, path: Path | None, why: str, image_id: ImageId | None) -> int:
        place = self._places.setdefault((path, why), len(self._sources))
        if place == len(self._sources):
            boxes = self._boxes(image_id) if self._boxes and image_id is not None else ()
            self._sources.append(_Source(path, why, boxes))
        return place

    def _decoded(self, place: int, side: int) -> Image.Image | str:
        """The image, at least as large as `side` where its file is, or why it cannot be shown."""
        source = self._sources[place]
        if source.path is None:
            return source.why
        picture = decode_image(source.path, side)
        return f"{source.path.name} cannot be read ({picture})" if isinstance(picture, str) else picture

    def _thumbnail(self, place: int, size: tuple[int, int]) -> Thumbnail:
        side, quality = size
        picture = self._decoded(place, side)
        if isinstance(picture, str):
            return Thumbnail(missing=picture)
        # two thirds of the time of Pillow's default, and no softer at half the size
        picture.thumbnail((side, side), Image.Resampling.HAMMING)
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=quality, method=_EFFORT)
        data = base64.b64encode(stream.getvalue()).decode()
        boxes = [(one.name, *one.xyxy) for one in self._sources[place].boxes]
        return Thumbnail(data, *picture.size, boxes=boxes)


def embedded_image_html(kind: str, data: str, alt: str, width: int, height: int, attributes: str = "") -> str:
    """An `img` element that contains the image, in base64."""
    source = f"data:image/{kind};base64,{escaped(data)}"
    return f'<img src="{source}" alt="{escaped(alt)}" width="{width}" height="{height}"{attributes}>'


def missing_image_html(why: str) -> str:
    """A box in place of an image, with the reason."""
    return f'<div class="no-image">{escaped(why)}</div>'


def _spread(count: int, number: int) -> list[float]:
    """`number` places from the first to the last of `count`, evenly spaced."""
    return [(count - 1) * one / max(1, number - 1) for one in range(number)]
