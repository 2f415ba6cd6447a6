"""From an image file to the pixels that a person would see: for the student (steps 1, 5), the encoder (2), reports."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from dataengine_lib.core.text import one_line

# what PIL's decoders raise on files that are truncated, of another kind, or far too large
DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, TypeError, OverflowError, struct.error, zlib.error,
                 Image.DecompressionBombError)  # fmt: skip


def read_image(path: Path) -> Image.Image | str:
    """The whole image as RGB, as a person sees it (see `as_seen`), or the reason why it cannot be read."""
    try:
        with Image.open(path) as image:
            return as_seen(image)
    except DECODE_ERRORS as error:
        return _reason(path, error)


def header_fault(path: Path) -> str:
    """Why a file is no image, judged by its header alone (the pixels are not read); empty for an image."""
    try:
        with Image.open(path):
            return ""
    except DECODE_ERRORS as error:
        return _reason(path, error)


def _reason(path: Path, error: BaseException) -> str:
    return f"image {path} cannot be read ({one_line(str(error))[:160]})"


def as_seen(image: Image.Image) -> Image.Image:
    """An opened image as RGB: its first frame, turned as its EXIF says, on white where it is transparent.

    Raises one of DECODE_ERRORS. 16-bit gray values are scaled to 8 bits; PIL's `convert` would clip them at 255.
    """
    image = _upright(image)
    # gray values of 32 or 16 bits
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        seen = Image.new("RGBA", image.size, "white")
        seen.alpha_composite(image.convert("RGBA"))
        return seen.convert("RGB")
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # outside the try: a truncated file must raise, not pass for one with unreadable EXIF
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except (*DECODE_ERRORS, KeyError):  # unreadable EXIF: the picture is taken as it is stored
        return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    top = max(65535.0, float(values.max(initial=0.0)))  # only 32-bit files go beyond 16 bits
    return Image.fromarray(np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8))
