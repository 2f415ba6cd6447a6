"""Step 2: an image pool from Visual Genome's `region_descriptions.json`, `image_data.json` and, if there, `objects.json`.

Format: https://homes.cs.washington.edu/~ranjay/visualgenome/api.html (versions 1.2 and 1.4).
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from dataengine_lib.core.files import UNDECODABLE, json_value, read_json
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId, image_id_of
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.annotation_rows import (
    EMPTY_BOX,
    UNKNOWN_ID,
    UNSIZED,
    Coordinate,
    LeftOutRows,
    SidePixels,
    numbered,
    readable_rows,
)
from dataengine_lib.images.folder_listing import url_parts
from dataengine_lib.images.pool import MAX_BOXES, VISUAL_GENOME, PoolMetadata

if TYPE_CHECKING:
    import pyarrow as pa

_REGIONS_FILE, _IMAGES_FILE, _OBJECTS_FILE = "region_descriptions.json", "image_data.json", "objects.json"
_MAX_PIXEL = 30_000  # region boxes are stored as int16; no image of Visual Genome is as large


class _Image(msgspec.Struct, gc=False):
    image_id: ImageId | None = None
    id: ImageId | None = None  # as in version 1.0
    url: str | None = ""
    width: SidePixels | None = 0
    height: SidePixels | None = 0
    coco_id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None


class _Region(msgspec.Struct, gc=False):
    phrase: str
    x: Coordinate = 0
    y: Coordinate = 0
    width: Coordinate = 0
    height: Coordinate = 0


class _Regions(msgspec.Struct):
    regions: list[_Region]
    image_id: ImageId | None = None
    id: ImageId | None = None


class _RawRegions(msgspec.Struct):
    regions: list[msgspec.Raw]
    image_id: ImageId | None = None
    id: ImageId | None = None


class _Object(msgspec.Struct):
    names: list[str]
    x: Coordinate
    y: Coordinate
    w: Coordinate
    h: Coordinate


class _Objects(msgspec.Struct):
    objects: list[_Object]
    image_id: ImageId | None = None
    id: ImageId | None = None


class _RawObjects(msgspec.Struct):
    objects: list[msgspec.Raw]
    image_id: ImageId | None = None
    id: ImageId | None = None


def visual_genome_files(root: Path) -> list[Path]:
    """The annotation files of a Visual Genome folder, empty for any other folder.

    Raises DataEngineError when there are regions without the list of images.
    """
    if not (root / _REGIONS_FILE).is_file():
        return []
    if not (root / _IMAGES_FILE).is_file():
        raise DataEngineError(
            f"{root}: has {_REGIONS_FILE} but no {_IMAGES_FILE}; put both there, as Visual Genome publishes them"
        )
    return [root / name for name in (_REGIONS_FILE, _IMAGES_FILE, _OBJECTS_FILE) if (root / name).is_file()]


def visual_genome_columns(root: Path, files: list[Path]) -> "pa.RecordBatch":
    """The pool's columns from `visual_genome_files`.

    A region's phrase is a caption of its image. The largest region comes first: it says most about the whole picture,
    and a prompt that is too long drops its last captions first. Boxes are those of `objects.json`, named by the
    object's first name. An image with more than MAX_BOXES keeps its phrases and shows no boxes: Visual Genome also
    boxes parts and background, 35 in an image on average, so leaving such images out, as is done for COCO, would
    leave hardly any. Rows that cannot be used are left out and counted in the pool's metadata. Raises DataEngineError
    naming the file that is no such file at all.
    """
    from dataengine_lib.images.pool_columns import caption_lists, pool_columns, region_lists

    regions, images, *objects = files
    metadata = PoolMetadata(kind=VISUAL_GENOME, folders=[])
    values, rows = _images(images, metadata)
    count = len(rows)
    caption_rows: list[int] = []  # the image of each of `texts`
    texts: list[str] = []
    boxes: dict[int, array[int]] = {}  # row -> five numbers for each region
    region_count = LeftOutRows(what=f"{regions.name}: regions")
    for where, image_id, found in _rows(regions, _Regions, _RawRegions, _Region, metadata, region_count):
        row = rows.get(image_id, -1)
        if row < 0:
            region_count.add(where, UNKNOWN_ID, UNKNOWN_ID, len(found.regions))
        else:
            found.regions.sort(key=lambda region: -region.width * region.height)
            caption_rows += [row] * len(found.regions)
            texts += [region.phrase for region in found.regions]
            # where an image comes twice, the second list's phrases become captions without a box
            boxes.setdefault(row, _region_boxes(found.regions))
    values["captions"] = caption_lists(np.array(caption_rows, dtype=np.int64), texts, count)
    lengths = [len(numbers) // 5 for numbers in boxes.values()]
    region_rows = np.repeat(np.fromiter(boxes, np.int64, len(boxes)), lengths)
    values["regions"] = region_lists(region_rows, np.frombuffer(b"".join(boxes.values()), np.int16), count)
    metadata.left_out.append(region_count)
    sized = np.minimum(values["width"], values["height"]) > 0
    values["boxes"] = _boxes(objects, rows, sized, metadata)
    return pool_columns(metadata, values)


def _region_boxes(regions: list[_Region]) -> "array[int]":
    """Five int16 for each region: the place of its phrase among the image's distinct phrases, x, y, width, height."""
    numbers = array("h")
    places: dict[str, int] = {}
    for region in regions:
        if line := one_line(region.phrase):
            # numbered as `caption_lists` keeps them: distinct lines, without empty ones
            place = places.setdefault(line, len(places))
            box = (region.x, region.y, region.width, region.height)
            numbers.extend([place, *(round(min(max(value, -_MAX_PIXEL), _MAX_PIXEL)) for value in box)])
    return numbers


