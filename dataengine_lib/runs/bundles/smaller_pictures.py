"""Smaller pictures in a report's pages (verb `bundle --max-mb`), for a mail or a repository with a limit."""

import base64
import io
import re
from collections.abc import Mapping

from dataengine_lib.images.decode import decode_image

PICTURE_SIZES = ((224, 65), (160, 55), (128, 50), (96, 45))
"""Pixels of the longer side and the quality, the best first."""
CARD_NUMBERS = (400, 200, 100, 50)
"""Cards of a gallery, where smaller pictures alone do not suffice."""

# The base64 of a WebP file ("RIFF…") or a JPEG file, in an element or in a gallery's data: "UklGRiQAAABXRUJQVlA4…"
_PICTURE = re.compile(r"(?:UklGR|/9j/)[A-Za-z0-9+/]{100,}={0,2}")


def with_smaller_pictures(pages: Mapping[str, str], side: int, quality: int) -> dict[str, str]:
    """The pages with every picture reduced to `side` pixels at most; they show it as large as before, less sharp.

    What is no picture, and what would not become smaller, stays. The same pages give the same texts.
    """
    made: dict[str, str] = {}  # the same picture is in several pages

    def smaller(match: re.Match[str]) -> str:
        if match[0] not in made:
            made[match[0]] = _smaller(match[0], side, quality)
        return made[match[0]]

    return {name: _PICTURE.sub(smaller, text) for name, text in pages.items()}


def _smaller(data: str, side: int, quality: int) -> str:
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError:  # text that only looks like it
        return data
    picture = decode_image(content)
    if isinstance(picture, str):
        return data
    picture.thumbnail((side, side))
    stream = io.BytesIO()
    picture.save(stream, "JPEG" if data.startswith("/") else "WEBP", quality=quality)
    return min(data, base64.b64encode(stream.getvalue()).decode(), key=len)
