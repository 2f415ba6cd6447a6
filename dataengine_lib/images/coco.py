"""The image pool of step 2 from COCO's files: `annotations/instances_*.json`, `captions_*.json`, image folders.

They are decoded into the few fields that are needed, so the segmentation polygons, nine tenths of
`instances_train2017.json`, are never built.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.folder_listing import ImageFolders, url_parts
from dataengine_lib.images.pool import COCO, MAX_BOXES, NO_SIZE, REASONS, TOO_MANY_BOXES, PoolMetadata

if TYPE_CHECKING:
    import pyarrow as pa


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str = ""
    width: int | None = 0
    height: int | None = 0
    coco_url: str | None = ""


class _Box(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    x: float
    y: float
    w: float
    h: float


class _Annotation(msgspec.Struct, gc=False):
    image_id: int
    category_id: int
    bbox: _Box
    iscrowd: int | None = 0


class _Category(msgspec.Struct):
    id: int
    name: str
    supercategory: str | None = ""


class _Instances(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation] = []
    categories: list[_Category] = []


class _ImageList(msgspec.Struct):
    images: list[_Image]


class _Caption(msgspec.Struct, gc=False):
    image_id: int
    caption: str


class _Captions(msgspec.Struct):
    annotations: list[_Caption]


def coco_files(root: Path) -> list[Path]:
    """The annotation files of a COCO folder, empty when it is none. Raises DataEngineError when half is missing."""
    patterns = ("instances_*.json", "captions_*.json")
    found = {pattern: sorted((root / "annotations").glob(pattern)) for pattern in patterns}
    for pattern, files in found.items():
        if not files and any(found.values()):
            raise DataEngineError(
                f"{root / 'annotations'}: no {pattern} found; the folder needs annotations/ as COCO publishes it"
            )
    return [file for files in found.values() for file in files]


def coco_columns(root: Path, files: list[Path]) -> "pa.RecordBatch":
    """The pool's columns from `coco_files`. Crowd boxes and exact duplicates are dropped.

    Raises DataEngineError naming the file and row when one is malformed or has an unknown category.
    """
    from dataengine_lib.images.pool_columns import caption_lists, pool_columns

    images = _Images()
    for file in files:
        if file.name.startswith("instances_"):
            images.add(file, read_json(file, _Instances))
    rows: list[np.ndarray] = []
    texts: list[str] = []
    for file in files:
        if file.name.startswith("captions_"):
            content: _Captions = read_json(file, _Captions)
            of = [images.rows.get(row.image_id, -1) for row in content.annotations]
            texts += [row.caption for row, image in zip(content.annotations, of, strict=True) if image >= 0]
            rows.append(np.array([image for image in of if image >= 0], dtype=np.int64))
            del content, of
    captions = caption_lists(np.concatenate(rows), texts, len(images.rows))
    return pool_columns(images.facts, {**images.columns(), "captions": captions})


def read_image_list(annotations: Path, image_root: Path) -> list[tuple[int, str]]:
    """`(id, path relative to image_root)` of the images that an instances file names and the folder holds."""
    content: _ImageList = read_json(annotations, _ImageList)
    folders = ImageFolders(Path(image_root))
    split = _split_of(annotations)
    found = [(image.id, folders.find(*_where(image, split))) for image in content.images]
    return [(image_id, path) for image_id, path in found if path]


def _split_of(file: Path) -> str:
    return file.stem.partition("_")[2]


def _where(image: _Image, split: str) -> tuple[list[str], str]:
    """Folders to look in, and the file's name: the split's folder, `images/`, the root, or the folder in `coco_url`."""
    url_folder, url_name = url_parts(image.coco_url or "")
    places = [split, f"images/{split}", "images", ""] if split else ["images", ""]
    if url_folder and url_folder not in places:
        places.append(url_folder)
    return places, image.file_name or url_name


class _Images:
    """Gathers images and boxes over several instances files; an image belongs to the first that names it."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}  # by id
        self.facts = PoolMetadata(kind=COCO, places=[])
        self.names: list[str] = []
        self.groups: list[int] = []
        self.sizes: list[tuple[int, int]] = []
        self.reasons: list[np.ndarray] = []
        self.boxes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.crowds: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, file: Path, content: _Instances) -> None:
        """Add what a file says of images that no file before has named."""
        names = {category.id: " ".join(category.name.split()) for category in content.categories}
        self.facts.categories |= {names[c.id]: c.supercategory or "" for c in content.categories}
        index = {name: number for number, name in enumerate(self.facts.categories)}
        numbers = {category_id: index[name] for category_id, name in names.items()}
        before = len(self.rows)
        self._add_images(content.images, _split_of(file))
        count = len(content.annotations)
        of = np.fromiter((self.rows.get(a.image_id, -1) for a in content.annotations), np.int64, count)
        categories = np.fromiter(
            (numbers.get(a.category_id, -1) for a in content.annotations), np.int32, count
        )
        crowd = np.fromiter((bool(a.iscrowd) for a in content.annotations), bool, count)
        boxes = np.array([(b.x, b.y, b.w, b.h) for a in content.annotations for b in (a.bbox,)]).reshape(
            -1, 4
        )
        boxes += 0.0  # no minus zero
        mine = of >= before
        self.crowds.append((of[mine & crowd], categories[mine & crowd]))
        kept = np.flatnonzero(mine & ~crowd & (boxes[:, 2] > 0) & (boxes[:, 3] > 0))
        kept = kept[_distinct(of[kept], categories[kept], boxes[kept])]
        reasons = self._reasons(of[kept] - before, before)
        self.reasons.append(reasons)
        kept = kept[reasons[of[kept] - before] == 0]
        for place in kept[categories[kept] < 0][:1]:
            row = content.annotations[place]
            raise DataEngineError(
                f"{file}: an annotation of image {row.image_id} has category_id {row.category_id}, "
                "which is not in `categories`; add it there"
            )
        self.boxes.append((of[kept], categories[kept], boxes[kept]))

    def _add_images(self, images: list[_Image], split: str) -> None:
        groups = {tuple(places): number for number, places in enumerate(self.facts.places)}
        for image in images:
            places, name = _where(image, split)
            group = groups.setdefault(tuple(places), len(groups))
            known = self.rows.get(image.id)
            if known is None:
                self.rows[image.id] = len(self.rows)
                self.names.append(name)
                self.groups.append(group)
                self.sizes.append((image.width or 0, image.height or 0))
            elif (self.names[known], self.groups[known]) != (name, group):
                self.facts.again.append((image.id, name, group))
        self.facts.places = [list(places) for places in groups]

    def _reasons(self, of: np.ndarray, before: int) -> np.ndarray:
        """Of the images from row `before` on: the code of what their boxes say against them."""
        sizes = np.array(self.sizes[before:], dtype=np.int64).reshape(-1, 2)
        counts = np.bincount(of, minlength=len(sizes))
        reasons = np.zeros(len(sizes), dtype=np.int8)
        reasons[(counts > 0) & (sizes <= 0).any(axis=1)] = REASONS.index(NO_SIZE)
        reasons[counts > MAX_BOXES] = REASONS.index(TOO_MANY_BOXES)
        return reasons

    def columns(self) -> dict[str, object]:
        """All columns of the pool but the captions."""
        import pyarrow as pa

        from dataengine_lib.images.pool_columns import box_lists, grouped

        count = len(self.rows)
        ids = np.fromiter(self.rows, np.int64, count)
        sizes = np.array(self.sizes, dtype=np.int64).reshape(-1, 2)
        of, categories, boxes = map(np.concatenate, zip(*self.boxes, strict=True))
        crowds_of, crowds = map(np.concatenate, zip(*self.crowds, strict=True))
        return {
            "id": ids,
            "name": self.names,
            "group": self.groups,
            "width": sizes[:, 0],
            "height": sizes[:, 1],
            "coco_id": np.full(count, -1),
            "reason": np.concatenate(self.reasons),
            "boxes": box_lists(of, categories, boxes, count),
            "crowds": grouped(crowds_of, pa.array(crowds), count),
            "regions": [[]] * count,
        }


def _distinct(of: np.ndarray, categories: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The places, ascending, at which a box of one image and category stands for the first time."""
    import pyarrow as pa

    values = [of, categories, *boxes.T.copy(), np.arange(len(of))]
    names = ["image", "category", "x", "y", "w", "h"]
    table = pa.table(values, [*names, "place"])
    first = table.group_by(names, use_threads=False).aggregate([("place", "min")])["place_min"]
    return np.sort(first.to_numpy())
