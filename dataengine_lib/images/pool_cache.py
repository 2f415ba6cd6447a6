"""Step 2: caches the columns of an image pool as an Arrow file, named by the hash of the files they were read from.

Parsing COCO's or Visual Genome's annotations takes many seconds; their columns come back from the Arrow file in one.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from dataengine_lib.core.files import cache_folder
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.pool_columns import SCHEMA, pool_metadata

_log = logging.getLogger(__name__)

_CACHE_VERSION = 4  # raise it when the columns, their metadata or the rules by which they are filled change
_DIGEST_BYTES = 32  # a cache file ends with the SHA-256 of everything before


def cached_columns(
    root: Path, kind: str, files: list[Path], read: Callable[[], pa.RecordBatch]
) -> pa.RecordBatch:
    """What `read()` returns, from the cache where files with the same names and contents were read before.

    The cache lies in the user's cache folder. A cache file that is damaged or has other columns is replaced; where
    none can be written, the annotations are read every time. Raises DataEngineError when one of `files` cannot be
    read.
    """
    before = _file_states(files)
    folder = cache_folder("pools")
    if folder is None:
        return read()
    cache_file = folder / f"{_cache_key(root, kind, files)}.arrow"
    columns = _load(cache_file)
    if columns is None:
        columns = read()
        # a file that changed while it was read would be cached under the key of its old content
        if _file_states(files) == before:
            _save(cache_file, columns)
    return columns


def _file_states(files: list[Path]) -> list[tuple[int, int, int]]:
    """Inode, size and modification time of each file."""
    try:
        # a file that a rename has put in place has another inode, even with equal size and time
        return [(s.st_ino, s.st_size, s.st_mtime_ns) for s in map(os.stat, files)]
    except OSError as error:
        raise DataEngineError(
            f"{error.filename}: cannot be read ({error.strerror}); check the path"
        ) from error


def _cache_key(root: Path, kind: str, files: list[Path]) -> str:
    """SHA-256 of the files' names and contents: 0.3 s for COCO's 550 MB on a processor with SHA instructions."""
    digest = hashlib.sha256(f"{_CACHE_VERSION}\n{kind}\n".encode())
    for file in files:
        try:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise DataEngineError(f"{file}: cannot be read ({error.strerror}); check the path") from error
        digest.update(f"{file.relative_to(root).as_posix()}\n{content}\n".encode())
    return digest.hexdigest()


def _load(cache_file: Path) -> pa.RecordBatch | None:
    """The cached columns; None when there are none or they cannot be used."""
    try:
        content = cache_file.read_bytes()
        body = memoryview(content)[:-_DIGEST_BYTES]
        # the digest first, so that Arrow never reads a damaged file
        if hashlib.sha256(body).digest() != content[-_DIGEST_BYTES:]:
            raise ValueError("its content is not what was written")
        with pa.ipc.open_file(pa.py_buffer(body)) as reader:
            columns = reader.get_batch(0)
        if not columns.schema.equals(SCHEMA):
            raise ValueError("other columns")
        columns.validate(full=True)  # list offsets outside the data would crash the process later
        pool_metadata(columns)  # raises where the file has none
        return columns
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        _log.info("%s: cannot be used (%s); the annotations are read instead", cache_file, error)
        return None


def _save(cache_file: Path, columns: pa.RecordBatch) -> None:
    """Write the columns and their digest, whole or not at all; a failure is only logged."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, columns.schema) as writer:
        writer.write_batch(columns)
    body = sink.getvalue()
    try:
        with replacing(cache_file) as stream:
            stream.write(body)
            stream.write(hashlib.sha256(body).digest())
    except (OSError, DataEngineError) as error:
        _log.info("no cache of the image pool: %s", error)
