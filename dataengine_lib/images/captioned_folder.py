"""Step 2: an image pool from a plain folder of images with captions, no boxes.

Either `metadata.jsonl` or `metadata.csv` as Hugging Face's imagefolder reads it (in the folder or in one below:
https://huggingface.co/docs/datasets/image_dataset), or `captions.json`: `{file name: caption or [captions]}`.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from dataengine_lib.core.file_content import open_content
from dataengine_lib.core.files import read_json, shown_name
from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.core.records import ImageId
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.annotation_rows import LeftOutRows, SidePixels, readable_rows
from dataengine_lib.images.pool import CAPTIONED_FOLDER, PoolMetadata
from dataengine_lib.images.references import image_number

if TYPE_CHECKING:
    import pyarrow as pa

_CAPTIONS_FILE = "captions.json"
_METADATA_FILES = ("metadata.jsonl", "metadata.csv")

_Text = str | list[str] | None


class _Row(msgspec.Struct):
    file_name: str
    text: _Text = None
    caption: _Text = None
    captions: _Text = None
    width: SidePixels | None = 0
    height: SidePixels | None = 0

    @property
    def texts(self) -> list[str]:
        """All captions of the row, whichever field holds them."""
        found = (self.text, self.caption, self.captions)
        return [text for part in found if part for text in ([part] if isinstance(part, str) else part)]


def captioned_folder_files(root: Path) -> list[Path]:
    """The file or files with the captions, empty when there are none."""
    # the first pattern with files counts; only metadata files may lie in several folders
    for pattern in (_CAPTIONS_FILE, *_METADATA_FILES, *(f"*/{name}" for name in _METADATA_FILES)):
        # not in .ipynb_checkpoints and the like
        if files := sorted(file for file in root.glob(pattern) if not file.parent.name.startswith(".")):
            return files
    return []


def captioned_folder_columns(root: Path, files: list[Path]) -> "pa.RecordBatch":
    """The pool's columns from `captioned_folder_files`; several rows with one file name are one image.

    An image's id is made from its path, see `image_number`. Rows that cannot be used are left out and counted in the
    pool's metadata. Raises DataEngineError naming the file that cannot be read.
    """
    from dataengine_lib.images.pool_columns import caption_lists, pool_columns

    metadata = PoolMetadata(kind=CAPTIONED_FOLDER, folders=[])
    rows: dict[ImageId, int] = {}  # image id -> row
    names: list[str] = []
    groups: list[int] = []
    sizes: list[tuple[int, int]] = []
    caption_rows: list[int] = []  # the image of each of `texts`
    texts: list[str] = []
    for group, file in enumerate(files):
        below = file.parent.relative_to(root).as_posix()
        # captions.json may lie beside its images or beside the folder images/
        metadata.folders.append(
            [below] if below != "." else ["", "images"] if file.name == _CAPTIONS_FILE else [""]
        )
        left_out = LeftOutRows(what=file.relative_to(root).as_posix())
        metadata.left_out.append(left_out)
        for _, row in readable_rows(_read(file), _Row, left_out):
            image_id = image_number(row.file_name if below == "." else f"{below}/{row.file_name}")
            number = rows.setdefault(image_id, len(rows))
            if number == len(names):  # a new image
                names.append(row.file_name)
                groups.append(group)
                sizes.append((row.width or 0, row.height or 0))
            # in another place; whether both are the same file is known when the pool is opened
            elif (names[number], groups[number]) != (row.file_name, group):
                metadata.repeated.append((image_id, row.file_name, group))
            caption_rows += [number] * len(row.texts)
            texts += row.texts
    count = len(rows)
    width, height = np.array(sizes, dtype=np.int64).reshape(-1, 2).T
    values = {"id": list(rows), "name": names, "group": groups, "width": width}
    values |= {"height": height, "coco_id": np.full(count, -1), "reason": np.zeros(count, dtype=np.int8)}
    values |= {"boxes": [[]] * count, "crowds": [[]] * count, "regions": [[]] * count}
    values["captions"] = caption_lists(np.array(caption_rows, dtype=np.int64), texts, count)
    return pool_columns(metadata, values)


def _read(file: Path) -> Iterator[tuple[str, Any]]:
    """The rows with their names for messages, not checked yet."""
    if file.name == _CAPTIONS_FILE:
        content: dict[str, Any] = read_json(file, dict[str, Any])
        return ((shown_name(name), {"file_name": name, "captions": text}) for name, text in content.items())
    if file.suffix == ".jsonl":
        return ((row.where, row.raw) for row in json_rows(file))
    return _read_csv(file)


def _read_csv(file: Path) -> Iterator[tuple[str, Any]]:
    """Rows of a table with a header; an empty cell counts as a missing one."""
    try:
        # unpacked, and without a byte order mark, which would become part of the first column's name
        with io.TextIOWrapper(open_content(file), encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                # cells behind the last column are listed under None
                yield f"line {reader.line_num}", {k: v for k, v in row.items() if k and v}
    except OSError as error:
        raise DataEngineError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataEngineError(f"{file}: {error}; give it a header with file_name and text") from error
