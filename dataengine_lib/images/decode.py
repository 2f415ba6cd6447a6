"""From an image file to the pixels that a person would see: for the student (steps 1, 5), the encoder (2), reports.

The only place where image files are opened. Files come from data sets and are not trusted: only IMAGE_FORMATS are
tried, whatever a file is called, at most MAX_PIXELS are decoded, and no fault of a file ends a step.
"""

import io
import warnings
from pathlib import Path

import numpy as np

# importing a plug-in registers its format; Pillow itself does so only when it tries all of its formats
from PIL import (
    AvifImagePlugin,  # noqa: F401
    ExifTags,
    Image,
    ImageOps,
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from dataengine_lib.core.text import one_line

# Pillow knows some forty formats; EPS among them starts Ghostscript, and most others are read by code that few use.
# A camera's JPEG with several pictures (MPO) is opened as JPEG.
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
# Pixels of the largest picture that is decoded, 360 MB as RGB; cameras make up to 102 million. A file of a few
# kilobytes may claim any size.
MAX_PIXELS = 120_000_000
# Pillow's own warning from 89 million pixels on: the limit above is the one that counts
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# how files begin that stand in image folders and are no picture that is read: (start, from which byte, what it is)
_OTHERS = (
    (b"%!PS", 0, "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", 0, "an EPS file"),
    (b"%PDF", 0, "a PDF"),
    (b"ftypheic", 4, "a HEIC photo"),
    (b"ftypheix", 4, "a HEIC photo"),
    (b"ftypmif1", 4, "a HEIC photo"),
    (b"version https://git-lfs", 0, "a Git LFS pointer, not the file itself; run git lfs pull"),
    (b"<!doctype html", 0, "a web page"),
    (b"<html", 0, "a web page"),
    (b"<svg", 0, "an SVG drawing"),
    (b"<?xml", 0, "an XML file"),
    (b"8BPS", 0, "a Photoshop file"),
    (b"\x00\x00\x00\x0cjP", 0, "a JPEG 2000 file"),
    (b"DDS ", 0, "a DDS texture"),
    (b"BLP", 0, "a BLP texture"),
    (b"PK\x03\x04", 0, "a zip archive"),
    (b"\x1f\x8b", 0, "a gzip file"),
)
_UNKNOWN = "not an image file of a known kind"


def read_image(path: Path) -> Image.Image | str:
    """The whole image as RGB, as a person sees it (see `decode_image`), or why it cannot be read, with its path."""
    found = decode_image(path)
    return _reason(path, found) if isinstance(found, str) else found


def decode_image(source: Path | bytes, least_side: int | None = None) -> Image.Image | str:
    """The whole image, from its file or the file's bytes, as RGB, or the reason why it cannot be read.

    Its first frame, turned as its EXIF says, on white where it is transparent. 16-bit gray values are scaled to 8 bits;
    Pillow's `convert` would clip them at 255. With `least_side`, a JPEG may be smaller than it is, in less than half the
    time: at a half, a quarter or an eighth of its pixels a side, with no side below that number.
    """
    try:
        with _open(source) as image:
            if least_side is not None:
                image.draft(None, (least_side, least_side))  # of the formats, only JPEG does anything
            return _as_seen(image)
    except Exception as error:  # decoders of damaged files raise whatever their code runs into
        return _fault(source, error)


def header_fault(path: Path) -> str:
    """Why a file is no image, judged by its header alone (the pixels are not read); empty for an image."""
    try:
        with _open(path):
            return ""
    except Exception as error:  # as in decode_image
        return _reason(path, _fault(path, error))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels from the file's header, zeros when it cannot be read."""
    try:
        with _open(path) as image:
            return image.size
    except Exception:  # as in decode_image
        return (0, 0)


def _open(source: Path | bytes) -> Image.Image:
    """The opened image, its pixels not read yet. Raises ValueError for one of more than MAX_PIXELS."""
    image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=IMAGE_FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} that are read")
    return image


def _fault(source: Path | bytes, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its message names an object in memory, not the file
        return _UNKNOWN + _looks_like(source)
    if isinstance(error, OSError) and error.strerror:  # "No such file or directory", without the path
        return error.strerror
    return one_line(f"{type(error).__name__}: {error}")[:160]


def _looks_like(source: Path | bytes) -> str:
    """` (it looks like …)`, by how the file begins; empty where that says nothing."""
    try:
        if isinstance(source, bytes):
            start = source[:64]
        else:
            with source.open("rb") as stream:
                start = stream.read(64)
    except OSError:
        return ""
    if not start:
        return " (it is empty)"
    text = start.lstrip().lower()
    for mark, place, what in _OTHERS:
        if start[place:].startswith(mark) or (mark[:1] == b"<" and text.startswith(mark)):
            return f" (it looks like {what})"
    return ""


def _reason(path: Path, fault: str) -> str:
    return f"image {path} cannot be read ({fault})"


def _as_seen(image: Image.Image) -> Image.Image:
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
    except Exception:  # unreadable EXIF: the picture is taken as it is stored
        return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    top = max(65535.0, float(values.max(initial=0.0)))  # only 32-bit files go beyond 16 bits
    return Image.fromarray(np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8))