def _images(file: Path, metadata: PoolMetadata) -> tuple[dict[str, Any], dict[ImageId, int]]:
    """The columns that `image_data.json` fills, and each image id's row."""
    rows: dict[ImageId, int] = {}
    groups: dict[str, int] = {}  # folder in the URL -> group
    names: list[str] = []
    kept: list[tuple[int, int, int, int]] = []  # group, width, height, COCO id
    left_out = LeftOutRows(what=f"{file.name}: images")
    raws: list[msgspec.Raw] = read_json(file, list[msgspec.Raw])
    for where, image in readable_rows(numbered("", raws), _Image, left_out):
        folder, name = url_parts(image.url or "")
        image_id = _id(image, where, left_out)
        if image_id is None:
            continue
        name = name or f"{image_id}.jpg"
        group = groups.setdefault(folder, len(groups))
        # kept once; whether another name or folder is the same file is known when the pool is opened
        if image_id in rows:
            if (names[rows[image_id]], kept[rows[image_id]][0]) != (name, group):
                metadata.repeated.append((image_id, name, group))
            continue
        rows[image_id] = len(rows)
        names.append(name)
        kept.append(
            (group, image.width or 0, image.height or 0, -1 if image.coco_id is None else image.coco_id)
        )
    metadata.left_out.append(left_out)
    usual = ["VG_100K", "VG_100K_2", "images", ""]  # the folders of the two archives, or all in one
    # VG_100K in the URL: VG_100K, images/VG_100K, VG_100K_2, images, the root; in this order
    metadata.folders = [[*dict.fromkeys([*([f, f"images/{f}"] if f else []), *usual])] for f in groups]
    columns = np.array(kept, dtype=np.int64).reshape(-1, 4).T
    values: dict[str, Any] = {"id": list(rows), "name": names}
    values |= dict(zip(("group", "width", "height", "coco_id"), columns, strict=True))
    values |= {"reason": np.zeros(len(rows), dtype=np.int8), "crowds": [[]] * len(rows)}
    return values, rows


def _boxes(
    files: list[Path], rows: dict[ImageId, int], sized: np.ndarray, metadata: PoolMetadata
) -> "pa.Array":
    """The `boxes` column from `objects.json` (`files` is empty without it); fills the categories.

    `sized` is bool `(n,)`: whether an image's width and height are known, without which its boxes have no place.
    """
    from dataengine_lib.images.pool_columns import box_lists

    box_rows: list[int] = []
    categories: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    index: dict[str, int] = {}  # category -> number
    for file in files:
        left_out = LeftOutRows(what=f"{file.name}: objects")
        for where, image_id, found in _rows(file, _Objects, _RawObjects, _Object, metadata, left_out):
            row = rows.get(image_id, -1)
            if row < 0 or not sized[row]:
                kind = UNKNOWN_ID if row < 0 else UNSIZED
                left_out.add(where, kind, kind, len(found.objects))
                continue
            named = [(one_line(thing.names[0]), thing) for thing in found.objects if thing.names]
            # without empty boxes and exact repetitions
            distinct = dict.fromkeys(
                (name, t.x, t.y, t.w, t.h) for name, t in named if name and t.w > 0 < t.h
            )
            empty = sum(not (t.w > 0 < t.h) for _, t in named)
            left_out.add(where, EMPTY_BOX, EMPTY_BOX, empty)
            if len(distinct) <= MAX_BOXES:
                box_rows += [row] * len(distinct)
                categories += [index.setdefault(name, len(index)) for name, *_ in distinct]
                boxes += [(x, y, w, h) for _, x, y, w, h in distinct]
        metadata.left_out.append(left_out)
    metadata.categories = dict.fromkeys(index, "")
    return box_lists(
        np.array(box_rows, dtype=np.int64), np.array(categories, dtype=np.int32), np.array(boxes), len(rows)
    )


def _rows(
    file: Path, row_type: Any, raw_type: Any, part_type: Any, metadata: PoolMetadata, parts: LeftOutRows
) -> Iterator[tuple[str, ImageId, Any]]:
    """The rows of a list with their name and image's id, decoded one at a time: all 700 MB would take several GB.

    A row is a list of parts, regions or objects. Where one part is at fault the others are kept (`raw_type` holds them
    undecoded, `part_type` is one); `parts` counts them, the metadata the rows that have no usable image id or list.
    """
    decoder = msgspec.json.Decoder(row_type, strict=False)
    field = row_type.__struct_fields__[0]
    left_out = LeftOutRows(what=f"{file.name}: rows")
    # msgspec.Raw keeps each row as bytes until its turn
    raws: list[msgspec.Raw] = read_json(file, list[msgspec.Raw])
    for where, raw in numbered("", raws):
        try:
            row = json_value(raw, decoder)
            left_out.n_rows += 1
            parts.n_rows += len(getattr(row, field))
        except UNDECODABLE:
            for _, row in readable_rows([(where, raw)], raw_type, left_out):
                kept = readable_rows(numbered(f"{where}.{field}", getattr(row, field)), part_type, parts)
                setattr(row, field, [part for _, part in kept])
                break
            else:
                continue
        image_id = _id(row, where, left_out)
        if image_id is not None:
            yield where, image_id, row
    metadata.left_out.append(left_out)


def _id(row: Any, where: str, left_out: LeftOutRows) -> ImageId | None:
    """The id of a row's image; None where it has none that can be used, which is counted."""
    given = row.image_id if row.image_id is not None else row.id
    try:
        found = image_id_of(given)
    except ValueError as error:
        left_out.add(where, "unusable image_id", str(error))
        return None
    if found == UNKNOWN_IMAGE:
        left_out.add(where, "without image_id", "it has neither image_id nor id")
        return None
    return found
