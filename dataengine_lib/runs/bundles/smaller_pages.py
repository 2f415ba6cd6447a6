"""A report's pages with smaller pictures and galleries (verb `bundle --max-mb`), for a mail with a limit."""

import base64
import io
import re
from collections.abc import Iterator, Mapping

from dataengine_lib.images.decode import decode_image
from dataengine_lib.report.galleries.page import with_fewer_cards

# Pixels of the longer side and the quality of pictures, and cards of a gallery (0: all), the best first. Pictures that show
# nothing any more are of less use than few cards, so the smallest pictures come last.
_STEPS = (
    *((224, 65, 0), (160, 55, 0)),
    *((160, 55, 400), (160, 55, 200), (160, 55, 100), (160, 55, 50)),
    *((128, 50, 50), (96, 45, 50)),
)

# The base64 of a WebP file ("RIFF…") or a JPEG file, in an element or in a gallery's data: "UklGRiQAAABXRUJQVlA4…"
_PICTURE = re.compile(r"(?:UklGR|/9j/)[A-Za-z0-9+/]{100,}={0,2}")


def smaller_pages(pages: Mapping[str, str]) -> Iterator[tuple[dict[str, str], int, int]]:
    """The pages ever smaller: (texts, pixels of a picture's longer side, cards of a gallery or 0 for all of them)."""
    reduced, reduced_to = dict(pages), 0
    for side, quality, most in _STEPS:
        if side != reduced_to:
            reduced, reduced_to = _with_smaller_pictures(pages, side, quality), side
        yield (
            {name: with_fewer_cards(text, most) if most else text for name, text in reduced.items()},
            side,
            most,
        )


def _with_smaller_pictures(pages: Mapping[str, str], side: int, quality: int) -> dict[str, str]:
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
