"""Where a file of an image's name lies that was not found: for messages alone, as another file may have the same name."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

_MOST_FILES = 300_000  # names below a root that are looked at; COCO's largest folder has 118,287


def nested_file(root: Path, names: Sequence[str]) -> str:
    """The path, relative to `root`, of the first file below it with one of these names; "" where there is none.

    The folder is listed once in a process, without following links to other folders.
    """
    listed = _first_folders(str(root))
    for name in names:
        folder = listed.get(name)
        # listed earlier: the file may be gone
        if folder is not None and os.path.isfile(os.path.join(root, folder, name)):
            return f"{folder}/{name}" if folder else name
    return ""


@lru_cache(maxsize=4)
def _first_folders(root: str) -> dict[str, str]:
    """By file name: the folder, relative to `root`, in which it was found first."""
    found: dict[str, str] = {}
    for folder, below, names in os.walk(root):
        below.sort()
        relative = os.path.relpath(folder, root).replace(os.sep, "/")
        for name in names:
            found.setdefault(name, "" if relative == "." else relative)
        if len(found) >= _MOST_FILES:
            break
    return found
