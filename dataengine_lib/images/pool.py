"""The image pool of step 2 (and of the annotations teacher): images with captions and boxes, kept as columns.

COCO's 118,287 images with 860,001 boxes are a few arrays; an image becomes an object only on access.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dataengine_lib.core.files import shown_name
from dataengine_lib.core.records import ImageId
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.annotation_rows import LeftOutRows, counts_by_kind
from dataengine_lib.images.folder_listing import NO_FILE, OUTSIDE, ImageFolders
from dataengine_lib.images.nested_files import nested_file
from dataengine_lib.images.references import base_name, id_key

MAX_BOXES = 10  # with more, "the person" is ambiguous; the paper (MLLM-DataEngine) leaves such images out

# reasons why an image gets no query, as reports show them
TOO_MANY_BOXES = f"more than {MAX_BOXES} boxes"
NO_CAPTIONS = "no captions"
NO_SIZE = "no width and height"
_TOO_SMALL = "shorter side under {} pixels"
_FEW_CAPTIONS = "fewer than {} captions"
# The reasons that annotations alone decide; a column of the pool stores the place in this tuple.
REASONS = ("", TOO_MANY_BOXES, NO_SIZE)

# kinds of pools
COCO, VISUAL_GENOME, CAPTIONED_FOLDER = "COCO", "Visual Genome", "folder of images with captions"


class NamedBox(msgspec.Struct, frozen=True, gc=False):
    """One object: its category's name and its corners `(x1, y1, x2, y2)` from 0 to 1, three decimals."""

    name: str
    xyxy: tuple[float, float, float, float]


class PoolImage(msgspec.Struct, kw_only=True):
    """One image of the pool; `path` is relative to the pool's folder.

    Width and height are in pixels, 0 if unknown; `skip` says why the image gets no query, empty if it may.
    """

    id: ImageId
    path: str
    width: int = 0
    height: int = 0
    boxes: list[NamedBox] = []
    captions: list[str] = []
    skip: str = ""
    crowds: list[str] = []  # categories annotated as a crowd, so there are more of them than `boxes` shows


class PoolMetadata(msgspec.Struct, kw_only=True):
    """What belongs to a whole pool, stored beside its columns: its kind, folders and categories.

    `folders[k]` are the folders in which an image of group k is looked for, in this order. `repeated` lists
    annotations that name a known id with another file name or group: `(id, file name, group)`. `left_out` counts the
    rows of each annotation file that were not used.
    """

    kind: str
    folders: list[list[str]]
    categories: dict[str, str] = {}  # category -> supercategory, "" if unknown
    repeated: list[tuple[ImageId, str, int]] = []
    left_out: list[LeftOutRows] = []


