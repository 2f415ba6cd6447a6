"""The image pool of step 2 (and of the annotations teacher): images with captions and boxes, kept as columns.

COCO's 118,287 images with 860,001 boxes are a few arrays; an image becomes an object only on access.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.folder_listing import ImageFolders

MAX_BOXES = 10  # with more, "the person" is ambiguous; the paper (MLLM-DataEngine) leaves such images out

# reasons why an image gets no query, as reports show them
TOO_MANY_BOXES = f"more than {MAX_BOXES} boxes"
NO_CAPTIONS = "no captions"
NO_FILE = "image file missing"
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

    id: int
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
    annotations that name a known id with another file name or group: `(id, file name, group)`.
    """

    kind: str
    folders: list[list[str]]
    categories: dict[str, str] = {}  # category -> supercategory, "" if unknown
    repeated: list[tuple[int, str, int]] = []


class ImagePool:
    """The images of a folder in id order, as `pool[row]`, `pool.find(id)` or by iteration.

    `ids` int64 `(n,)` ascending; `coco_ids` int64 `(n,)` the id of the COCO photo that a Visual Genome image is, -1 for
    others; `paths` relative to `root`, "" where no file is there; `categories` maps each to its supercategory, "" if
    unknown.
    """

    def __init__(self, root: Path, metadata: PoolMetadata, columns: Any) -> None:
        """`columns` is a record batch with `pool_columns.SCHEMA`, ids ascending and unique.

        Raises DataEngineError when no image file is there, a file name leads outside its folder, or one id stands
        for two images.
        """
        self.root, self.kind, self.categories = root, metadata.kind, metadata.categories
        self.ids: np.ndarray = columns["id"].to_numpy()
        self.coco_ids: np.ndarray = columns["coco_id"].to_numpy()
        self.paths = _locate_images(root, metadata, columns)
        self._sizes: np.ndarray = np.stack(
            [columns["width"].to_numpy(), columns["height"].to_numpy()], axis=1
        )
        self._reasons = [*REASONS, NO_FILE]
        with_file = np.fromiter(map(bool, self.paths), dtype=bool, count=len(self.paths))
        # int8 (n,): the place of each image's reason in self._reasons, 0 for an image that may be used
        self._skip: np.ndarray = np.where(with_file, columns["reason"].to_numpy(), np.int8(len(REASONS)))
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
                for category, *box in zip(
                    *(values[boxes].tolist() for values in self._box_fields), strict=True
                )
            ],
            captions=self._captions[captions].to_pylist(),
            skip=self._reasons[self._skip[row]],
            crowds=[self._names[category] if category >= 0 else "" for category in self._crowds[crowds]],
        )

    def find(self, image_id: int) -> PoolImage | None:
        """The image with this id, None if the pool has none."""
        row = int(np.searchsorted(self.ids, image_id))
        return self[row] if row < len(self) and self.ids[row] == image_id else None

    def regions(self, image_id: int) -> list[NamedBox]:
        """A Visual Genome image's regions, the largest first, as boxes with the phrase for a name; else empty."""
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


def _locate_images(root: Path, metadata: PoolMetadata, columns: Any) -> list[str]:
    """Each image's path relative to the root, "" where there is no file. Never cached: files may come and go."""
    listing, names = ImageFolders(root), columns["name"].to_pylist()
    groups = columns["group"].to_pylist()
    paths = [listing.find(metadata.folders[group], name) for name, group in zip(names, groups, strict=True)]
    ids = columns["id"].to_numpy()
    # an id may be repeated for the same picture (a second annotation file), not for another one
    for image_id, name, group in metadata.repeated:
        row = int(np.searchsorted(ids, image_id))
        path = listing.find(metadata.folders[group], name)
        same_name = name.rpartition("/")[2] == names[row].rpartition("/")[2]
        if not same_name or (path and paths[row] and path != paths[row]):
            raise DataEngineError(
                f"{root}: image id {image_id} stands for {paths[row] or names[row] or '?'} and "
                f"{path or name or '?'}; ids must be unique in an image pool"
            )
        paths[row] = paths[row] or path
    if paths and not any(paths):
        first = metadata.folders[groups[0]]
        # suggest the first folder of that image, and images/ where it is looked for there
        where = [root / folder for folder in dict.fromkeys((first[0], *(f for f in first if f == "images")))]
        raise DataEngineError(
            f"{root}: none of the {len(paths)} annotated images is there (first: {names[0] or '?'}); "
            f"put them in {' or '.join(map(str, where))}"
        )
    return paths


def _normalised(box: list[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Pixel box x, y, width, height as corners from 0 to 1."""
    x, y, w, h = box
    return (_unit(x / width), _unit(y / height), _unit((x + w) / width), _unit((y + h) / height))


def _unit(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 3)
