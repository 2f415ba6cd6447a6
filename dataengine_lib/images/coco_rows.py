"""Step 2: the rows of COCO's annotation files as records. Format: https://cocodataset.org/#format-data.

Only the fields needed are decoded: the segmentation polygons, nine tenths of `instances_train2017.json`, never
become Python objects.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId, image_id_of
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.annotation_rows import Coordinate, LeftOutRows, SidePixels, numbered, readable_rows

_T = TypeVar("_T")
_ID_LIMIT = 2**63


class CocoImage(msgspec.Struct, gc=False):
    """A row of `images`."""

    id: ImageId
    file_name: str = ""
    width: SidePixels | None = 0
    height: SidePixels | None = 0
    coco_url: str | None = ""


class CocoBox(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """`[x, y, width, height]` in pixels; with more numbers it is not COCO's format, and an error."""

    x: Coordinate
    y: Coordinate
    w: Coordinate
    h: Coordinate


class CocoAnnotation(msgspec.Struct, gc=False):
    """A row of `annotations`: one object in an image."""

    image_id: ImageId
    category_id: int
    bbox: CocoBox
    iscrowd: int | bool | None = 0


class CocoCategory(msgspec.Struct):
    """A row of `categories`."""

    id: int
    name: str
    supercategory: str | None = ""


class CocoCaption(msgspec.Struct, gc=False):
    """A row of `annotations` in a captions file."""

    image_id: ImageId
    caption: str


# The files as published: numbers as ids, which need no look at each row. Any other file is decoded row by row.
class _PlainImage(CocoImage, gc=False):
    id: int


class _PlainAnnotation(CocoAnnotation, gc=False):
    image_id: int


class _PlainCaption(CocoCaption, gc=False):
    image_id: int


class _PlainInstances(msgspec.Struct):
    images: list[_PlainImage]
    annotations: list[_PlainAnnotation]
    categories: list[CocoCategory] = []


class _PlainCaptions(msgspec.Struct):
    annotations: list[_PlainCaption]


class _PlainImages(msgspec.Struct):
    images: list[_PlainImage]


_Rows = list[msgspec.Raw] | dict[str, msgspec.Raw] | None


class _RawFile(msgspec.Struct):
    images: _Rows = None
    annotations: _Rows = None
    categories: _Rows = None


class CocoInstances(msgspec.Struct):
    """An instances file; `left_out` counts the rows of each list that could not be used."""

    images: list[Any]
    annotations: list[Any]
    categories: list[CocoCategory]
    left_out: list[LeftOutRows]


def read_instances(file: Path) -> CocoInstances:
    """The usable rows of an instances file, ids as all steps compare them. Raises DataEngineError for any other file."""
    plain: _PlainInstances | None = _plain(file, _PlainInstances)
    images, annotations = _left_out(file, "images"), _left_out(file, "annotations")
    if plain is not None and _plain_ids(plain.images, "id") and _plain_ids(plain.annotations, "image_id"):
        images.n_rows, annotations.n_rows = len(plain.images), len(plain.annotations)
        return CocoInstances(plain.images, plain.annotations, plain.categories, [images, annotations])
    del plain  # before the file is read once more: it is large
    content = _raw(file, "images", "annotations")
    categories = _left_out(file, "categories")
    return CocoInstances(
        list(_with_ids("images", content.images, CocoImage, "id", images)),
        list(_with_ids("annotations", content.annotations, CocoAnnotation, "image_id", annotations)),
        [
            row
            for _, row in readable_rows(numbered("categories", content.categories), CocoCategory, categories)
        ],
        [images, annotations, categories],
    )


def read_coco_captions(file: Path) -> tuple[list[Any], LeftOutRows]:
    """The usable rows of a captions file, and what was left out. Raises DataEngineError for any other file."""
    left_out = _left_out(file, "captions")
    return _one_list(file, "annotations", _PlainCaptions, CocoCaption, "image_id", left_out), left_out


def read_coco_images(file: Path) -> tuple[list[Any], LeftOutRows]:
    """The usable rows of a file's list of images alone, and what was left out."""
    left_out = _left_out(file, "images")
    return _one_list(file, "images", _PlainImages, CocoImage, "id", left_out), left_out


def _left_out(file: Path, name: str) -> LeftOutRows:
    return LeftOutRows(what=f"{file.parent.name}/{file.name}: {name}")


def _one_list(
    file: Path, name: str, plain_file: type, row_type: type, field: str, left_out: LeftOutRows
) -> list[Any]:
    """The usable rows of the list `name`, whose rows have their image's id in `field`."""
    rows: list[Any] | None = getattr(_plain(file, plain_file), name, None)
    if rows is not None and _plain_ids(rows, field):
        left_out.n_rows = len(rows)
        return rows
    del rows  # before the file is read once more: they are large
    return list(_with_ids(name, getattr(_raw(file, name), name), row_type, field, left_out))


def _plain(file: Path, kind: type[_T]) -> _T | None:
    """The whole file decoded at once; None when one of its rows has another form."""
    try:
        found: _T = read_json(file, kind)
        return found
    except DataEngineError:
        return None  # read row by row, which raises this error again where it is not about a row


def _raw(file: Path, *needed: str) -> _RawFile:
    content: _RawFile = read_json(file, _RawFile)
    for name in needed:
        if getattr(content, name) is None:
            raise DataEngineError(f"{file}: has no list {name}; give a file as COCO publishes it")
    return content


def _plain_ids(rows: list[Any], field: str) -> bool:
    """Whether all ids are numbers that an int64 holds, none of them negative."""
    ids = [getattr(row, field) for row in rows]
    return not ids or (min(ids) >= 0 and max(ids) < _ID_LIMIT)


def _with_ids(name: str, rows: Any, kind: type[_T], field: str, left_out: LeftOutRows) -> Iterator[_T]:
    for where, row in readable_rows(numbered(name, rows), kind, left_out):
        given = getattr(row, field)
        try:
            found = image_id_of(given)
        except ValueError as error:
            left_out.add(where, f"unusable {field}", str(error))
            continue
        if found == UNKNOWN_IMAGE:
            left_out.add(where, f"unusable {field}", f"{field} {given!r} names no image")
            continue
        setattr(row, field, found)
        yield row
