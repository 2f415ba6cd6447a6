"""Where the image files of a pool lie (step 2): one listing a folder instead of 100,000 look-ups."""

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
        self._names: dict[tuple[str, str], set[str]] = {}

    def find(self, places: Sequence[str], name: str) -> str:
        """The path relative to the root of `name` in the first place that holds it, "" when none does.

        Raises DataEngineError when the name leads outside the place.
        """
        name = (
            posixpath.normpath(name) if "/" in name else name
        )  # as `inside` reads it: no `..` follows a link
        below, _, base = name.rpartition("/") if "/" in name else ("", "", name)
        if name.startswith("/"):
            below = below or "/"
        for place in places if base else ():
            names = self._names.get((place, below))
            if names is None:
                names = self._names[place, below] = self._listing(place, below)
            if base in names:
                return f"{place}/{name}" if place else name
        return ""

    def _listing(self, place: str, below: str) -> set[str]:
        top = self.root / place
        folder = inside(top, below) if below else top
        try:
            with os.scandir(folder) as entries:
                # a link is followed, as by `inside`: a hub's cache holds nothing else
                return {entry.name for entry in entries if entry.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            raise DataEngineError(
                f"{folder}: cannot be listed ({error.strerror}); check its permissions"
            ) from error


def url_parts(url: str) -> tuple[str, str]:
    """The last folder and the file name in an address, "" for a folder that could lead elsewhere."""
    rest, _, name = url.rpartition("/")
    folder = rest.rpartition("/")[2]
    return ("" if folder in (".", "..") or "\\" in folder else folder), name
