"""The image pool of step 2 (and of the annotations teacher): images with captions and boxes, kept as columns.

118,287 images with 860,001 boxes are a few arrays; an image becomes an object only when it is asked for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.folder_listing import ImageFolders

MAX_BOXES = 10  # more make questions about "the person" ambiguous; the paper leaves such images out

TOO_MANY_BOXES = f"more than {MAX_BOXES} boxes"
NO_CAPTIONS = "no captions"
NO_FILE = "image file missing"
NO_SIZE = "no width and height"
TOO_SMALL = "shorter side under {} pixels"
FEW_CAPTIONS = "fewer than {} captions"
REASONS = ("", TOO_MANY_BOXES, NO_SIZE)  # those that annotations alone decide, by their code in the columns

COCO, VISUAL_GENOME, CAPTIONED_FOLDER = "COCO", "Visual Genome", "folder of images with captions"


class NamedBox(msgspec.Struct, frozen=True, gc=False):
    """One object: its category's name and `[x1, y1, x2, y2]` from 0 to 1, three decimals."""

    name: str
    xyxy: tuple[float, float, float, float]


class PoolImage(msgspec.Struct, kw_only=True):
    """One image of the pool; `path` is relative to the pool's folder; `skip` says why it gets no query, if so."""

    id: int
    path: str
    width: int = 0
    height: int = 0
    boxes: list[NamedBox] = []
    captions: list[str] = []
    skip: str = ""
    crowds: list[str] = []  # names of which there are more than `boxes` tells, boxed as a crowd


class PoolMetadata(msgspec.Struct, kw_only=True):
    """What is true of a whole pool: its kind, where its images may lie, its categories.

    `places[k]` are the folders in which an image of group k is looked for, in this order. `again` lists images that
    were named a second time: `(id, file name, group)`.
    """

    kind: str
    places: list[list[str]]
    categories: dict[str, str] = {}  # every category's supercategory, "" if unknown
    again: list[tuple[int, str, int]] = []


