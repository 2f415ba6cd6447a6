"""Kinds of files that their first bytes show (all steps): packed, binary and picture files, pages, pointers."""

import re
import zipfile
from pathlib import Path

# (place of the bytes, the bytes, what such a file is); the first that fits is taken
_SIGNATURES = (
    (
        0,
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, not the file itself: run git lfs pull",
    ),
    (0, b"PAR1", "a Parquet table: save its rows as JSON lines"),
    (0, b"ARROW1", "an Arrow table: save its rows as JSON lines"),
    (0, b"\xff\xff\xff\xff", "an Arrow table: save its rows as JSON lines"),  # a stream of `datasets`
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyphei", "a HEIC image: save it as JPEG"),
    (4, b"ftyp", "a video"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\x93NUMPY", "a NumPy array (.npy)"),
    (0, b"\x89HDF\r\n", "an HDF5 file"),
    (0, b"GGUF", "a GGUF checkpoint of llama.cpp: serve it there and name the server"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"BZh", "a bzip2 archive: unpack it"),
    (0, b"\xfd7zXZ\0", "an xz archive: unpack it"),
    (0, b"(\xb5/\xfd", "a zstd archive: unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (257, b"ustar", "a tar archive: unpack it"),
    (0, b"\xd0\xcf\x11\xe0", "an old Excel or Word file: save it as .xlsx, or its table as TSV"),
    (0, b"\x7fELF", "a program"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]")  # the first opcode of a pickle of protocol 2 to 5, and the protocol
_BMP = re.compile(rb"BM.{4}\0{4}", re.DOTALL)  # the size in 4 bytes, then 4 bytes that are always zero
_SAFETENSORS = re.compile(
    rb'.{3}\0{5}\{\s*"', re.DOTALL
)  # a length below 16 MiB in 8 bytes, then a JSON object
# matches `<!DOCTYPE html>`, `<html lang="en">` and `<head>`
_PAGE = re.compile(rb"\s*(<!doctype\s+html|<html|<head|<body)", re.IGNORECASE)
# what the Hugging Face hub, S3 and GitHub send instead of a file
_SERVER_TEXTS = (
    b"Entry not found",
    b"Repository not found",
    b"Invalid username or password",
    b"Not Found",
    b"404:",
)


def binary_kind(head: bytes, file: Path | None = None) -> str:
    """What the first 512 bytes show, empty for other files; `file` is looked into where it is a zip archive."""
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(file)
    for place, sign, kind in _SIGNATURES:
        if head.startswith(sign, place):
            return kind
    if _PICKLE.match(head):
        return "a pickle, such as a .pth file (embeddings are read by import-embeddings)"
    if _BMP.match(head):
        return "a BMP image"
    if _SAFETENSORS.match(head):
        return "a safetensors checkpoint: give the model's folder"
    return ""


def _zip_kind(file: Path | None) -> str:
    try:
        with zipfile.ZipFile(file or "") as archive:
            names = archive.namelist()[:1000]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return "a zip archive that is cut off or damaged: copy or download it once more"
    if any(name.endswith("data.pkl") for name in names):
        return "a checkpoint saved by torch (.pt, .pth)"
    if "xl/workbook.xml" in names:
        return "an Excel table (.xlsx)"
    if names and all(name.endswith(".npy") for name in names):
        return "NumPy arrays (.npz)"
    return "a zip archive: unpack it"


def page_kind(head: bytes) -> str:
    """A web page or a server's error text instead of a file; empty for other texts."""
    if _PAGE.match(head):
        return "a web page, not the file itself: download it from its raw or resolve address"
    if head.lstrip().startswith(_SERVER_TEXTS):
        return "a server's error message, not the file itself: download it once more"
    if head.lstrip().startswith(b"<?xml"):
        return "an XML document"
    return ""
