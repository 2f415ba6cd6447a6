"""The image pool of step 2 (and of the annotations teacher): a COCO folder's images, boxes and captions.

The annotation files are decoded into the few fields that are needed, so the segmentation polygons, nine tenths
of `instances_train2017.json`, are never built.
"""

import os
import posixpath
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from dataengine_lib.data.files import inside, read_json
from dataengine_lib.errors import DataEngineError

MAX_BOXES = 10  # more make questions about "the person" ambiguous; the paper leaves such images out

TOO_MANY_BOXES = f"more than {MAX_BOXES} boxes"
NO_CAPTIONS = "no captions"
NO_FILE = "image file missing"
NO_SIZE = "no width and height"


class Box(msgspec.Struct, frozen=True, gc=False):
    """One object: its category's name and `[x1, y1, x2, y2]` from 0 to 1, three decimals."""

    name: str
    xyxy: tuple[float, float, float, float]


class CocoImage(msgspec.Struct, kw_only=True):
    """One image of the pool; `path` is relative to the COCO folder; `skip` says why it gets no query, if so."""

    id: int
    path: str
    width: int = 0
    height: int = 0
    boxes: list[Box] = []
    captions: list[str] = []
    skip: str = ""
    crowds: list[str] = []  # names of which there are more than `boxes` tells, boxed as a crowd


@dataclass
class CocoPool:
    """Every image of a COCO folder by id, in id order."""

    root: Path
    images: dict[int, CocoImage] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)  # every category's supercategory, "" if unknown

    @property
    def eligible(self) -> list[CocoImage]:
        """The images that can carry a query: file there, captions, at most MAX_BOXES boxes."""
        return [image for image in self.images.values() if not image.skip]

    @property
    def skipped(self) -> dict[str, int]:
        """How many images are left out, by reason."""
        counts: dict[str, int] = {}
        for image in self.images.values():
            if image.skip:
                counts[image.skip] = counts.get(image.skip, 0) + 1
        return dict(sorted(counts.items()))


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str = ""
    width: int | None = 0
    height: int | None = 0
    coco_url: str | None = ""


class _Annotation(msgspec.Struct, gc=False):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
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


def read_coco(root: Path) -> CocoPool:
    """Read a COCO-style folder: `annotations/instances_*.json`, `captions_*.json` and the image folder(s).

    Crowd boxes and exact duplicates are dropped. Raises DataEngineError when files are missing, a file name leads
    outside its folder, or one id stands for two images.
    """
    root = Path(root)
    instances = sorted((root / "annotations").glob("instances_*.json"))
    captions = sorted((root / "annotations").glob("captions_*.json"))
    for found, pattern in ((instances, "instances_*.json"), (captions, "captions_*.json")):
        if not found:
            raise DataEngineError(
                f"{root / 'annotations'}: no {pattern} found; the folder needs annotations/ as COCO publishes it"
            )
    pool = CocoPool(root)
    for file in instances:
        _add_instances(pool, file)
    for file in captions:
        _add_captions(pool, file)
    pool.images = dict(sorted(pool.images.items()))
    for image in pool.images.values():
        if not image.skip and not image.captions:
            image.skip = NO_CAPTIONS
    if pool.images and all(image.skip == NO_FILE for image in pool.images.values()):
        raise DataEngineError(
            f"{root}: none of the {len(pool.images)} annotated images is there; put them in "
            f"{root / _split_of(instances[0])} or {root / 'images'}"
        )
    return pool


def read_image_list(annotations: Path, image_root: Path) -> list[tuple[int, str]]:
    """`(id, path relative to image_root)` of the images that an instances file names and the folder holds."""
    content: _ImageList = read_json(annotations, _ImageList)
    folders = _Folders(Path(image_root), _split_of(annotations))
    found = [(image.id, folders.find(image)) for image in content.images]
    return [(image_id, path) for image_id, path in found if path]


def _split_of(file: Path) -> str:
    return file.stem.partition("_")[2]


