"""Reading and writing the loop's files: typed JSON in, whole files out, never a half-written one."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from dataengine_lib.errors import DataEngineError

T = TypeVar("T")


@contextmanager
def replacing(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A handle on a temporary file beside `path` that takes its place only when the block ends well.

    Raises DataEngineError when the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise DataEngineError(
            f"{path}: cannot be written ({error.strerror}); choose a folder you may write to"
        ) from error
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any) -> Path:
    """Write `value` (records, dicts, lists) as indented UTF-8 JSON, atomically; same value, same bytes."""
    with replacing(path) as stream:
        if (
            isinstance(value, list) and value
        ):  # row by row, so that a long list is not in memory twice as text
            for number, row in enumerate(value):
                text = msgspec.json.format(msgspec.json.encode(row), indent=1).replace(b"\n", b"\n ")
                stream.write((b",\n " if number else b"[\n ") + text)
            stream.write(b"\n]\n")
        else:
            stream.write(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
    return Path(path)


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    """Write one JSON value a line, atomically."""
    with replacing(path) as stream:
        for row in rows:
            stream.write(msgspec.json.encode(row) + b"\n")
    return Path(path)


def append_jsonl(stream: IO[bytes], row: Any) -> None:
    """Append one row to an open binary file and push it to the disk: a row is there whole or not at all."""
    stream.write(msgspec.json.encode(row) + b"\n")
    stream.flush()
    os.fsync(stream.fileno())


def read_json(path: Path, type: type[T] | Any = Any) -> T:
    """Read a JSON file as `type` (a msgspec Struct, list[Struct], dict…).

    Raises DataEngineError naming the file and the row or key at fault.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=type, strict=False)
    except OSError as error:
        raise DataEngineError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except msgspec.DecodeError as error:
        raise DataEngineError(f"{path}: {error}; mend the file or make it again") from error


def read_jsonl(path: Path, type: type[T] | Any = Any, *, torn_tail: bool = False) -> list[T]:
    """Read one value a line as `type`; blank lines are passed over.

    With `torn_tail`, a last line that a killed writer left unfinished is left out.
    Raises DataEngineError naming the file and the line.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise DataEngineError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    decoder, rows = msgspec.json.Decoder(type, strict=False), []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            if torn_tail and number == len(lines):
                break
            raise DataEngineError(f"{path}: line {number}: {error}; mend or remove that line") from error
    return rows


def sha256(path: Path) -> str:
    """Hex digest of a file, or of a folder's file names and contents in sorted order."""
    path = Path(path)
    digest = hashlib.sha256()
    for part in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(str(part.relative_to(path)).encode() + b"\0")
        with part.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def inside(root: Path, name: str) -> Path:
    """The path of `name` under `root`; a name that leads outside (`..`, absolute, link) is refused.

    Raises DataEngineError: names come from data files and are not trusted.
    """
    root = Path(root)
    path = root / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(root.resolve()):
        raise DataEngineError(f"{name}: leads outside {root}; image names must stay inside the image root")
    return path
