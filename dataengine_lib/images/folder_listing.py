"""Step 2: finds the image files of a pool with one listing for each folder instead of 100,000 look-ups."""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from dataengine_lib.core.files import inside
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import coco_number, other_cases

# reasons why an image gets no query, as reports show them
NO_FILE = "image file missing"
OUTSIDE = "file name leads outside the image folder"


class ImageFolders:
    """Finds image files in folders under a root; names come from data files and are not trusted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[tuple[str, str], set[str]] = {}  # (folder, subfolder) -> file names in it

    def find(self, folders: Sequence[str], name: str) -> str:
        """The path, relative to the root, of `name` in the first of `folders` that holds it; "" when none does.

        `name` may have subfolders, divided by `/` or as Windows does, and its suffix may be written in another case. An
        absolute name counts below the root, and a COCO file name below another root as that name. Raises
        DataEngineError when it leads outside.
        """
        plain = name.replace("\\", "/") if "\\" in name else name
        if not plain.rpartition("/")[2]:
            return ""
        # `..` is resolved in the text, as `inside` does: "link/../b.jpg" must not follow the link
        plain = posixpath.normpath(plain) if "/" in plain else plain
        if plain.startswith("/") or plain[1:3] == ":/":
            try:
                folders, plain = ("",), inside(self.root, plain).relative_to(self.root).as_posix()
            except DataEngineError:
                # another person's folder: COCO's names mean the same image everywhere
                if coco_number(plain) < 0:
                    raise
                plain = plain.rpartition("/")[2]
        for one in (plain, name) if plain != name else (plain,):
            if found := self._in_folders(folders, one):
                return found
        return ""

    def find_or_reason(self, folders: Sequence[str], name: str) -> tuple[str, str]:
        """As `find`, and why there is no path: NO_FILE, or OUTSIDE for a name that leads outside the root."""
        try:
            path = self.find(folders, name)
        except DataEngineError:
            return "", OUTSIDE
        return path, "" if path else NO_FILE

    def _in_folders(self, folders: Sequence[str], name: str) -> str:
        below, _, base = name.rpartition("/")
        listed = [(folder, self._listed(folder, below)) for folder in folders]
        for folder, names in listed:
            if base in names:
                return f"{folder}/{name}" if folder else name
        for other in other_cases(base):
            for folder, names in listed:
                if other in names:
                    return "/".join(part for part in (folder, below, other) if part)
        return ""

    def _listed(self, folder: str, below: str) -> set[str]:
        names = self._names.get((folder, below))
        if names is None:
            names = self._names[folder, below] = self._list(folder, below)
        return names

    def _list(self, folder: str, below: str) -> set[str]:
        top = self.root / folder
        directory = inside(top, below) if below else top
        try:
            with os.scandir(directory) as entries:
                # links to files count: the snapshot folders of a Hugging Face cache hold nothing else
                return {entry.name for entry in entries if entry.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            raise DataEngineError(
                f"{directory}: cannot be listed ({error.strerror}); check its permissions"
            ) from error


def url_parts(url: str) -> tuple[str, str]:
    """The last folder and the file name in a URL: `http://x/VG_100K/2.jpg` gives `("VG_100K", "2.jpg")`.

    The folder is "" where it could lead elsewhere (`..`, a backslash).
    """
    rest, _, name = url.rpartition("/")
    folder = rest.rpartition("/")[2]
    return ("" if folder in (".", "..") or "\\" in folder else folder), name
