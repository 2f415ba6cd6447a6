"""Step 2: an image pool from a plain folder of images with captions, no boxes.

Either `metadata.jsonl` or `metadata.csv` as Hugging Face's imagefolder reads it (in the folder or in one below:
https://huggingface.co/docs/datasets/image_dataset), or `captions.json`: `{file name: caption or [captions]}`.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.errors import DataEngineError
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
    width: int | None = 0
    height: int | None = 0

    @property
    def texts(self) -> list[str]:
        """All captions of the row, whichever field holds them."""
        found = (self.text, self.caption, self.captions)
        return [text for part in found if part for text in ([part] if isinstance(part, str) else part)]


def captioned_folder_files(root: Path) -> list[Path]:
    """The file or files with the captions, empty when there are none."""
    # the first pattern with files counts; only metadata files may lie in several folders
    for pattern in (_CAPTIONS_FILE, *_METADATA_FILES, *(f"*/{name}" for name in _METADATA_FILES)):
        if files := sorted(root.glob(pattern)):
            return files
    return []


def captioned_folder_columns(root: Path, files: list[Path]) -> "pa.RecordBatch":
    """The pool's columns from `captioned_folder_files`; several rows with one file name are one image.

    An image's id is made from its path, see `image_number`.
    Raises DataEngineError naming the file and row that is malformed.
    """
    from dataengine_lib.images.pool_columns import caption_lists, pool_columns

    metadata = PoolMetadata(kind=CAPTIONED_FOLDER, folders=[])
    rows: dict[int, int] = {}  # image id -> row
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
        for row in _read(file):
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
    values = {"id": np.fromiter(rows, np.int64, count), "name": names, "group": groups, "width": width}
    values |= {"height": height, "coco_id": np.full(count, -1), "reason": np.zeros(count, dtype=np.int8)}
    values |= {"boxes": [[]] * count, "crowds": [[]] * count, "regions": [[]] * count}
    values["captions"] = caption_lists(np.array(caption_rows, dtype=np.int64), texts, count)
    return pool_columns(metadata, values)


def _read(file: Path) -> Iterator[_Row]:
    if file.name == _CAPTIONS_FILE:
        content: dict[str, _Text] = read_json(file, dict[str, _Text])
        return (_Row(name, captions=text) for name, text in content.items())
    if file.suffix == ".jsonl":
        return iter(read_jsonl(file, _Row))
    return _read_csv(file)


def _read_csv(file: Path) -> Iterator[_Row]:
    """Rows of a table with a header; an empty cell counts as a missing one."""
    try:
        # utf-8-sig: a byte order mark would become part of the first column's name
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                # strict=False: numbers come as text
                yield msgspec.convert({k: v for k, v in row.items() if k and v}, _Row, strict=False)
    except OSError as error:
        raise DataEngineError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except (csv.Error, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise DataEngineError(f"{file}: {error}; give it a header with file_name and text") from error