class ImagePool:
    """The images of a folder in id order, as `pool[row]`, `pool.find(id)` or one after the other.

    `ids` int64 `(n,)` ascending; `coco_ids` the id of the COCO photo that a Visual Genome image is, -1 for others;
    `paths` relative to `root`, "" where no file is there; `categories` every category's supercategory, "" if unknown.
    """

    def __init__(self, root: Path, facts: PoolMetadata, columns: Any) -> None:
        """`columns` is a record batch with `pool_columns.SCHEMA`, ids ascending and unique.

        Raises DataEngineError when no image file is there, a file name leads outside its folder, or one id stands
        for two images.
        """
        self.root, self.kind, self.categories = root, facts.kind, facts.categories
        self.ids: np.ndarray = columns["id"].to_numpy()
        self.coco_ids: np.ndarray = columns["coco_id"].to_numpy()
        self.paths = _located(root, facts, columns)
        self._sizes: np.ndarray = np.stack(
            [columns["width"].to_numpy(), columns["height"].to_numpy()], axis=1
        )
        self._reasons = [*REASONS, NO_FILE]
        there = np.fromiter(map(bool, self.paths), dtype=bool, count=len(self.paths))
        self._skip: np.ndarray = np.where(there, columns["reason"].to_numpy(), np.int8(len(REASONS)))
        self._names = list(facts.categories)
        boxes, crowds, captions = columns["boxes"], columns["crowds"], columns["captions"]
        self._regions, self._region_ends = columns["regions"].values, columns["regions"].offsets.to_numpy()
        self._boxes, self._box_ends = boxes.values, boxes.offsets.to_numpy()
        self._crowds, self._crowd_ends = crowds.values.to_numpy(), crowds.offsets.to_numpy()
        self._captions, self._caption_ends = captions.values, captions.offsets.to_numpy()
        self._corners = [self._boxes.field(name).to_numpy() for name in ("category", "x", "y", "w", "h")]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[PoolImage]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: int) -> PoolImage:
        width, height = self._sizes[row].tolist()
        boxes, crowds, captions = (
            slice(ends[row], ends[row + 1]) for ends in (self._box_ends, self._crowd_ends, self._caption_ends)
        )
        return PoolImage(
            id=int(self.ids[row]),
            path=self.paths[row],
            width=width,
            height=height,
            boxes=[
                NamedBox(self._names[category], _normalised(box, width, height))
                for category, *box in zip(*(values[boxes].tolist() for values in self._corners), strict=True)
            ],
            captions=self._captions[captions].to_pylist(),
            skip=self._reasons[self._skip[row]],
            crowds=[self._names[category] if category >= 0 else "" for category in self._crowds[crowds]],
        )

    def find(self, image_id: int) -> PoolImage | None:
        """The image with this id, None when there is none."""
        row = int(np.searchsorted(self.ids, image_id))
        return self[row] if row < len(self) and self.ids[row] == image_id else None

    def regions(self, image_id: int) -> list[NamedBox]:
        """The phrase, as name, and box of every region of a Visual Genome image, the largest first."""
        row = int(np.searchsorted(self.ids, image_id))
        if row >= len(self) or self.ids[row] != image_id or (self._sizes[row] <= 0).any():
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
        """Int64 `(k,)` the row of each box of the pool, int32 `(k,)` its category's place in `categories`."""
        return np.repeat(np.arange(len(self)), np.diff(self._box_ends)), self._corners[0]

    @property
    def free(self) -> np.ndarray:
        """Bool `(n,)`: the images that can carry a query, those without a reason against it."""
        return self._skip == 0

    @property
    def eligible(self) -> np.ndarray:
        """The rows of the images that can carry a query."""
        return np.flatnonzero(self.free)

    @property
    def skipped(self) -> dict[str, int]:
        """How many images are left out, by reason; each counts under the first that was found."""
        counts = np.bincount(self._skip, minlength=len(self._reasons)).tolist()
        return dict(sorted((r, n) for r, n in zip(self._reasons, counts, strict=True) if r and n))

    def keep_only(self, min_side: int, min_captions: int) -> None:
        """Leave out images whose shorter side has fewer pixels, or that have fewer captions.

        Where the annotations give no size, it is read from the image file's head.
        """
        few: np.ndarray = np.less(np.diff(self._caption_ends), min_captions)
        self._leave_out(few, NO_CAPTIONS if min_captions == 1 else FEW_CAPTIONS.format(min_captions))
        if min_side > 0:
            unknown = self.free & np.less_equal(self._sizes, 0).any(axis=1)
            for row in np.flatnonzero(unknown).tolist():
                self._sizes[row] = _size_of(self.root / self.paths[row])
            self._leave_out(np.less_equal(self._sizes, 0).any(axis=1), NO_SIZE)
            self._leave_out(np.less(self._sizes.min(axis=1), min_side), TOO_SMALL.format(min_side))

    def _leave_out(self, rows: np.ndarray, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._skip[rows & self.free] = self._reasons.index(reason)


def _located(root: Path, facts: PoolMetadata, columns: Any) -> list[str]:
    """Where every image is under the root now, "" where it is not: files may come and go, so no cache knows."""
    folders, names = ImageFolders(root), columns["name"].to_pylist()
    groups = columns["group"].to_pylist()
    paths = [folders.find(facts.places[group], name) for name, group in zip(names, groups, strict=True)]
    ids = columns["id"].to_numpy()
    for image_id, name, group in facts.again:
        row = int(np.searchsorted(ids, image_id))
        path = folders.find(facts.places[group], name)
        same_name = name.rpartition("/")[2] == names[row].rpartition("/")[2]
        if not same_name or (path and paths[row] and path != paths[row]):
            raise DataEngineError(
                f"{root}: image id {image_id} stands for {paths[row] or names[row] or '?'} and "
                f"{path or name or '?'}; ids must be unique in an image pool"
            )
        paths[row] = paths[row] or path
    if paths and not any(paths):
        first = facts.places[groups[0]]
        where = [root / place for place in dict.fromkeys((first[0], *(p for p in first if p == "images")))]
        raise DataEngineError(
            f"{root}: none of the {len(paths)} annotated images is there (first: {names[0] or '?'}); "
            f"put them in {' or '.join(map(str, where))}"
        )
    return paths


def _normalised(box: list[float], width: int, height: int) -> tuple[float, float, float, float]:
    x, y, w, h = box
    return (_unit(x / width), _unit(y / height), _unit((x + w) / width), _unit((y + h) / height))


def _unit(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 3)


def _size_of(file: Path) -> tuple[int, int]:
    """Width and height from the file's head, zeros when it cannot be read."""
    from PIL import Image

    from dataengine_lib.images.decode import DECODE_ERRORS

    try:
        with Image.open(file) as image:
            return image.size
    except DECODE_ERRORS:
        return (0, 0)
