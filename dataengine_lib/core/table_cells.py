"""Tables as rows of cells (steps 0, 1 and 2): text divided by tabs, commas or semicolons, and Excel's .xlsx.

The content decides, never the file's suffix. Cells are text; what a column means is for the caller to know.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from dataengine_lib.core.file_content import open_content
from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError

_CELL = 2**31 - 1  # characters; the csv module allows 128 KiB, and an image's base64 is longer
_ZIP = b"PK\x03\x04"
# Excel's own limits are 1,048,576 rows and 16,384 columns; a table of questions has tens of columns.
_MAX_ROWS, _MAX_COLUMNS = 1 << 20, 2000
# Bytes, and the multiple of the file's size, that a workbook may grow to; tables shrink by 5 to 20.
_MAX_UNPACKED, _MAX_GROWTH = 1 << 25, 25
# Elements and attributes of one row or text, and of all that is neither: openpyxl builds each of them as objects.
_MAX_ELEMENTS = 1 << 20
# matches the start of a row in a sheet, of a text in the table of texts: `<row r="2">`, `<x:row>`, `<si>`
_NEXT_ITEM = re.compile(rb"<(?:\w+:)?(?:row|si)[\s>/]")
_LONGEST_TAG = 64  # bytes kept of the block before, in which a tag that is looked for may begin
_QUOTED = re.compile(r'"[^"]*"')  # matches "a, b" in a heading
# matches what Python reads a byte as that is no UTF-8, with the error handler surrogateescape
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_ERRORS = ("#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#N/A", "#NUM!", "#NULL!")  # Excel's, of formulas


def table_cells(path: Path) -> Iterator[list[str]]:
    """Yield the cells of one row at a time, the heading first; of a workbook those of its first sheet.

    A byte that is no UTF-8 becomes a character that `undecoded` finds. A formula's cell is its value, or the formula
    where it has none: a program that writes tables takes the text `=B` for a formula.
    Raises DataEngineError when the file cannot be read, naming the row of a quotation mark that is never closed.
    """
    with open_content(path) as stream:
        workbook = stream.read(len(_ZIP)) == _ZIP
    with open_content(path) as stream:
        yield from (_workbook_rows if workbook else _text_rows)(path, stream)


def undecoded(cells: Sequence[str]) -> str:
    """What is wrong with a row that holds bytes that are no UTF-8; empty for any other row."""
    if all(map(str.isascii, cells)):  # most rows, at once
        return ""
    found = next((found for cell in cells if not cell.isascii() and (found := _NOT_UTF8.search(cell))), None)
    return f"not saved as UTF-8 ({found[0].encode('utf-8', 'surrogateescape')!r})" if found else ""


def stray_quote(path: Path, row: int) -> DataEngineError:
    """The error about a quotation mark that hides the rows behind it; rows are counted from 1, the heading."""
    return DataEngineError(
        f"{path}: row {row}: a quotation mark opens a cell that does not end with one, which hides the rows after it; "
        "save the table with cells quoted as pandas does"
    )


# "_x000B_": how workbooks write a control character, and "_x005F_" the underscore of such a text itself
# Source: ECMA-376, part 1, ST_Xstring
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def _text_rows(path: Path, stream: IO[bytes]) -> Iterator[list[str]]:
    csv.field_size_limit(_CELL)
    text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
    heading = text.readline()
    if heading[:4].lower() == "sep=":  # Excel's own line before the heading, "sep=;"
        heading = text.readline()
    row = 0
    # strict: a quotation mark that is never closed is an error, and does not swallow the rest of the file
    reader = csv.reader(chain([heading], text), delimiter=_delimiter(heading), strict=True)
    try:
        for cells in reader:
            row += 1
            yield cells
    except csv.Error as error:
        raise stray_quote(path, row + 1) from error


def _delimiter(heading: str) -> str:
    """A tab where the heading has one, else the more frequent of comma and semicolon."""
    plain = _QUOTED.sub("", heading)
    return "\t" if "\t" in plain else max(",;", key=plain.count) if plain.strip() else "\t"


def _workbook_rows(path: Path, stream: IO[bytes]) -> Iterator[list[str]]:
    try:
        formulas = _checked(path, stream)
        sheets = [_sheet_rows(stream, values=True)]
        if formulas:
            sheets.append(_sheet_rows(stream, values=False))
        for number, found in enumerate(zip(*sheets, strict=True), 1):
            if number > _MAX_ROWS or len(found[0]) > _MAX_COLUMNS:
                raise DataEngineError(
                    f"{path}: row {number}: a sheet with more than {_MAX_ROWS:,} rows or {_MAX_COLUMNS:,} columns is no "
                    "table of questions; delete what is outside the table and save it"
                )
            yield [_cell_text(*cells) for cells in zip(*found, strict=True)]
    except (  # what openpyxl lets through for damaged or foreign files
        zipfile.BadZipFile,
        ParseError,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        NotImplementedError,  # another way of compression
        RuntimeError,  # an encrypted file
        EOFError,
        OSError,
        zlib.error,
    ) as error:
        raise DataEngineError(
            f"{path}: is not a workbook ({error}; {looks_like(path)}); save the table as .xlsx or .tsv"
        ) from error


def _checked(path: Path, stream: IO[bytes]) -> bool:
    """Whether a sheet has formulas. Raises DataEngineError when the parts grow to more than a table has."""
    with zipfile.ZipFile(stream) as archive:
        # of the archive's directory; zipfile unpacks no part to more than it says there
        size = sum(part.file_size for part in archive.infolist())
        most = max(_MAX_UNPACKED, _MAX_GROWTH * path.stat().st_size)
        if size > most:
            raise DataEngineError(
                f"{path}: grows to {size >> 20:,} MiB when it is unpacked, which is no table of questions; "
                "check where it comes from, or save the table as .tsv"
            )
        # all of them: which part is a sheet is written inside the file, and not by its name alone
        formulas = [
            _holds_formula(path, name, archive.open(name))
            and name.startswith("xl/worksheets/")
            and name.endswith(".xml")
            for name in archive.namelist()
        ]
        return any(formulas)


def _holds_formula(path: Path, name: str, part: IO[bytes]) -> bool:
    """Whether a part has a formula. Raises DataEngineError where a row, or a text, has a million elements."""
    tail, formula, elements = b"", False, 0
    with part:
        while block := part.read(1 << 20):
            # a part in UTF-16 has a zero byte in each character of its tags
            block = block.replace(b"\0", b"")
            text = tail + block
            formula = formula or b"<f>" in text or b"<f " in text
            # what stands behind the last row that begins in this block; before it there is a megabyte at most
            if items := list(_NEXT_ITEM.finditer(text)):
                elements, block = 0, text[items[-1].start() :]
            elements += block.count(b"<") + block.count(b"=")
            if elements > _MAX_ELEMENTS:
                raise DataEngineError(
                    f"{path}: {shown(name)} has a row or a part of more than {_MAX_ELEMENTS:,} elements, which is no "
                    "table of questions; check where it comes from, or save the table as .tsv"
                )
            tail = text[-_LONGEST_TAG:]
    return formula


def _sheet_rows(stream: IO[bytes], values: bool) -> Iterator[tuple[Any, ...]]:
    """The rows of the first sheet: the values that formulas had, or the formulas."""
    from openpyxl import load_workbook

    book = load_workbook(stream, read_only=True, data_only=values)
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs write wrong ones
        yield from sheet.iter_rows(values_only=True)
    finally:
        book.close()


def _cell_text(value: Any, formula: Any = None) -> str:
    if value is None or (formula is not None and value in _ERRORS):
        # an array formula is an object with a text
        value = getattr(formula, "text", formula) if formula is not None else value
    return "" if value is None else _ESCAPED.sub(_character, str(value))


def _character(escaped: "re.Match[str]") -> str:
    code = int(escaped[1], 16)
    return chr(code) if code < 0x20 or code == ord("_") else escaped[0]
