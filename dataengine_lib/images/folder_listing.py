"""Step 2: finds the image files of a pool with one listing for each folder instead of 100,000 look-ups."""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from dataengine_lib.core.files import inside
from dataengine_lib.errors import DataEngineError


class ImageFolders:
    """Finds image files in folders under a root; names come from data files and are not trusted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[tuple[str, str], set[str]] = {}  # (folder, subfolder) -> file names in it

    def find(self, folders: Sequence[str], name: str) -> str:
        """The path, relative to the root, of `name` in the first of `folders` that holds it; "" when none does.

        `name` may have subfolders. Raises DataEngineError when it leads outside the folder.
        """
        # `..` is resolved in the text, as `inside` does: "link/../b.jpg" must not follow the link
        name = posixpath.normpath(name) if "/" in name else name
        # "a/b.jpg" gives "a" and "b.jpg", "b.jpg" gives "" and "b.jpg"
        below, _, base = name.rpartition("/") if "/" in name else ("", "", name)
        if name.startswith("/"):
            # for "/b.jpg", so that `inside` sees an absolute path and refuses it
            below = below or "/"
        for folder in folders if base else ():
            names = self._names.get((folder, below))
            if names is None:
                names = self._names[folder, below] = self._list(folder, below)
            if base in names:
                return f"{folder}/{name}" if folder else name
        return ""

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
