"""Pictures inside the HTML of forms (all steps): as data, with a text for those who do not see them, and with boxes."""

import base64
import io
from collections.abc import Callable, Sequence

from PIL import Image

from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.report.names import cut_to_width
from dataengine_lib.report.tables import escaped

LARGE = 1024  # pixels of the longer side of a picture that is shown large on a click
SMALL = 96  # of one in a list
_LINE = 0.004  # thickness of a box, as a share of the picture's longer side
_TEXT = 0.05  # height of a box's name
_NAME_WIDTH = 40  # columns of a box's name
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000")


def picture(read: Callable[[], Image.Image], alt: str, most: int, boxes: Sequence[NamedBox] = ()) -> str:
    """The picture as HTML, its longer side at most `most` pixels, with `boxes` drawn on; a text where it cannot be read.

    `read` gives the image, or raises DataEngineError with the reason that is shown instead.
    """
    try:
        image = read().copy()
    except DataEngineError as error:
        return f'<div class="de-no-image">{escaped(error)}</div>'
    image.thumbnail((most, most))
    data = jpeg_data(image)
    if not boxes:
        width, height = image.size
        return f'<img src="{data}" alt="{escaped(alt)}" width="{width}" height="{height}">'
    return _with_boxes(data, image.size, alt, boxes)


def jpeg_data(image: Image.Image) -> str:
    """The image as a `data:` address, in JPEG."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _with_boxes(data: str, size: tuple[int, int], alt: str, boxes: Sequence[NamedBox]) -> str:
    """The picture as SVG: names are text of the page, in any script, and boxes stay sharp at any size."""
    width, height = size
    line, text = max(1.0, _LINE * max(size)), max(9.0, _TEXT * max(size))
    names = list(dict.fromkeys(box.name for box in boxes))
    drawn = []
    for box in boxes:
        left, top, right, bottom = box.xyxy
        colour = _COLOURS[names.index(box.name) % len(_COLOURS)]
        x, y = left * width, top * height
        name = escaped(cut_to_width(one_line(box.name), _NAME_WIDTH))
        drawn.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{(right - left) * width:.1f}" '
            f'height="{(bottom - top) * height:.1f}" fill="none" stroke="{colour}" stroke-width="{line:.1f}"/>'
            # a white edge, so that the name can be read on any picture
            f'<text x="{x + line:.1f}" y="{max(y, 0) + text:.1f}" font-size="{text:.1f}" font-family="sans-serif" '
            f'fill="{colour}" stroke="#fff" stroke-width="{text / 5:.1f}" paint-order="stroke">{name}</text>'
        )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{escaped(alt)}">'
        f'<image href="{data}" width="{width}" height="{height}"/>{"".join(drawn)}</svg>'
    )
