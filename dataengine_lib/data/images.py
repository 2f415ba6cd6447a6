"""Reading the images that the student looks at (steps 1 and 5)."""

import struct
import zlib
from pathlib import Path

from PIL import Image

# what PIL's decoders raise on files that are truncated, of another kind, or far too large
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, TypeError, OverflowError, struct.error, zlib.error,
              Image.DecompressionBombError)  # fmt: skip


def read_image(path: Path) -> Image.Image | str:
    """The whole image as RGB, or why it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except UNREADABLE as error:
        return f"image {path} cannot be read ({' '.join(str(error).split())[:160]})"
