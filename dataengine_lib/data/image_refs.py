"""How records name their images (all steps), and where these are under an image root."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from dataengine_lib.data.files import inside
from dataengine_lib.errors import DataEngineError

COCO_FOLDERS = ("", "val2017", "train2017", "images", "val2014", "train2014")
_COCO_NAME = re.compile(r"(?:COCO_[a-z]+20[0-9]{2}_)?([0-9]{12})\.[A-Za-z]+")


class ImageRef(msgspec.Struct, frozen=True):
    """How a record names its image: an id (-1 unknown), a path (empty: unknown), or both."""

    image_id: int = -1
    image_path: str = ""


def image_ref(image_id: int | str | None, image_path: str | None) -> ImageRef:
    """A reference with whatever is known; the id is taken from COCO's file name where it is not given.

    Raises ValueError when the id is not a number.
    """
    path = image_path or ""
    number = -1 if image_id in (None, "") else int(image_id or 0)
    return ImageRef(coco_number(path) if number < 0 else number, path)


def coco_number(path: str) -> int:
    """The id in COCO's file name (`000000370270.jpg`, `COCO_val2014_000000370270.jpg`), -1 in any other name."""
    found = _COCO_NAME.fullmatch(PurePosixPath(path).name)
    return int(found[1]) if found else -1


def locate(ref: ImageRef, root: Path) -> str:
    """The image's path relative to `root`: its own path, or COCO's name for the id in COCO's folders.

    Raises DataEngineError when the path leads outside the root or no file is there.
    """
    if ref.image_path:
        if inside(root, ref.image_path).is_file():
            return Path(ref.image_path).as_posix()
        names = [Path(ref.image_path).name]
    else:
        names = []
    if ref.image_id >= 0:
        names.append(f"{ref.image_id:012d}.jpg")
    for name in names:
        for folder in COCO_FOLDERS:
            if (inside(root / folder, name)).is_file():
                return f"{folder}/{name}" if folder else name
    raise DataEngineError(
        f"{ref.image_path or ref.image_id}: image not found under {root}; check bad_case_image_root"
    )


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
