"""Reading the images that the student looks at (steps 1 and 5)."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

# what PIL's decoders raise on files that are truncated, of another kind, or far too large
DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, TypeError, OverflowError, struct.error, zlib.error,
              Image.DecompressionBombError)  # fmt: skip


def read_image(path: Path) -> Image.Image | str:
    """The whole image as a person sees it, as RGB (see `as_seen`), or why it cannot be read."""
    try:
        with Image.open(path) as image:
            return as_seen(image)
    except DECODE_ERRORS as error:
        return f"image {path} cannot be read ({' '.join(str(error).split())[:160]})"


def header_fault(path: Path) -> str:
    """Why a file is no image by its header, which is all that is read; empty where it is one."""
    try:
        with Image.open(path):
            return ""
    except DECODE_ERRORS as error:
        return f"image {path} cannot be read ({' '.join(str(error).split())[:160]})"


def as_seen(image: Image.Image) -> Image.Image:
    """An opened image as RGB: first frame, turned as its EXIF says, on white where it is transparent.

    Raises one of DECODE_ERRORS. Gray values of 16 bits are brought to 8 by size, which `convert` would clip.
    """
    image = _upright(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        seen = Image.new("RGBA", image.size, "white")
        seen.alpha_composite(image.convert("RGBA"))
        return seen.convert("RGB")
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # a truncated file must fail here, where no one takes it for a fault in its EXIF
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except (*DECODE_ERRORS, KeyError):  # EXIF that cannot be read says nothing of how the picture is turned
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    top = max(65535.0, float(values.max(initial=0.0)))  # only 32-bit files go beyond 16 bits
    return Image.fromarray(np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8))