class ImagePool:
    """The images of a folder as `pool[row]`, `pool.find(id)` or by iteration: in id order, or as the files name them.

    `ids` int64 `(n,)` ascending, or in the files' order numbers and texts (dtype object) where an id is a text; `keys`
    int64 `(n,)` the same as numbers, see `references.id_key`; `coco_ids` int64 `(n,)` the id of the COCO photo that a
    Visual Genome image is, -1 for others; `paths` relative to `root`, "" where no file is there; `categories` maps each
    to its supercategory, "" if unknown; `left_out_rows` counts the annotations that were not used, by list and reason;
    `warnings` are sentences about those of them that are odd.
    """

    def __init__(self, root: Path, metadata: PoolMetadata, columns: Any) -> None:
        """`columns` is a record batch with `pool_columns.SCHEMA`, ids unique.

        Raises DataEngineError when no image file is there, or one id stands for two images.
        """
        self.root, self.kind, self.categories = root, metadata.kind, metadata.categories
        self.keys: np.ndarray = columns["id"].to_numpy()
        self.ids: np.ndarray = _ids(self.keys, columns["text_id"])
        # rows in the order of their keys, for `row_of`
        self._by_key: np.ndarray = np.argsort(self.keys, kind="stable")
        self._sorted_keys: np.ndarray = self.keys[self._by_key]
        self.left_out_rows = counts_by_kind(metadata.left_out)
        self.warnings = [line for left_out in metadata.left_out for line in left_out.warnings(root)]
        self.coco_ids: np.ndarray = columns["coco_id"].to_numpy()
        self.paths, outside = _locate_images(root, metadata, columns, self._row_of_key)
        self._sizes: np.ndarray = np.stack(
            [columns["width"].to_numpy(), columns["height"].to_numpy()], axis=1
        )
        self._reasons = [*REASONS, NO_FILE, OUTSIDE]
        with_file = np.fromiter(map(bool, self.paths), dtype=bool, count=len(self.paths))
        self.warnings += _elsewhere_warnings(root, columns["name"], with_file)
        # int8 (n,): the place of each image's reason in self._reasons, 0 for an image that may be used
        self._skip: np.ndarray = np.where(with_file, columns["reason"].to_numpy(), np.int8(len(REASONS)))
        self._skip[outside] = self._reasons.index(OUTSIDE)
        self._names = list(metadata.categories)
        # list columns: all values in one array, and `ends`: row i has the values from ends[i] to ends[i + 1]
        boxes, crowds, captions = columns["boxes"], columns["crowds"], columns["captions"]
        self._regions, self._region_ends = columns["regions"].values, columns["regions"].offsets.to_numpy()
        self._boxes, self._box_ends = boxes.values, boxes.offsets.to_numpy()
        self._crowds, self._crowd_ends = crowds.values.to_numpy(), crowds.offsets.to_numpy()
        self._captions, self._caption_ends = captions.values, captions.offsets.to_numpy()
        # category, x, y, width, height in pixels
        self._box_fields = [self._boxes.field(name).to_numpy() for name in ("category", "x", "y", "w", "h")]

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[PoolImage]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: int) -> PoolImage:
        width, height = self._sizes[row].tolist()
        boxes, crowds, captions = (
            slice(ends[row], ends[row + 1]) for ends in (self._box_ends, self._crowd_ends, self._caption_ends)
        )
        return PoolImage(
            id=self.id_of(row),
            path=self.paths[row],
            width=width,
            height=height,
            boxes=[
                NamedBox(self._names[category], _normalised(box, width, height))
                for category, *box in zip(
                    *(values[boxes].tolist() for values in self._box_fields), strict=True
                )
            ],
            captions=self._captions[captions].to_pylist(),
            skip=self._reasons[self._skip[row]],
            crowds=[self._names[category] if category >= 0 else "" for category in self._crowds[crowds]],
        )

    def id_of(self, row: int) -> ImageId:
        """The id of the image in that row."""
        found = self.ids[row]
        return found if isinstance(found, str) else int(found)

    def row_of(self, image_id: ImageId) -> int:
        """The row of the image with this id, -1 if the pool has none."""
        return self._row_of_key(id_key(image_id))

    def _row_of_key(self, key: int) -> int:
        place = int(np.searchsorted(self._sorted_keys, key))
        found = place < len(self) and self._sorted_keys[place] == key
        return int(self._by_key[place]) if found else -1

    def find(self, image_id: ImageId) -> PoolImage | None:
        """The image with this id, None if the pool has none."""
        row = self.row_of(image_id)
        return self[row] if row >= 0 else None

    def regions(self, image_id: ImageId) -> list[NamedBox]:
        """A Visual Genome image's regions, the largest first, as boxes with the phrase for a name; else empty."""
        row = self.row_of(image_id)
        if row < 0 or (self._sizes[row] <= 0).any():
            return []
        width, height = self._sizes[row].tolist()
        captions = self._captions[slice(*self._caption_ends[row : row + 2])].to_pylist()
        regions = self._regions[slice(*self._region_ends[row : row + 2])].to_pylist()
        return [
            NamedBox(captions[r["caption"]], _normalised([r["x"], r["y"], r["w"], r["h"]], width, height))
            for r in regions
        ]

    @property
    def box_categories(self) -> tuple[np.ndarray, np.ndarray]:
        """For all k boxes of the pool: int64 `(k,)` the image's row, int32 `(k,)` the category's place in `categories`."""
        return np.repeat(np.arange(len(self)), np.diff(self._box_ends)), self._box_fields[0]

    @property
    def free(self) -> np.ndarray:
        """Bool `(n,)`, a new array: the images that a query may be about, those without a reason against it."""
        return self._skip == 0

    @property
    def eligible(self) -> np.ndarray:
        """Int64 `(k,)`: the rows of the images that a query may be about."""
        return np.flatnonzero(self.free)

    @property
    def skipped(self) -> dict[str, int]:
        """How many images are left out, by reason; each counts under the first reason found."""
        counts = np.bincount(self._skip, minlength=len(self._reasons)).tolist()
        return dict(sorted((r, n) for r, n in zip(self._reasons, counts, strict=True) if r and n))

    def keep_only(self, min_side: int, min_captions: int) -> None:
        """Leave out images whose shorter side has fewer than `min_side` pixels, or with fewer captions.

        Where the annotations give no size, it is read from the image file's header.
        """
        few: np.ndarray = np.less(np.diff(self._caption_ends), min_captions)
        self._leave_out(few, NO_CAPTIONS if min_captions == 1 else _FEW_CAPTIONS.format(min_captions))
        if min_side > 0:
            from dataengine_lib.images.decode import image_size  # here, since PIL is needed only for this

            # after the captions: only files of images that are still free are opened
            unknown = self.free & np.less_equal(self._sizes, 0).any(axis=1)
            for row in np.flatnonzero(unknown).tolist():
                self._sizes[row] = image_size(self.root / self.paths[row])
            # before the next line, for which a size of 0 would be too small
            self._leave_out(np.less_equal(self._sizes, 0).any(axis=1), NO_SIZE)
            self._leave_out(np.less(self._sizes.min(axis=1), min_side), _TOO_SMALL.format(min_side))

    def _leave_out(self, rows: np.ndarray, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._skip[rows & self.free] = self._reasons.index(reason)


def _ids(keys: np.ndarray, texts: Any) -> np.ndarray:
    """The ids `(n,)`: the keys themselves, or objects with the texts in their places."""
    if texts.null_count == len(texts):
        return keys
    ids = keys.astype(object)
    for row, text in enumerate(texts.to_pylist()):
        if text is not None:
            ids[row] = text
    return ids


def _locate_images(
    root: Path, metadata: PoolMetadata, columns: Any, row_of_key: Callable[[int], int]
) -> tuple[list[str], list[int]]:
    """Each image's path relative to the root, "" where there is no file, and the rows whose name leads outside.

    Never cached: files may come and go.
    """
    listing, names = ImageFolders(root), columns["name"].to_pylist()
    groups = columns["group"].to_pylist()
    paths: list[str] = []
    outside: list[int] = []
    for row, (name, group) in enumerate(zip(names, groups, strict=True)):
        path, reason = listing.find_or_reason(metadata.folders[group], name)
        paths.append(path)
        if reason == OUTSIDE:
            outside.append(row)
    # an id may be repeated for the same picture (a second annotation file), not for another one
    for image_id, name, group in metadata.repeated:
        row = row_of_key(id_key(image_id))
        path, _ = listing.find_or_reason(metadata.folders[group], name)
        if base_name(name) != base_name(names[row]) or (path and paths[row] and path != paths[row]):
            one, other = (shown_name(text or "?") for text in (paths[row] or names[row], path or name))
            raise DataEngineError(
                f"{root}: image id {shown_name(str(image_id))} stands for {one} and {other}; ids must be unique in an "
                "image pool"
            )
        paths[row] = paths[row] or path
    if paths and not any(paths):
        if outside:
            name = shown_name(names[outside[0]])
            raise DataEngineError(
                f"{root}: none of the {len(paths)} annotated images is there (first: {name}, which leads outside "
                "this folder); give the folder that holds the images, or write their names relative to it"
            )
        first = metadata.folders[groups[0]]
        elsewhere = _elsewhere(root, names[0])
        # suggest the first folder of that image, and images/ where it is looked for there
        where = [root / folder for folder in dict.fromkeys((first[0], *(f for f in first if f == "images")))]
        raise DataEngineError(
            f"{root}: none of the {len(paths)} annotated images is there (first: {shown_name(names[0]) or '?'}"
            f"{elsewhere}); put them in {' or '.join(map(str, where))}"
            + (", or write their folders into the file names" if elsewhere else "")
        )
    return paths, outside


def _elsewhere(root: Path, name: str) -> str:
    """Where a file of this name lies in another folder than its name says; "" where there is none."""
    found = nested_file(root, [base_name(name)]) if base_name(name) else ""
    return f", while {shown_name(found)} is there" if found else ""


def _elsewhere_warnings(root: Path, names: Any, with_file: np.ndarray) -> list[str]:
    """A sentence where some images are missing and the first of them lies in a folder that its name does not say."""
    missing = np.flatnonzero(~with_file)
    if not len(missing):
        return []
    name = names[int(missing[0])].as_py()
    found = _elsewhere(root, name)
    if not found:
        return []
    return [
        f"{root}: {len(missing):,} of {len(with_file):,} images are not where their file names say (first: "
        f"{shown_name(name)}{found}); write their folders into the file names, or move them"
    ]


def _normalised(box: list[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Pixel box x, y, width, height as corners from 0 to 1."""
    x, y, w, h = box
    return (_unit(x / width), _unit(y / height), _unit((x + w) / width), _unit((y + h) / height))


def _unit(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 3)
