"""Steps 0 and 1: images that a question table holds, as base64 text or as bytes, written under the image root as files."""

import ast
import base64
import binascii
import hashlib
import os
from pathlib import Path

from dataengine_lib.core.files import inside
from dataengine_lib.core.text import shown
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import base_name, coco_number
from dataengine_lib.questions.rows import RowFault, integer_text

# VLMEvalKit: an image cell of up to this length is the index of the row whose image it shares
_REFERENCE_CHARACTERS = 64
_DIGITS = 20  # of the digest that names a file
READ_FORMATS = "JPEG, PNG, GIF, WebP, BMP or TIFF"
# the first bytes of image files and the suffix of each format; WebP is in image_suffix
_MAGIC = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
)


class TableImages:
    """The images of one table by row index; only their paths are kept in memory."""

    def __init__(self, table: Path, root: Path | None) -> None:
        self._table, self._root = table, root
        self._paths: dict[str, str] = {}
        self._shared: dict[str, str] = {}
        self._faults: dict[str, RowFault] = {}

    def add(self, index: str, image: str, image_path: str) -> None:
        """Add a row's image: its base64, else the index of the row whose image it shares, else its path.

        Beside base64, the path may be COCO's name, which the file keeps.
        Raises DataEngineError when there is an image but no root to write it under.
        """
        cell = _single(image or image_path)
        if not isinstance(cell, str):
            self._faults[index] = cell
        elif not image:
            self._paths[index] = cell
        # an index such as "1234" is valid base64 too, but not of an image
        elif data := _decoded(cell):
            where = f"index {index}"
            self._paths[index] = write_image(
                self._root, self._table, self._table.stem, where, data, image_path
            )
        elif len(cell) <= _REFERENCE_CHARACTERS:
            self._shared[index] = integer_text(cell)
        else:
            reason = f"image is not the base64 of a {READ_FORMATS} file"
            self._faults[index] = ("broken image", reason)

    def path(self, index: str) -> str | RowFault:
        """A row's image relative to the root, empty where it has none; to be called when all rows are added."""
        if index in self._shared:
            other = self._shared[index]
            reason = f"image {shown(other)} is neither base64 nor the index of a row with an image"
            # the other row must have an image of its own: references are not followed further
            return self._paths.get(other) or ("broken image", reason)
        return self._faults.get(index) or self._paths.get(index, "")


def write_image(root: Path | None, table: Path, name: str, where: str, data: bytes, given: str = "") -> str:
    """Write `data` to a file in the folder `name`, unless one of the same size is there; return its path below the root.

    The file is named by the digest of the data: rows with the same picture have the same file. If `given`, the image's
    own name, is COCO's, the file has that name in a folder named by the digest. Raises DataEngineError, naming the table
    and `where` in it, when there is no root; nothing is written through a link that leads out of it.
    """
    if root is None:
        raise DataEngineError(
            f"{table}: {where}: the image is inside the table; give image_root (evaluation_image_root in "
            "post-process), a folder that the images are unpacked into"
        )
    digest = hashlib.sha256(data).hexdigest()[:_DIGITS]
    # every step knows COCO's photos by their names
    own = f"{digest}/{Path(base_name(given)).stem}" if coco_number(given) >= 0 else digest
    name = f"{name}/{own}{image_suffix(data)}"
    path = inside(root, name)
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataEngineError(
            f"{path.parent}: leads outside {root}; images are only written inside image_root"
        )
    if not (path.is_file() and os.path.getsize(path) == len(data)):
        with replacing(path) as stream:
            stream.write(data)
    return name


def _single(cell: str) -> str | RowFault:
    """A cell's only image; VLMEvalKit writes several as a Python list of texts."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell
    try:
        parts = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return "broken image", "image is a list that cannot be read"
    if len(parts) != 1:
        return "several images", f"the question has {len(parts)} images, one is needed"
    return str(parts[0])


def _decoded(cell: str) -> bytes:
    """The image file that a cell holds, empty when it holds none."""
    # "data:image/png;base64,iVBOR…"
    if cell.startswith("data:"):
        cell = cell.partition(",")[2]
    try:
        data = base64.b64decode("".join(cell.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if image_suffix(data) else b""


def image_suffix(data: bytes) -> str:
    """The suffix of an image's format by its first bytes; empty for what is none of READ_FORMATS."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC if data.startswith(magic)), "")
