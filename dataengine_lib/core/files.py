"""Files of all steps: JSON and JSONL read as typed records, written whole or not at all; hashes and safe paths."""

import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from dataengine_lib.core.file_content import file_content
from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.text import one_line
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError

_T = TypeVar("_T")
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_VALUE = msgspec.json.Decoder(msgspec.Raw)

# what msgspec raises on text that is not JSON, not of the type, not UTF-8, or nested too deep
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FAULT = 200  # characters of what is wrong with a text
_DRIVE = re.compile(r"[A-Za-z]:/")  # matches the beginning of `C:/coco/1.jpg`
# Matches a whole JSON string, or NaN, Infinity or -Infinity outside of one. In {"NaN": NaN, "a": "Infinity"} that is
# "NaN", the bare NaN, "a" and "Infinity": taking strings first keeps the words inside them as they are.
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|-?\b(?:NaN|Infinity)\b', re.DOTALL)
# Matches an escape: a surrogate pair as \ud83d\ude00, half of one as \ud83d, or any other as \n and \\. Taking pairs and
# other escapes first keeps them as they are.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def write_json(path: Path, value: Any) -> Path:
    """Write `value` (records, dicts, lists) as indented UTF-8 JSON, atomically; same value, same bytes."""
    with replacing(path) as stream:
        if isinstance(value, list):  # row by row, so that a long list is never held as text as well
            rows = JsonList(stream)
            for row in value:
                rows.append(row)
            rows.close()
        else:
            stream.write(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
    return Path(path)


class JsonList:
    """Writes a JSON list row by row to an open binary file: the bytes are those of `write_json`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rows = 0

    def append(self, row: Any) -> None:
        """Write one more row."""
        # one more space on every line, as the row would have inside a list that is formatted as a whole
        text = msgspec.json.format(msgspec.json.encode(row), indent=1).replace(b"\n", b"\n ")
        self._stream.write((b",\n " if self._rows else b"[\n ") + text)
        self._rows += 1

    def close(self) -> None:
        """End the list; the file stays open."""
        self._stream.write(b"\n]\n" if self._rows else b"[]\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    """Write one JSON value per line, atomically."""
    with replacing(path) as stream:
        for row in rows:
            stream.write(msgspec.json.encode(row) + b"\n")
    return Path(path)


def read_json(path: Path, type: type[_T] | Any = Any) -> _T:
    """Read a JSON file as `type` (a msgspec Struct, list[Struct], dict…); NaN, as pandas writes it, is read as null.

    Where `type` is a list, JSON lines are read too. gzip, byte order marks and UTF-16 are read: see `file_content`.
    Raises DataEngineError naming the file and the row or key at fault.
    """
    content = file_content(path)
    # strict=False: a number may stand in quotes, as in {"image_id": "42"}
    decoder = msgspec.json.Decoder(type, strict=False)
    try:
        return json_value(content, decoder)
    except UNDECODABLE as error:
        fault: Exception = error
        lines = _value_lines(content)
        # one line is a row only where it was read well and is no list
        usable = len(lines) > 1 or isinstance(error, msgspec.ValidationError)
        try:
            if lines and usable:
                return json_value(b"[" + b",".join(lines) + b"]", decoder)
        except UNDECODABLE as of_lines:
            # of one object, and of lines where no list is wanted, the fault of the file as it is says more
            fault = of_lines if len(lines) > 1 and " - at `$[" in str(of_lines) else error
        wrong_type = isinstance(fault, msgspec.ValidationError)
        remedy = "correct the file or make it again" if wrong_type else looks_like(path)
        raise DataEngineError(f"{path}: {decode_fault(fault)}; {remedy}") from error


def _value_lines(content: bytes) -> list[bytes]:
    """The lines that are not blank; none where the first is no object or list, or one is no JSON value of its own."""
    lines = [line for line in content.splitlines() if line.strip()]
    if not lines or lines[0].lstrip()[:1] not in (b"{", b"["):
        return []
    try:
        for line in lines:
            json_value(line, _VALUE)
    except UNDECODABLE:
        return []
    return lines


def read_jsonl(path: Path, type: type[_T] | Any = Any, *, torn_tail: bool = False) -> list[_T]:
    """Read one value per line as `type`, or the values of a JSON list; blank lines are skipped, NaN is read as null.

    With `torn_tail`, a last line that a killed writer did not finish is skipped.
    Raises DataEngineError naming the file and the line.
    """
    content = file_content(path)
    decoder = msgspec.json.Decoder(type, strict=False)
    rows: list[_T] = []
    if content[:64].lstrip()[:1] == b"[":
        try:
            listed = json_value(content, _LIST)
        except UNDECODABLE:  # lines that are lists themselves
            listed = []
        for place, raw in enumerate(listed):
            try:
                rows.append(json_value(raw, decoder))
            except UNDECODABLE as error:
                raise DataEngineError(
                    f"{path}: row {place}: {decode_fault(error)}; correct or remove that row"
                ) from error
        if listed:
            return rows
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(json_value(line, decoder))
        except UNDECODABLE as error:
            # a file that ends with a newline has an empty last line here, so none of its rows counts as torn
            if torn_tail and number == len(lines):
                break
            raise DataEngineError(
                f"{path}: line {number}: {decode_fault(error)}; correct or remove that line"
            ) from error
    return rows


def decode_fault(error: Exception) -> str:
    """What is wrong with the text, for a message; `error` is one of UNDECODABLE."""
    if isinstance(error, UnicodeDecodeError):
        return f"not saved as UTF-8 ({error.reason}: {error.object[error.start : error.start + 1]!r})"
    if isinstance(error, RecursionError):
        return "nested too deep"
    text = one_line(str(error))  # it quotes keys and values, which may be as long as the file
    return text if len(text) <= _FAULT else f"{text[:_FAULT]}…"


def json_value(content: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[_T]) -> _T:
    """The decoded value. Raises one of UNDECODABLE.

    What Python writes although JSON does not have it is read: NaN and Infinity as null, half of a surrogate pair as
    U+FFFD, the replacement character.
    """
    try:
        # as it is first: most files have neither, and replacing them would cost time
        return decoder.decode(content)
    except msgspec.ValidationError:  # valid JSON of another type: nothing to replace
        raise
    except msgspec.DecodeError:
        given = bytes(content)
        text = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], given)
        if b"NaN" in text or b"Infinity" in text:
            text = _STRING_OR_NAN.sub(lambda found: found[0] if found[0].startswith(b'"') else b"null", text)
        if text == given:
            raise
    return decoder.decode(text)


def sha256(path: Path) -> str:
    """Hex digest of a file, or of a folder's file names and contents in sorted order."""
    path = Path(path)
    digest = hashlib.sha256()
    for part in [path] if path.is_file() else files_below(path):
        # \0 ends a name, so that a name and the contents behind it cannot be mixed up
        digest.update(str(part.relative_to(path)).encode() + b"\0")
        with part.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, sorted; links are followed, also those to folders, as readers of images follow them."""

    def found(place: str, above: tuple[str, ...]) -> Iterator[Path]:
        real = os.path.realpath(place)
        if real in above:  # a link to a folder that it lies in
            return
        try:
            entries = list(os.scandir(place))
        except PermissionError:
            return  # whoever needs a file in it says so
        for entry in entries:
            if os.path.isdir(entry.path):  # unlike entry.is_dir, no error for a link to itself
                yield from found(entry.path, (*above, real))
            elif os.path.isfile(entry.path):  # a broken link is neither
                yield Path(entry.path)

    return sorted(found(str(folder), ()))


def fingerprint(*parts: object) -> str:
    """A SHA-256 key of what a result depends on; a Path counts by the name, size and mtime of its files."""
    content: list[object] = []
    for part in parts:
        if isinstance(part, Path):
            files = files_below(part) if part.is_dir() else [part]
            content += [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        else:
            content.append(part)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def inside(root: Path, name: str) -> Path:
    """The path of `name` under `root`, without `..`. Raises DataEngineError for a name that leads outside.

    `name` is relative to the root, or absolute and below it. A backslash divides folders, as Windows writes them, unless
    the root holds a file whose name has one. Names come from data files and are not trusted, so `..` is resolved as
    text, before any symbolic link is followed. Links below the root are allowed, because the user made them: COCO's
    folders often lie on another disk.
    """
    name = str(name)
    if "\\" in name and not _exists(os.path.join(root, name)):
        name = name.replace("\\", "/")
    plain = posixpath.normpath(name)
    # "C:/coco/1.jpg" is absolute too, though not for this machine
    if _DRIVE.match(plain) or plain.startswith("/"):
        below = _below(root, plain)
        if below is None:
            raise DataEngineError(
                f"{shown_name(name)}: leads outside {root} (it is an absolute path); image names must stay inside the "
                "image root"
            )
        return Path(root) / below
    if plain.split("/")[0] == "..":
        raise DataEngineError(
            f"{shown_name(name)}: leads outside {root}; image names must stay inside the image root"
        )
    return Path(root) / plain


def _below(root: Path, path: str) -> str | None:
    """An absolute path relative to `root`, None where it is not below it; both may lead there by different links."""
    for top in (os.path.abspath(root), os.path.realpath(root)):
        if path == top or path.startswith(top.rstrip("/") + "/"):
            return path[len(top) :].lstrip("/") or "."
    # by another link to the root: the folder is resolved, the file's own name is not
    folder, _, base = path.rpartition("/")
    try:
        real = os.path.realpath(folder)
    except (OSError, ValueError):  # ValueError: a null byte
        return None
    top = os.path.realpath(root)
    return f"{real[len(top) :].lstrip('/')}/{base}".lstrip("/") if f"{real}/".startswith(f"{top}/") else None


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a null byte
        return False


def shown_name(name: str, most: int = 160) -> str:
    """An untrusted file name for a message: one line of at most `most` characters."""
    text = name if name.isprintable() else repr(name)
    return text if len(text) <= most else f"{text[:most]}…"


def cache_folder(name: str) -> Path | None:
    """`$XDG_CACHE_HOME/mllm-dataengine/NAME`, in `~/.cache` without that variable; None without a home folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # a relative path is ignored, as the XDG Base Directory Specification asks
        cache = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return cache / "mllm-dataengine" / name