class _Folders:
    """Finds image files under a root: the split's folder, `images/`, the root, or the folder in `coco_url`."""

    def __init__(self, root: Path, split: str) -> None:
        self.root = root
        self.places = [split, f"images/{split}", "images", ""] if split else ["images", ""]
        self.names: dict[str, set[str]] = {}

    def find(self, image: _Image) -> str:
        """The image's path relative to the root, "" when no file is there. Raises DataEngineError when it leads outside."""
        url_folder = PurePosixPath(image.coco_url or "").parent.name
        name = image.file_name or PurePosixPath(image.coco_url or "").name
        if not name:
            return ""
        name = posixpath.normpath(name)  # as `inside` reads it: a `..` never follows a link
        places = self.places if url_folder in ("", "..", *self.places) else [*self.places, url_folder]
        for place in places:
            if self._holds(place, name):
                return f"{place}/{name}" if place else name
        return ""

    def _holds(self, place: str, name: str) -> bool:
        folder = self.root / place
        if os.sep in name or "/" in name or "\\" in name or name in ("..", "."):
            return os.path.isfile(inside(folder, name))
        if place not in self.names:  # one listing instead of 100,000 look-ups
            self.names[place] = set()
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    self.names[place] = {entry.name for entry in entries if _is_own_file(folder, entry)}
        return name in self.names[place]


def _is_own_file(folder: Path, entry: os.DirEntry[str]) -> bool:
    """A plain file, or a link that stays inside the folder."""
    if entry.is_symlink():
        return entry.is_file() and (folder / entry.name).resolve().is_relative_to(folder.resolve())
    return entry.is_file()


def _add_instances(pool: CocoPool, file: Path) -> None:
    content: _Instances = read_json(file, _Instances)
    folders = _Folders(pool.root, _split_of(file))
    names = {category.id: " ".join(category.name.split()) for category in content.categories}
    pool.categories |= {names[category.id]: category.supercategory or "" for category in content.categories}
    new: dict[int, CocoImage] = {}
    for row in content.images:
        path = folders.find(row)
        known = pool.images.get(row.id) or new.get(row.id)
        if known is not None and known.path != path:
            raise DataEngineError(
                f"{file}: image id {row.id} stands for {known.path or '?'} and {path or row.file_name}; "
                "ids must be unique in a COCO folder"
            )
        if known is None:
            image = CocoImage(id=row.id, path=path, width=row.width or 0, height=row.height or 0)
            image.skip = "" if path else NO_FILE
            new[row.id] = image
    raw: dict[int, dict[tuple[int, tuple[float, ...]], None]] = {}
    for annotation in content.annotations:
        if annotation.image_id not in new:
            continue
        if annotation.iscrowd:
            new[annotation.image_id].crowds.append(names.get(annotation.category_id, ""))
        else:
            raw.setdefault(annotation.image_id, {})[annotation.category_id, annotation.bbox] = None
    for image_id, boxes in raw.items():
        image = new[image_id]
        boxes_with_area = [key for key in boxes if key[1][2] > 0 and key[1][3] > 0]
        if len(boxes_with_area) > MAX_BOXES:
            image.skip = image.skip or TOO_MANY_BOXES
        elif boxes_with_area and (image.width <= 0 or image.height <= 0):
            image.skip = image.skip or NO_SIZE
        else:
            for category, box in boxes_with_area:
                if category not in names:
                    raise DataEngineError(
                        f"{file}: an annotation of image {image_id} has category_id {category}, "
                        "which is not in `categories`; add it there"
                    )
                image.boxes.append(Box(names[category], _normalised(box, image.width, image.height)))
    pool.images.update(new)


def _normalised(box: tuple[float, ...], width: int, height: int) -> tuple[float, float, float, float]:
    x, y, w, h = box
    x1, y1, x2, y2 = x / width, y / height, (x + w) / width, (y + h) / height
    return (_unit(x1), _unit(y1), _unit(x2), _unit(y2))


def _unit(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 3)


def _add_captions(pool: CocoPool, file: Path) -> None:
    content: _Captions = read_json(file, _Captions)
    for row in content.annotations:
        image = pool.images.get(row.image_id)
        caption = " ".join(
            row.caption.split()
        )  # one line each: a caption must not look like a prompt's heading
        if image is not None and caption and caption not in image.captions:
            image.captions.append(caption)
