"""Links of a report's pages (verb `bundle`): which files they name, and what they are in a bundle."""

import html
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

# The address of a link: <a class="file" href="round1/weight.json">. Text of models and data is escaped in pages, so it
# holds no tag.
_LINK = re.compile(r'(<a\b[^<>]*?)\shref="([^"]*)"', re.IGNORECASE)


def linked_names(text: str, page: str) -> list[str]:
    """Names of the files that the page's links lead to, relative to the report's folder as `page` is; each once.

    Links to other machines, within the page and out of the folder are none.
    """
    found = (_target(html.unescape(match[2]), page) for match in _LINK.finditer(text))
    return list(dict.fromkeys(name for name in found if name))


def relinked(text: str, page: str, address: Callable[[str, str], str | None]) -> str:
    """The page with new addresses: `address(name, fragment)` is that of a file in the report's folder.

    `name` is empty for a link within the page. Where `address` gives None, and for files outside the folder, the text of
    the link stays and its address goes. Links to other machines stay as they are.
    """

    def new(match: re.Match[str]) -> str:
        given = html.unescape(match[2])
        if _is_elsewhere(given):
            return match[0]
        fragment = given.partition("#")[2]
        name = "" if given.startswith("#") else _target(given, page)
        found = None if name is None else address(name, fragment)
        if found is None:
            return f'{match[1]} title="not in this bundle"'
        return f'{match[1]} href="{html.escape(found)}"'

    return _LINK.sub(new, text)


def _is_elsewhere(address: str) -> bool:
    # https://…, mailto:…, //host/…
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//", address))


def _target(address: str, page: str) -> str | None:
    """Name of the file that a link of `page` leads to; None where it leads out of the folder, or to no file."""
    path = unquote(address.partition("#")[0].partition("?")[0])
    if not path or _is_elsewhere(address) or path.startswith("/") or "\0" in path:
        return None
    name = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    return None if name.startswith("..") or name == "." else name


def file_in(folder: Path, name: str) -> Path | None:
    """The regular file `name` of a report's folder; None where it is none, or a link that leads out of the folder."""
    path = folder / name
    try:
        inside = path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # missing, too long a name, a circle of links
        return None
    return path if inside and path.is_file() else None
