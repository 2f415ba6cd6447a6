"""How records refer to their images (all steps): an id, a path or both; and the file that a reference means.

Four things that must not be confused: a reference (`ImageRef`, what a record says), an image id (int or text, -1
unknown), a path (text, relative to an image root), and pixels (`decode.py`).
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from dataengine_lib.core.files import inside, shown_name
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId, image_id_of
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.nested_files import nested_file

# folders of an image root in which a COCO image may lie, in the order in which they are tried ("": the root itself)
_COCO_FOLDERS: tuple[str, ...] = ("", "val2017", "train2017", "images", "val2014", "train2014", "test2015")
_COCO_STARTS = ("", "COCO_val2014_", "COCO_train2014_", "COCO_test2015_")  # of a file name, before the id
# a file name: "000000370270.jpg" (2017), "COCO_val2014_000000370270.jpg" (2014)
_COCO_NAME = re.compile(r"(?:COCO_[a-z]+20[0-9]{2}_)?([0-9]{12})\.[A-Za-z]+")
# an image id: "COCO_val2014_000000370270", with or without the suffix; bare digits are read by int()
_COCO_ID = re.compile(r"COCO_[a-z]+20[0-9]{2}_([0-9]{12})(?:\.[A-Za-z]+)?")


# endings that an image's file may have where only its id is known
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class ImageRef(msgspec.Struct, frozen=True):
    """What a record says about its image: an id (-1 unknown), a path (empty: unknown), or both."""

    image_id: ImageId = UNKNOWN_IMAGE
    image_path: str = ""


def image_ref(image_id: ImageId | None, image_path: str | None) -> ImageRef:
    """A reference with what is known; a missing id is taken from a COCO file name.

    An id may be such a name itself: `COCO_val2014_000000370270`. Raises ValueError for a number beyond 64 bits.
    """
    path = image_path or ""
    named = _COCO_ID.fullmatch(image_id.strip()) if isinstance(image_id, str) else None
    found = int(named[1]) if named else image_id_of(image_id)
    return ImageRef(coco_number(path) if found == UNKNOWN_IMAGE else found, path)


def coco_number(path: str) -> int:
    """The id in COCO's file name (`000000370270.jpg`, `COCO_val2014_000000370270.jpg`), -1 in any other name."""
    found = _COCO_NAME.fullmatch(base_name(path))
    return int(found[1]) if found else -1


def base_name(path: str) -> str:
    """The file name at the end of a path, whichever way it divides folders."""
    name = path.rpartition("/")[2]
    if name and name != "." and "\\" not in path:  # the usual case, ten times as fast
        return name
    return PurePosixPath(path.replace("\\", "/")).name


def image_number(path: str) -> int:
    """An id for an image that has only a path: COCO's number in its name, else 60 bits of the path's SHA-256.

    So the id stays the same when other images come or go.
    """
    number = coco_number(path)
    # 15 hexadecimal digits are 60 bits: they fit an int64 and are never negative
    return number if number >= 0 else int(hashlib.sha256(path.encode()).hexdigest()[:15], 16)


def id_key(image_id: ImageId) -> int:
    """The int64 that stands for an id in arrays: the number itself; for a text, a number below -1 made from it.

    -1 is no image. 60 bits of the text's SHA-256: among ten million texts, two share a key with a chance of 1 in 20,000.
    """
    if isinstance(image_id, int):
        return image_id
    return -2 - int(hashlib.sha256(image_id.encode()).hexdigest()[:15], 16)


def id_rank(image_id: ImageId) -> tuple[bool, int, str]:
    """Sort key of ids: numbers before texts, low before high."""
    if isinstance(image_id, str):
        return True, 0, image_id
    return False, image_id, ""


def image_file(root: Path, name: str) -> Path:
    """The file that an image path means: below `root`, its suffix in any case (`1.JPG` for `1.jpg`).

    Where no file is there, the path as it is written. Raises DataEngineError for a name that leads outside the root.
    """
    path = inside(root, name)
    if not os.path.isfile(path):
        for other in other_cases(path.name):
            if os.path.isfile(path.parent / other):
                return path.parent / other
    return path


def other_cases(name: str) -> list[str]:
    """A file name with its suffix in the other usual cases: `a.Jpg` gives `a.jpg`, `a.JPG`."""
    stem, dot, suffix = name.rpartition(".")
    cases = (suffix.lower(), suffix.upper(), suffix.capitalize())
    return [f"{stem}.{one}" for one in dict.fromkeys(cases) if one != suffix] if dot else []


def locate(ref: ImageRef, root: Path) -> str:
    """The path of a reference's image file, relative to `root`.

    The reference's own path counts if a file is there. Otherwise only COCO file names are looked for in other folders,
    because only they mean the same image everywhere. The id counts where there is no path: COCO's names for a number, a
    text as the name of a file with or without its suffix. A COCO name below another person's root (MLLM-DataEngine's
    files have such absolute paths) is looked for by its name; nothing outside `root` is ever opened. Raises
    DataEngineError when any other path leads outside the root, or when no file is there.
    """
    number = coco_number(ref.image_path) if ref.image_path else ref.image_id
    if isinstance(number, str):
        names = [number + end for end in ("", *_SUFFIXES)]
        folders, number = _COCO_FOLDERS, UNKNOWN_IMAGE
    else:
        names = [ref.image_path] if ref.image_path else []
        folders = _COCO_FOLDERS[:1]
    for folder in folders:
        for name in names:
            try:
                own = image_file(root / folder if folder else root, name)
            except DataEngineError:
                # "/home/them/coco/val2017/000000370270.jpg": only a COCO name may be looked for elsewhere
                if number < 0:
                    raise
                continue
            if os.path.isfile(own):
                return own.relative_to(root).as_posix()
    # the reference's own file name first, then that of COCO 2017, then those of 2014 and 2015, about which VQAv2 asks
    names = [base_name(ref.image_path)] if ref.image_path else []
    for name in [*names, *(f"{start}{number:012d}.jpg" for start in _COCO_STARTS)] if number >= 0 else []:
        for folder in _COCO_FOLDERS:
            for one in (name, *other_cases(name)):
                if os.path.isfile(root / folder / one):
                    return f"{folder}/{one}" if folder else one
    shown = shown_name(ref.image_path or str(ref.image_id))
    nested = nested_file(root, _file_names(ref))
    hint = f", which has {shown_name(nested)}" if nested else ""
    raise DataEngineError(f"{shown}: image not found under {root}{hint}")


def _file_names(ref: ImageRef) -> list[str]:
    """The names that the file of a reference may have, whatever its folder."""
    if ref.image_path:
        return [base_name(ref.image_path)]
    if isinstance(ref.image_id, str):
        return [base_name(ref.image_id + end) for end in ("", *_SUFFIXES)]
    return [f"{start}{ref.image_id:012d}.jpg" for start in _COCO_STARTS]


def locate_all(
    refs: list[ImageRef], find: Callable[[ImageRef], str]
) -> tuple[dict[ImageRef, str], dict[ImageRef, str]]:
    """Look for many images: the path of each reference that `find` finds, and the error message for each other one."""
    paths: dict[ImageRef, str] = {}
    missing: dict[ImageRef, str] = {}
    for ref in refs:
        try:
            paths[ref] = find(ref)
        except DataEngineError as error:
            missing[ref] = str(error)
    return paths, missing
