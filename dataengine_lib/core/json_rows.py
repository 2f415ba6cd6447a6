"""Rows of JSON files (all steps): a list, JSON lines or `{key: [row]}`, recognised by the content, not by the suffix.

Rows are handed on undecoded, so that one row that cannot be used is left out and not the file.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from dataengine_lib.core.file_content import open_content
from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.errors import DataEngineError

_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BLOCK = 1 << 20  # bytes that are read at a time to count lines
_SMALL = 1 << 22  # bytes of a file that is always looked through for keys that are there twice
_BETWEEN = 8  # bytes between two values of an object, with the quotation marks of its key
_VALUE = msgspec.json.Decoder(msgspec.Raw)


class JsonRow(NamedTuple):
    """A row before it is decoded, and where it stands: `row 7` of a list, from 0; `line 8` of JSON lines, from 1."""

    where: str
    raw: msgspec.Raw

    @property
    def number(self) -> int:
        """The row or line, counted from 1."""
        kind, _, number = self.where.partition(" ")
        return int(number) + (kind == "row")


def json_rows(path: Path, *, may_be_empty: bool = False) -> Iterator[JsonRow]:
    """Yield the rows of a JSON list, or of JSON lines one at a time; blank lines are passed over.

    A line that is no JSON is yielded as it is: `json_value` then raises one of UNDECODABLE.
    Raises DataEngineError when the file cannot be read, or holds something else than a list or lines; with
    `may_be_empty`, a file without any text has no rows.
    """
    with open_content(path) as stream:
        found = _rows_or_object(path, stream, may_be_empty)
        if isinstance(found, dict):
            raise DataEngineError(
                f"{path}: holds one object, where a list of rows or JSON lines is needed; {looks_like(path)}"
            )
        yield from found


def line_count(path: Path) -> int | None:
    """How many lines a file of JSON lines has, from its first row on; None for a list, or any other file.

    For a bar: blank lines count too, and a last one without a line end does not. Much faster than reading the rows.
    """
    with open_content(path) as stream:
        first = next(filter(bytes.strip, stream), b"")
        if first.lstrip()[:1] == b"[" or not _decodes(first):
            return None
        return 1 + sum(block.count(b"\n") for block in iter(partial(stream.read, _BLOCK), b""))


def json_rows_or_object(path: Path) -> list[JsonRow] | dict[str, msgspec.Raw]:
    """The rows of a list or of lines, or the undecoded values of a file that is one object.

    One line with one object is an object here: what it means depends on its keys.
    Raises DataEngineError when the file cannot be read or is no JSON.
    """
    with open_content(path) as stream:
        found = _rows_or_object(path, stream)
        if isinstance(found, dict):
            return found
        rows = list(found)
    first = bytes(rows[0].raw).lstrip()[:1] if len(rows) == 1 else b""
    if first == b"{" and rows[0].where.startswith("line"):
        try:
            return _object(path, bytes(rows[0].raw))
        except UNDECODABLE as error:
            raise DataEngineError(f"{path}: {decode_fault(error)}; {looks_like(path)}") from error
    return rows


def list_rows(values: Iterable[msgspec.Raw], key: str = "") -> list[JsonRow]:
    """The values of a list as rows; those of the list at `key` are `image_scene[7]`."""
    return [JsonRow(f"{key}[{n}]" if key else f"row {n}", raw) for n, raw in enumerate(values)]


def _rows_or_object(
    path: Path, stream: IO[bytes], may_be_empty: bool = False
) -> Iterable[JsonRow] | dict[str, msgspec.Raw]:
    """By the first line: a value of its own begins JSON lines, anything else a list or one object."""
    number, first = next(((n, line) for n, line in enumerate(stream, 1) if line.strip()), (1, b""))
    if may_be_empty and not first:
        return []
    listed = first.lstrip()[:1] == b"["
    if not listed and _decodes(first):
        return _lines(first, number, stream)
    content = first + stream.read()
    try:
        if listed:
            values: list[msgspec.Raw] = json_value(content, _LIST)
            return list_rows(values)
        return _object(path, content)
    except UNDECODABLE as error:
        lines = content.split(b"\n")
        # JSON lines whose rows are lists, or whose first row is damaged
        if any(map(_decodes, lines[:2])):
            return _lines(lines[0] + b"\n", number, (line + b"\n" for line in lines[1:]))
        raise DataEngineError(f"{path}: {decode_fault(error)}; {looks_like(path)}") from error


def _object(path: Path, content: bytes) -> dict[str, msgspec.Raw]:
    """The values of one object. Raises DataEngineError for a key that is there twice, as one value would be lost."""
    found = json_value(content, _OBJECT)
    # what is left beside keys and values: `, "": ` and little more in a file without a lost value
    rest = len(content) - sum(len(key.encode()) + memoryview(raw).nbytes for key, raw in found.items())
    if len(content) <= _SMALL or rest > _BETWEEN * len(found) + _BETWEEN:
        try:
            # every object as a list of (key, value): the outermost one is the result
            pairs: list[tuple[str, object]] = json.loads(content, object_pairs_hook=list)
        except (ValueError, RecursionError):
            return found
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            raise DataEngineError(
                f"{path}: the key {twice[0][:60]!r} is there twice ({len(twice)} such keys), so one of its values would be "
                "lost; put them together or remove one"
            )
    return found


def _lines(first: bytes, number: int, others: Iterable[bytes]) -> Iterator[JsonRow]:
    yield JsonRow(f"line {number}", msgspec.Raw(first))
    for place, line in enumerate(others, number + 1):
        if line.strip():
            yield JsonRow(f"line {place}", msgspec.Raw(line))


def _decodes(line: bytes) -> bool:
    """Whether a line is an object or a list; a bare number or text also stands on lines of other files."""
    try:
        json_value(line, _VALUE)
    except UNDECODABLE:
        return False
    return line.lstrip()[:1] in (b"{", b"[")
