"""How a file's text becomes values that can be changed, and text once more."""

import csv
import io
import json
from typing import Any, Literal

import yaml

Form = Literal["json", "lines", "tsv", "csv", "xlsx", "yaml", "bytes"]


def loaded(form: Form, content: bytes) -> Any:
    """The values of a valid file: lines and tables are lists of rows."""
    if form == "json":
        return json.loads(content)
    if form == "lines":
        return [json.loads(line) for line in content.splitlines() if line.strip()]
    if form == "yaml":
        return yaml.safe_load(content)
    if form == "xlsx":
        return _sheet(content)
    if form in ("tsv", "csv"):
        return list(csv.DictReader(io.StringIO(content.decode()), delimiter="\t" if form == "tsv" else ","))
    return None


def dumped(form: Form, value: Any) -> bytes:
    """The file's bytes; what the form has no place for is written as its text."""
    if form == "lines" and isinstance(value, list):
        return b"\n".join(_json(row) for row in value) + b"\n"
    if form == "yaml":
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
    if form in ("tsv", "csv", "xlsx") and isinstance(value, list):
        return _table(form, value)
    return _json(value)


def _json(value: Any) -> bytes:
    """As Python writes it: NaN and Infinity, and half of a surrogate pair as an escape."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _table(form: Form, rows: list[Any]) -> bytes:
    columns = list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))
    lines = [columns] + [
        [row.get(column) for column in columns] if isinstance(row, dict) else [row] for row in rows
    ]
    if form == "xlsx":
        return _workbook(lines)
    stream = io.StringIO()
    csv.writer(stream, delimiter="\t" if form == "tsv" else ",").writerows(
        [["" if cell is None else cell for cell in line] for line in lines]
    )
    return stream.getvalue().encode("utf-8", "replace")


def _workbook(lines: list[list[Any]]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book, stream = Workbook(), io.BytesIO()
    for line in lines:
        book.active.append(
            [
                cell
                # a workbook holds no number beyond a float
                if cell is None or (isinstance(cell, int | float) and abs(cell) < 1e300)
                else ILLEGAL_CHARACTERS_RE.sub("", str(cell).encode("utf-8", "replace").decode())[:1000]
                for cell in line
            ]
        )
    book.save(stream)
    return stream.getvalue()


def _sheet(content: bytes) -> list[dict[str, Any]]:
    from openpyxl import load_workbook

    head, *rows = load_workbook(io.BytesIO(content)).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]
