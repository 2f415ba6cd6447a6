"""The images that step 2 must find or avoid: those of the bad cases and of the evaluation questions."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.data.files import inside, read_json
from dataengine_lib.errors import DataEngineError

COCO_FOLDERS = ("", "val2017", "train2017", "images", "val2014", "train2014")


class ImageRef(msgspec.Struct, frozen=True):
    """How a record names its image: an id (-1 unknown), a path (empty: unknown), or both."""

    image_id: int = -1
    image_path: str = ""


class _Row(msgspec.Struct):
    image_id: int | str | None = None
    image_path: str | None = None


def image_ref(image_id: int | str | None, image_path: str | None) -> ImageRef:
    """A reference with whatever is known; the id is taken from COCO's file name where it is not given."""
    path = image_path or ""
    number = -1 if image_id in (None, "") else int(image_id or 0)
    if number < 0 and (digits := re.search(r"(\d{1,18})\.\w+$", path)):
        number = int(digits[1])
    return ImageRef(number, path)


def read_image_refs(file: Path) -> list[ImageRef]:
    """The images of a questions file: a list of records or `{type: [record]}`, in order, each once."""
    content: Any = read_json(file, list[_Row] | dict[str, list[_Row]])
    rows = content if isinstance(content, list) else [row for part in content.values() for row in part]
    try:
        return list(dict.fromkeys(image_ref(row.image_id, row.image_path) for row in rows))
    except ValueError as error:
        raise DataEngineError(f"{file}: an image_id is not a number ({error}); mend that row") from error


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
