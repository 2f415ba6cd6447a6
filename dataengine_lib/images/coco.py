"""Step 2: an image pool from COCO's files, `annotations/instances_*.json`, `captions_*.json` and the image folders.

`coco_rows.py` reads the files' rows; here they become columns. Format: https://cocodataset.org/#format-data.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dataengine_lib.core.records import ImageId
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.annotation_rows import EMPTY_BOX, UNKNOWN_ID, counts_by_kind
from dataengine_lib.images.coco_rows import (
    CocoCategory,
    CocoImage,
    CocoInstances,
    read_coco_captions,
    read_coco_images,
    read_instances,
)
from dataengine_lib.images.folder_listing import ImageFolders, url_parts
from dataengine_lib.images.pool import COCO, MAX_BOXES, NO_SIZE, REASONS, TOO_MANY_BOXES, PoolMetadata

if TYPE_CHECKING:
    import pyarrow as pa


def coco_files(root: Path) -> list[Path]:
    """The annotation files of a COCO folder, compressed ones too; empty for any other folder.

    Raises DataEngineError when there are instances without captions, or captions without instances.
    """
    found: dict[str, list[Path]] = {}
    for pattern in ("instances_*.json", "captions_*.json"):
        folder = root / "annotations"
        found[pattern] = sorted([*folder.glob(pattern), *folder.glob(f"{pattern}.gz")])
    for pattern, files in found.items():
        if not files and any(found.values()):
            raise DataEngineError(
                f"{root / 'annotations'}: no {pattern} found; the folder needs annotations/ as COCO publishes it"
            )
    return [file for files in found.values() for file in files]


def coco_columns(root: Path, files: list[Path]) -> "pa.RecordBatch":
    """The pool's columns from `coco_files`. Crowd boxes and exact duplicates are dropped.

    Rows that cannot be used are left out and counted in the pool's metadata. Raises DataEngineError naming the file
    that is no such file at all.
    """
    from dataengine_lib.images.pool_columns import caption_lists, pool_columns

    images = _ImagesAndBoxes()
    # instances first: captions are kept only for their images
    for file in files:
        if file.name.startswith("instances_"):
            images.add(file, read_instances(file))
    if not images.rows and not any(left_out.counts for left_out in images.metadata.left_out):
        raise DataEngineError(
            f"{files[0]}: lists no images; give a file with images, annotations and categories, as COCO has them"
        )
    caption_rows: list[np.ndarray] = []  # the image of each of `texts`
    texts: list[str] = []
    for file in files:
        if file.name.startswith("captions_"):
            content, left_out = read_coco_captions(file)
            # captions of images that no instances file names (row -1) are left out
            rows = [images.rows.get(caption.image_id, -1) for caption in content]
            texts += [c.caption for c, row in zip(content, rows, strict=True) if row >= 0]
            caption_rows.append(np.array([row for row in rows if row >= 0], dtype=np.int64))
            unknown = next((c.image_id for c, row in zip(content, rows, strict=True) if row < 0), -1)
            left_out.add(f"caption of image {unknown}", UNKNOWN_ID, UNKNOWN_ID, rows.count(-1))
            images.metadata.left_out.append(left_out)
            del content, rows  # before the next file is read: they are large
    captions = caption_lists(np.concatenate(caption_rows), texts, len(images.rows))
    return pool_columns(images.metadata, {**images.columns(), "captions": captions})


def read_image_list(
    annotations: Path, image_root: Path, max_bad_share: float = 0.0
) -> tuple[list[tuple[ImageId, str]], dict[str, int]]:
    """`(id, path relative to image_root)` of the images that an instances file names and the folder holds (step 2).

    And how many it names that are left out, by reason. Raises DataEngineError when more than `max_bad_share` of its
    rows cannot be used.
    """
    images, left_out = read_coco_images(annotations)
    left_out.check(annotations.parent.parent, max_bad_share)
    folders = ImageFolders(Path(image_root))
    split = _split_of(annotations)
    found: list[tuple[ImageId, str]] = []
    counts = counts_by_kind([left_out])
    for image in images:
        path, reason = folders.find_or_reason(*_folders_and_name(image, split))
        if path:
            found.append((image.id, path))
        else:
            counts[reason] = counts.get(reason, 0) + 1
    return found, counts


def _split_of(file: Path) -> str:
    """`instances_train2017.json` belongs to `train2017`."""
    return file.name.partition(".")[0].partition("_")[2]


def _folders_and_name(image: CocoImage, split: str) -> tuple[list[str], str]:
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
        self.rows: dict[ImageId, int] = {}  # image id -> row
        self.metadata = PoolMetadata(kind=COCO, folders=[])
        self.names: list[str] = []
        self.groups: list[int] = []
        self.sizes: list[tuple[int, int]] = []
        self.reasons: list[np.ndarray] = []
        self.boxes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # rows, categories, pixel boxes
        self.crowds: list[tuple[np.ndarray, np.ndarray]] = []  # rows, categories

    def add(self, file: Path, content: CocoInstances) -> None:
        """Add the images of a file that no earlier file has named, with their boxes."""
        numbers = self._category_numbers(content.categories)
        before = len(self.rows)
        self._add_images(content.images, _split_of(file))

        # the annotations as arrays, one entry for each
        count = len(content.annotations)
        rows = np.fromiter((self.rows.get(a.image_id, -1) for a in content.annotations), np.int64, count)
        categories = np.fromiter(
            (numbers.get(a.category_id, -1) for a in content.annotations), np.int32, count
        )
        crowd = np.fromiter((bool(a.iscrowd) for a in content.annotations), bool, count)
        boxes = np.array(
            [(b.x, b.y, b.w, b.h) for a in content.annotations for b in (a.bbox,)], dtype=np.float64
        ).reshape(-1, 4)
        boxes += 0.0  # turns -0.0 into 0.0, which are equal but have different bytes

        # without crowds, empty boxes, repeated boxes, and images that are left out
        # (rows below `before` are images of earlier files, or -1 for an image that no file names)
        new, empty = rows >= before, ~((boxes[:, 2] > 0) & (boxes[:, 3] > 0))
        self.crowds.append((rows[new & crowd], categories[new & crowd]))
        drawn = np.flatnonzero(new & ~crowd & ~empty)
        kept = drawn[_distinct(rows[drawn], categories[drawn], boxes[drawn])]
        reasons = self._reasons(rows[kept] - before, before)
        self.reasons.append(reasons)
        # an unknown category matters only in an image that is used; its rows are counted, equal boxes too
        unknown = drawn[(categories[drawn] < 0) & (reasons[rows[drawn] - before] == 0)]
        kept = kept[(categories[kept] >= 0) & (reasons[rows[kept] - before] == 0)]
        self.boxes.append((rows[kept], categories[kept], boxes[kept]))

        left_out = content.left_out[1]
        for places, kind, reason in (
            (np.flatnonzero(rows < 0), UNKNOWN_ID, UNKNOWN_ID),
            (np.flatnonzero(new & ~crowd & empty), EMPTY_BOX, EMPTY_BOX),
            (unknown, "unknown category_id", "its category_id {} is not in `categories`; add it there"),
        ):
            for place in places[:1].tolist():
                annotation = content.annotations[place]
                where = f"an annotation of image {annotation.image_id}"
                left_out.add(where, kind, reason.format(annotation.category_id), len(places))
        self.metadata.left_out += content.left_out

    def _category_numbers(self, categories: list[CocoCategory]) -> dict[int, int]:
        """The number of each of a file's category ids in the pool's categories, which get the new names."""
        names = {category.id: one_line(category.name) for category in categories}
        # files may number their categories differently, so a category is known by its name
        self.metadata.categories |= {names[c.id]: c.supercategory or "" for c in categories}
        index = {name: number for number, name in enumerate(self.metadata.categories)}
        return {category_id: index[name] for category_id, name in names.items()}

    def _add_images(self, images: list[CocoImage], split: str) -> None:
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
        sizes = np.array(self.sizes, dtype=np.int64).reshape(-1, 2)
        rows, categories, boxes = map(np.concatenate, zip(*self.boxes, strict=True))
        crowd_rows, crowds = map(np.concatenate, zip(*self.crowds, strict=True))
        return {
            "id": list(self.rows),
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
