"""What a file holds as UTF-8 bytes (all steps): gzip unpacked, without a byte order mark, UTF-16 and UTF-32 converted.

The content decides, never the file's suffix: `questions.json` may be packed, and `questions.json.gz` may not be.
"""

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import IO

from dataengine_lib.errors import DataEngineError

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"  # byte order mark, which Windows editors write before UTF-8 text
_BUFFER = 1 << 20  # bytes
# JSON shrinks by 5 to 30 in gzip, which can reach 1,000; a file of 9 MB that becomes 9 GB is no data.
_MAX_GROWTH = 100
# bytes; a smaller file does no harm, however much it grew: JSON takes up to 30 times its size in memory
_MAX_UNPACKED = 1 << 26


def file_content(path: Path) -> bytes:
    """The whole content. Raises DataEngineError when it cannot be read or unpacked, or grows like no data file."""
    with open_content(path) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise _unreadable(path, error) from error


def open_content(path: Path) -> IO[bytes]:
    """The content as a stream, to be closed by the caller; gzip is unpacked while it is read.

    Raises DataEngineError as `file_content` does, for gzip also while reading.
    """
    path = Path(path)
    try:
        stream: IO[bytes] = path.open("rb", _BUFFER)
        head = stream.read(4)
        stream.seek(0)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise _unreadable(path, error) from error
    if head.startswith(_GZIP):
        stream = io.BufferedReader(_Unpacked(path, stream), _BUFFER)
        head = stream.peek(4)[:4]
    # by the byte order mark, or by where the first four bytes are zero
    encoding = json.detect_encoding(head)
    if encoding == "utf-8-sig":
        stream.read(len(_BOM))
    elif encoding != "utf-8":
        with stream:
            return io.BytesIO(_as_utf8(path, stream.read(), encoding))
    return stream


class _Unpacked(io.RawIOBase):
    """A gzip file's content; what goes wrong while it is unpacked is a DataEngineError."""

    def __init__(self, path: Path, packed: IO[bytes]) -> None:
        self._path, self._packed = path, packed
        self._content = gzip.GzipFile(fileobj=packed)
        self._most = max(_MAX_UNPACKED, _MAX_GROWTH * path.stat().st_size)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Called by io.BufferedReader."""
        try:
            part = self._content.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise DataEngineError(
                f"{self._path}: gzip cannot be unpacked ({error}); copy or download the file once more"
            ) from error
        self._read += len(part)
        if self._read > self._most:
            raise DataEngineError(
                f"{self._path}: gzip grows to more than {self._most >> 20:,} MiB, which is no data file; "
                "check where it comes from, or unpack it yourself"
            )
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._content.close()
        self._packed.close()
        super().close()


def _as_utf8(path: Path, content: bytes, encoding: str) -> bytes:
    try:
        return content.decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        raise DataEngineError(
            f"{path}: not valid {encoding.upper()} ({error}); save it as UTF-8 text"
        ) from error


def _unreadable(path: Path, error: Exception) -> DataEngineError:
    reason = getattr(error, "strerror", None) or error
    # repr, as a terminal does not show a null byte
    shown = repr(str(path)) if "\0" in str(path) else path
    return DataEngineError(f"{shown}: cannot be read ({reason}); check the path")
