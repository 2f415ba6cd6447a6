"""How records name their images (all steps), and where these are under an image root."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from dataengine_lib.core.files import inside, shown_name
from dataengine_lib.errors import DataEngineError

COCO_FOLDERS = ("", "val2017", "train2017", "images", "val2014", "train2014")
_COCO_NAME = re.compile(r"(?:COCO_[a-z]+20[0-9]{2}_)?([0-9]{12})\.[A-Za-z]+")
_COCO_ID = re.compile(r"COCO_[a-z]+20[0-9]{2}_([0-9]{12})(?:\.[A-Za-z]+)?")


class ImageRef(msgspec.Struct, frozen=True):
    """How a record names its image: an id (-1 unknown), a path (empty: unknown), or both."""

    image_id: int = -1
    image_path: str = ""


def image_ref(image_id: int | str | None, image_path: str | None) -> ImageRef:
    """A reference with whatever is known; the id is taken from COCO's file name where it is not given.

    An id may be such a name itself: `COCO_val2014_000000370270`. Raises ValueError when it is no number otherwise.
    """
    path = image_path or ""
    named = _COCO_ID.fullmatch(image_id.strip()) if isinstance(image_id, str) else None
    number = -1 if image_id in (None, "") else int(named[1] if named else image_id or 0)
    return ImageRef(coco_number(path) if number < 0 else number, path)


def coco_number(path: str) -> int:
    """The id in COCO's file name (`000000370270.jpg`, `COCO_val2014_000000370270.jpg`), -1 in any other name."""
    found = _COCO_NAME.fullmatch(PurePosixPath(path).name)
    return int(found[1]) if found else -1


def image_number(path: str) -> int:
    """An id for an image that has only a path: COCO's number in its name, else one made from the path, so that it
    stays the same when other images come or go.
    """
    number = coco_number(path)
    return number if number >= 0 else int(hashlib.sha256(path.encode()).hexdigest()[:15], 16)


def locate(ref: ImageRef, root: Path) -> str:
    """The image's path relative to `root`: its own path, else where COCO's folders hold its name.

    Only COCO's names mean the same image in every folder. Any other path stands for itself alone, whatever the id,
    and the id counts where there is no path. A COCO name below somebody else's root, as MLLM-DataEngine's files have
    it, is looked for by the name; what lies at such a path is never opened.
    Raises DataEngineError when another path leads outside the root, or when no file is there.
    """
    number = coco_number(ref.image_path) if ref.image_path else ref.image_id
    try:
        own = inside(root, ref.image_path) if ref.image_path else None
    except DataEngineError:
        if number < 0:
            raise
        own = None
    if own is not None and os.path.isfile(own):
        return own.relative_to(root).as_posix()
    names = [PurePosixPath(ref.image_path).name] if ref.image_path else []
    for name in [*names, f"{number:012d}.jpg"] if number >= 0 else []:
        for folder in COCO_FOLDERS:
            if os.path.isfile(root / folder / name):
                return f"{folder}/{name}" if folder else name
    asked = shown_name(ref.image_path) or str(ref.image_id)
    raise DataEngineError(f"{asked}: image not found under {root}; check bad_case_image_root")


def locate_all(
    refs: list[ImageRef], find: Callable[[ImageRef], str]
) -> tuple[dict[ImageRef, str], dict[ImageRef, str]]:
    """(path of every reference that `find` finds, reason for every other one)."""
    found: dict[ImageRef, str] = {}
    missing: dict[ImageRef, str] = {}
    for ref in refs:
        try:
            found[ref] = find(ref)
        except DataEngineError as error:
            missing[ref] = str(error)
    return found, missing
