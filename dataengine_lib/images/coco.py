"""Step 2: an image pool from COCO's files, `annotations/instances_*.json`, `captions_*.json` and the image folders.

Only the fields needed are decoded: the segmentation polygons, nine tenths of `instances_train2017.json`, never
become Python objects. Format: https://cocodataset.org/#format-data.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from dataengine_lib.core.files import read_json
from dataengine_lib.core.text import one_line
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


# [x, y, width, height] in pixels; with more numbers it is not COCO's format, and an error
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
    """The annotation files of a COCO folder, empty for any other folder.

    Raises DataEngineError when there are instances without captions, or captions without instances.
    """
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

    images = _ImagesAndBoxes()
    # instances first: captions are kept only for their images
    for file in files:
        if file.name.startswith("instances_"):
            images.add(file, read_json(file, _Instances))
    caption_rows: list[np.ndarray] = []  # the image of each of `texts`
    texts: list[str] = []
    for file in files:
        if file.name.startswith("captions_"):
            content: _Captions = read_json(file, _Captions)
            # captions of images that no instances file names (row -1) are left out
            rows = [images.rows.get(caption.image_id, -1) for caption in content.annotations]
            texts += [c.caption for c, row in zip(content.annotations, rows, strict=True) if row >= 0]
            caption_rows.append(np.array([row for row in rows if row >= 0], dtype=np.int64))
            del content, rows  # before the next file is read: they are large
    captions = caption_lists(np.concatenate(caption_rows), texts, len(images.rows))
    return pool_columns(images.metadata, {**images.columns(), "captions": captions})


def read_image_list(annotations: Path, image_root: Path) -> list[tuple[int, str]]:
    """`(id, path relative to image_root)` of the images that an instances file names and the folder holds (step 2)."""
    content: _ImageList = read_json(annotations, _ImageList)
    folders = ImageFolders(Path(image_root))
    split = _split_of(annotations)
    found = [(image.id, folders.find(*_folders_and_name(image, split))) for image in content.images]
    return [(image_id, path) for image_id, path in found if path]


def _split_of(file: Path) -> str:
    """`instances_train2017.json` belongs to `train2017`."""
    return file.stem.partition("_")[2]


def _folders_and_name(image: _Image, split: str) -> tuple[list[str], str]:
    """The folders in which an image may lie, and its file name.

    In this order: the split's folder, the same below `images/`, `images/`, the root, the folder in `coco_url`.
    """
    url_folder, url_name = url_parts(image.coco_url or "")
    folders = [split, f"images/{split}", "images", ""] if split else ["images", ""]
    if url_folder and url_folder not in folders:
        folders.append(url_folder)
    return folders, image.file_name or url_name


class _ImagesAndBoxes:
    """Collects images and boxes over several instances files; an image belongs to the first file that names it.

    In the arrays of rows, `rows[i]` is the image of box i.
    """

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}  # image id -> row
        self.metadata = PoolMetadata(kind=COCO, folders=[])
        self.names: list[str] = []
        self.groups: list[int] = []
        self.sizes: list[tuple[int, int]] = []
        self.reasons: list[np.ndarray] = []
        self.boxes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # rows, categories, pixel boxes
        self.crowds: list[tuple[np.ndarray, np.ndarray]] = []  # rows, categories

    def add(self, file: Path, content: _Instances) -> None:
        """Add the images of a file that no earlier file has named, with their boxes."""
        names = {category.id: one_line(category.name) for category in content.categories}
        # files may number their categories differently, so a category is known by its name
        self.metadata.categories |= {names[c.id]: c.supercategory or "" for c in content.categories}
        index = {name: number for number, name in enumerate(self.metadata.categories)}
        numbers = {category_id: index[name] for category_id, name in names.items()}
        before = len(self.rows)
        self._add_images(content.images, _split_of(file))

        # the annotations as arrays, one entry for each
        count = len(content.annotations)
        rows = np.fromiter((self.rows.get(a.image_id, -1) for a in content.annotations), np.int64, count)
        categories = np.fromiter(
            (numbers.get(a.category_id, -1) for a in content.annotations), np.int32, count
        )
        crowd = np.fromiter((bool(a.iscrowd) for a in content.annotations), bool, count)
        boxes = np.array([(b.x, b.y, b.w, b.h) for a in content.annotations for b in (a.bbox,)]).reshape(
            -1, 4
        )
        boxes += 0.0  # turns -0.0 into 0.0, which are equal but have different bytes

        # without crowds, empty boxes, repeated boxes, and images that are left out
        # (rows below `before` are images of earlier files, or -1 for an image that no file names)
        new = rows >= before
        self.crowds.append((rows[new & crowd], categories[new & crowd]))
        kept = np.flatnonzero(new & ~crowd & (boxes[:, 2] > 0) & (boxes[:, 3] > 0))
        kept = kept[_distinct(rows[kept], categories[kept], boxes[kept])]
        reasons = self._reasons(rows[kept] - before, before)
        self.reasons.append(reasons)
        kept = kept[reasons[rows[kept] - before] == 0]
        # checked only now: an unknown category matters only where its box is kept
        for place in kept[categories[kept] < 0][:1]:
            annotation = content.annotations[place]
            raise DataEngineError(
                f"{file}: an annotation of image {annotation.image_id} has category_id {annotation.category_id}, "
                "which is not in `categories`; add it there"
            )
        self.boxes.append((rows[kept], categories[kept], boxes[kept]))

    def _add_images(self, images: list[_Image], split: str) -> None:
        groups = {tuple(folders): number for number, folders in enumerate(self.metadata.folders)}
        for image in images:
            folders, name = _folders_and_name(image, split)
            group = groups.setdefault(tuple(folders), len(groups))
            known = self.rows.get(image.id)
            if known is None:
                self.rows[image.id] = len(self.rows)
                self.names.append(name)
                self.groups.append(group)
                self.sizes.append((image.width or 0, image.height or 0))
            # named again in another place; whether both are the same file is known when the pool is opened
            elif (self.names[known], self.groups[known]) != (name, group):
                self.metadata.repeated.append((image.id, name, group))
        self.metadata.folders = [list(folders) for folders in groups]

    def _reasons(self, rows: np.ndarray, before: int) -> np.ndarray:
        """Int8: for each image from row `before` on, why its boxes rule it out, as a place in REASONS (0: they do not).

        `rows` is the image of each box, counted from `before`.
        """
        sizes = np.array(self.sizes[before:], dtype=np.int64).reshape(-1, 2)
        counts = np.bincount(rows, minlength=len(sizes))
        reasons = np.zeros(len(sizes), dtype=np.int8)
        # the second line wins: an image with too many boxes is out whatever its size
        reasons[(counts > 0) & (sizes <= 0).any(axis=1)] = REASONS.index(NO_SIZE)
        reasons[counts > MAX_BOXES] = REASONS.index(TOO_MANY_BOXES)
        return reasons

    def columns(self) -> dict[str, object]:
        """All columns of the pool except the captions."""
        import pyarrow as pa

        from dataengine_lib.images.pool_columns import box_lists, list_column

        count = len(self.rows)
        ids = np.fromiter(self.rows, np.int64, count)
        sizes = np.array(self.sizes, dtype=np.int64).reshape(-1, 2)
        rows, categories, boxes = map(np.concatenate, zip(*self.boxes, strict=True))
        crowd_rows, crowds = map(np.concatenate, zip(*self.crowds, strict=True))
        return {
            "id": ids,
            "name": self.names,
            "group": self.groups,
            "width": sizes[:, 0],
            "height": sizes[:, 1],
            "coco_id": np.full(count, -1),
            "reason": np.concatenate(self.reasons),
            "boxes": box_lists(rows, categories, boxes, count),
            "crowds": list_column(crowd_rows, pa.array(crowds), count),
            "regions": [[]] * count,
        }


def _distinct(rows: np.ndarray, categories: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The places, ascending, of the boxes without exact repetitions: same image, category and `(k, 4)` corners."""
    import pyarrow as pa

    # Arrow groups by six columns in half the time of np.unique(axis=0)
    values = [rows, categories, *boxes.T.copy(), np.arange(len(rows))]
    names = ["image", "category", "x", "y", "w", "h"]
    table = pa.table(values, [*names, "place"])
    first = table.group_by(names, use_threads=False).aggregate([("place", "min")])["place_min"]
    return np.sort(first.to_numpy())
