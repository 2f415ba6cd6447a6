"""Steps 0, 1, 2, 4 and 5: questions as Parquet tables of the Hugging Face hub, such as lmms-lab's POPE, MME and VQAv2."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataengine_lib.core.file_content import open_content
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import first_named, one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import base_name, coco_number
from dataengine_lib.questions.json_questions import of_any_format
from dataengine_lib.questions.rows import FoundRow, OwnFields, RowFault, filled
from dataengine_lib.questions.tables.table_images import READ_FORMATS, image_suffix, write_image

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"PAR1"
_AT_ONCE = 64  # rows held with their images
# Bytes, and the multiple of the file's size, that a table may grow to: repeated values shrink a lot, images do not.
_MAX_UNPACKED, _MAX_GROWTH = 1 << 28, 100
# matches "test-00002-of-00004.parquet" and "test-00002-of-00004-a25dbe3b44c4fda6.parquet"
_PART = re.compile(r"(?P<name>.+)-(?P<number>[0-9]{5})-of-(?P<total>[0-9]{5})(?:-[0-9a-f]+)?\.parquet")


def is_parquet(file: Path) -> bool:
    """Whether a file is a Parquet table, by its first bytes. Raises DataEngineError when it cannot be read."""
    with open_content(file) as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def other_parts(file: Path) -> list[Path]:
    """The parts that lie beside one part of a Parquet table, in order; none for any other file."""
    return [part for parts in _parts(file).values() for part in parts if part.name != file.name]


def parquet_rows(file: Path, image_root: Path | None, own: OwnFields) -> list[FoundRow]:
    """A table's rows in A-OKVQA's fields, numbered from 0; a table in several parts is read whole, whichever is given.

    Images in a column become files under `image_root`/the table's name. Raises DataEngineError when a part is missing
    or cannot be read, and when there are images and no root is given.
    Source: the layout of `datasets`, whose images are {bytes, path}.
    """
    rows: list[FoundRow] = []
    images: list[str | RowFault] = []
    for part in _all_parts(file):
        for number, (row, found) in enumerate(_read(part)):
            where = f"row {number}" if part == file else f"{part.name}: row {number}"
            name = _coco_name(row.get("image_source"), found)
            images.append(_image(found, image_root, part, where, name))
            row = _with_options(row)
            if images[-1] and row.get("image_id") is None and name:
                row["image_id"] = coco_number(name)
            rows.append(FoundRow(where, row))
    return [
        _with_image(row, image) for row, image in zip(of_any_format(file, rows, own), images, strict=True)
    ]


def _parts(file: Path) -> dict[int, list[Path]]:
    """The files beside a part, itself among them, by the number in their names."""
    named = _PART.fullmatch(file.name)
    found: dict[int, list[Path]] = defaultdict(list)
    if named and file.parent.is_dir():
        for other in sorted(file.parent.iterdir()):
            one = _PART.fullmatch(other.name)
            if one and one["name"] == named["name"] and one["total"] == named["total"] and other.is_file():
                found[int(one["number"])].append(other)
    return dict(sorted(found.items()))


def _all_parts(file: Path) -> list[Path]:
    named, parts = _PART.fullmatch(file.name), _parts(file)
    if named is None:
        return [file]
    total = int(named["total"])
    if missing := [f"{number:05d}" for number in range(total) if number not in parts]:
        raise DataEngineError(
            f"{file}: is one of {total:,} parts of a table, of which {first_named(missing, 3)} "
            f"{'is' if len(missing) == 1 else 'are'} not beside it; download all, or rename the file to read it alone"
        )
    for found in parts.values():
        if len(found) > 1:
            raise DataEngineError(
                f"{found[1]}: is the same part of a table as {found[0].name}; remove the one of another download"
            )
    return [part for found in parts.values() for part in found]


def _read(file: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each row without its images, and its images as {bytes, path}."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            _check_size(file, parquet.metadata)
            schema = parquet.schema_arrow
            columns = [field.name for field in schema if _holds_images(field.type)]
            for batch in parquet.iter_batches(_AT_ONCE):
                for row in batch.to_pylist():
                    images = [one for name in columns for one in _listed(row.pop(name)) if one is not None]
                    # pandas writes NaN for a missing value
                    kept = {key: None if _is_nan(value) else value for key, value in row.items()}
                    yield kept, images
    # ArrowException: what is no Parquet, or none that can be read; ValueError: among others of a text that is no UTF-8
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataEngineError(
            f"{file}: Parquet that cannot be read ({one_line(str(error))[:200]}); download it once more"
        ) from error


def _check_size(file: Path, metadata: Any) -> None:
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if size > max(_MAX_UNPACKED, _MAX_GROWTH * file.stat().st_size):
        raise DataEngineError(
            f"{file}: grows to {size >> 20:,} MiB when it is unpacked, which is no table of questions; check where it "
            "comes from"
        )


def _holds_images(kind: "pa.DataType") -> bool:
    """Whether a column has images: bytes, {bytes, path}, or lists of these."""
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _listed(value: Any) -> list[dict[str, Any] | None]:
    values = value if isinstance(value, list) else [value]
    return [{"bytes": one} if isinstance(one, bytes) else one for one in values]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _image(
    found: list[dict[str, Any]], root: Path | None, part: Path, where: str, name: str
) -> str | RowFault:
    """A row's image relative to the root, empty where it has none; `name` is COCO's, empty for another image."""
    filled_ones = [one for one in found if one.get("bytes") or one.get("path")]
    if len(filled_ones) > 1:
        return "several images", f"the question has {len(filled_ones)} images, one is needed"
    if not filled_ones:
        return ""
    data, path = filled_ones[0].get("bytes"), filled_ones[0].get("path")
    if not data:
        return str(path)
    if not isinstance(data, bytes) or not image_suffix(data):
        return "broken image", f"image is not the bytes of a {READ_FORMATS} file"
    named = _PART.fullmatch(part.name)
    return write_image(root, part, named["name"] if named else part.stem, where, data, name)


def _with_options(row: dict[str, Any]) -> dict[str, Any]:
    """A row of MMBench with its columns A, B, … as a list, and with the names of their fields that JSON rows have."""
    if "A" not in row or row.get("choices") is not None or row.get("options") is not None:
        return row
    letters = list(takewhile(row.__contains__, LETTERS))
    # pandas writes nan for a missing option; "None" may be one
    cells = [row[letter] for letter in letters]
    choices = filled("" if cell is None or str(cell).lower() == "nan" else cell for cell in cells)
    kind = row.get("L2-category") or row.get("l2-category") or row.get("category")
    hint = row.get("hint")
    question = (
        f"{hint}\n{row.get('question')}" if hint and str(hint).lower() != "nan" else row.get("question")
    )
    usual = {"choices": choices, "question": question, "question_type": kind, "question_id": row.get("index")}
    return {key: value for key, value in row.items() if key not in letters} | usual


def _coco_name(source: Any, images: Sequence[Mapping[str, Any]]) -> str:
    """COCO's file name in `image_source` (POPE: COCO_val2014_000000310196) or inside the column; else empty."""
    given = [source, *(one.get("path") for one in images)]
    names = (name for one in given if isinstance(one, str) for name in (one, f"{one}.jpg"))
    return next((base_name(name) for name in names if coco_number(name) >= 0), "")


def _with_image(row: FoundRow, image: str | RowFault) -> FoundRow:
    if isinstance(image, tuple):
        return FoundRow(row.row, row.content, row.kind, row.fault or image)
    if image and isinstance(row.content, dict):
        return FoundRow(row.row, row.content | {"image_path": image}, row.kind, row.fault)
    return row
