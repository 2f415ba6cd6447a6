"""What a file is instead of what a step reads (all steps), for the step's error."""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.file_kinds.json_kinds import keys_shown, object_kind, rows_kind
from dataengine_lib.core.file_kinds.signatures import binary_kind, page_kind

_HEAD = 1 << 20  # bytes that are looked at; the first rows of a file end within them
_MOST = 1 << 28  # bytes of a JSON object that is read whole, to see all its keys
_ROWS = 20  # rows that are looked at
_DAMAGED = "JSON that is cut off or damaged: make or download it once more"
# matches `[{`, `[ "a`, `[]`, `{ "key`, `{}`; not `[section]` of other formats, `{%` and `{{` of templates
_JSON = re.compile(r"""\[\s*([\[{"\]\d]|$)|\{\s*(["}]|$)""")
# matches `run: demo` and `evaluate:` at the start of the first line that is no comment
_YAML = re.compile(r"([ \t]*(#.*|---)?\n)*[A-Za-z_][\w.-]*:([ ]|\n)")
_CODE_LINE = re.compile(
    r"^(import |from \S+ import |def \w+\(|#!)", re.M
)  # matches a line of Python, `#!/bin/sh`


def looks_like(source: Path | str | bytes) -> str:
    """What a file is, as `looks like a web page, not the file itself: …`; bytes are the content, or its beginning.

    The content decides. The text is one line, and names a way on where there is one; it never raises.
    """
    if isinstance(source, bytes):
        return f"looks like {_kind(source, None)}"
    path = Path(source)
    try:
        if path.is_dir():
            return "is a folder, not a file"
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            # an object's keys may stand behind a long list, such as COCO's annotations behind its images
            whole = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" and path.stat().st_size <= _MOST
            content = head + stream.read() if whole else head
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return "cannot be read"
    return f"looks like {_kind(content, path)}"


def _kind(content: bytes, file: Path | None) -> str:
    if not content:
        return "an empty file"
    if content.startswith(b"\x1f\x8b"):
        return _gzip_kind(content)
    if kind := binary_kind(content[:512], file):
        return kind
    encoding = json.detect_encoding(content[:4])
    head = content[:_HEAD].decode(encoding, "ignore").removeprefix("\ufeff").lstrip()
    if not head.strip("\0"):
        return "a file of null bytes: copy or download it once more" if head else "an empty file"
    if "\0" in head:
        return "binary data of no known format"
    if kind := page_kind(head[:2000].encode()):
        return kind
    if not _JSON.match(head):
        return _text_kind(head)
    return _json_kind(content if encoding == "utf-8" else head.encode(), head)


def _gzip_kind(content: bytes) -> str:
    try:
        inside = zlib.decompressobj(wbits=31).decompress(
            content[:_HEAD], _HEAD
        )  # 31: with the header of gzip
    except zlib.error:
        return "a gzip archive that is damaged: copy or download it once more"
    return f"a gzip archive of {_kind(inside, None)}"


def _json_kind(content: bytes, head: str) -> str:
    """The kind of a list, of JSON lines or of one object."""
    if head[0] == "[":
        rows = first_rows(head[1:])
        if not rows:
            return "an empty list" if head[1:].lstrip().startswith("]") else _DAMAGED
        if not isinstance(rows[0], dict):
            return "a JSON list of something else than objects"
        return rows_kind(rows) or f"a JSON list of objects with {keys_shown(rows[0])}"
    rows = first_rows(head)
    if len(rows) > 1:
        return rows_kind(rows) or f"JSON lines with {keys_shown(rows[0])}"
    if found := _object(content):
        return object_kind(found) or f"a JSON object with {keys_shown(found)}"
    return "an empty JSON object" if rows == [{}] else _DAMAGED


def first_rows(text: str) -> list[Any]:
    """The first values of a list or of JSON lines; fewer when the text ends inside one."""
    rows: list[Any] = []
    decoder, place = json.JSONDecoder(), 0
    while len(rows) < _ROWS:
        while text[place : place + 1] in (" ", "\t", "\r", "\n", ","):
            place += 1
        try:
            row, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        rows.append(row)
    return rows


def _object(content: bytes) -> dict[str, Any]:
    """One object with its keys, and of its lists the first rows; empty when it cannot be read."""
    try:
        parts = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return {}
    return {key: _beginning(memoryview(raw)[:_HEAD].tobytes()) for key, raw in parts.items()}


def _beginning(raw: bytes) -> Any:
    text = raw.decode("utf-8", "ignore")
    if text.startswith("["):
        return first_rows(text[1:])
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text_kind(head: str) -> str:
    first, second = [*head.split("\n", 2), ""][:2]
    for separator, name in (("\t", "tab-separated"), (",", "comma-separated")):
        # prose has commas too, but not as many in the next line
        if first.count(separator) >= 2 and first.count(separator) == second.count(separator):
            columns = dict.fromkeys(part.strip() for part in first.split(separator))
            return f"a {name} table with the columns {keys_shown(columns)}"
    if _CODE_LINE.search(head):
        return "a program's source"
    if _YAML.match(head):
        return "a YAML file, such as parameters of a run"
    return "plain text"
