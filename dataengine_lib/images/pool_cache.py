"""The cache of image pools (step 2): columns as an Arrow file, named by the hash of the files they were read from.

See `data/user_cache.py` for where it lies.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from dataengine_lib.core.files import replacing
from dataengine_lib.core.user_cache import cache_folder
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.pool_columns import SCHEMA, facts_of

log = logging.getLogger(__name__)

VERSION = 2  # raise it when columns or the rules by which they are filled change
_DIGEST = 32  # bytes of SHA-256 that end the file, over all before


def cached_columns(
    root: Path, kind: str, files: list[Path], read: Callable[[], pa.RecordBatch]
) -> pa.RecordBatch:
    """What `read()` returns, from the cache when these files were read before.

    A cache file that is damaged or of another making is made again. Where none can be written it is done without.
    Raises DataEngineError when one of the files cannot be read.
    """
    before = _states(files)
    folder = cache_folder("pools")
    if folder is None:
        return read()
    file = folder / f"{_key(root, kind, files)}.arrow"
    columns = _load(file)
    if columns is None:
        columns = read()
        if _states(files) == before:  # else the key may not be that of what was read
            _save(file, columns)
    return columns


def _states(files: list[Path]) -> list[tuple[int, int, int]]:
    try:
        return [(s.st_ino, s.st_size, s.st_mtime_ns) for s in map(os.stat, files)]
    except OSError as error:
        raise DataEngineError(
            f"{error.filename}: cannot be read ({error.strerror}); check the path"
        ) from error


def _key(root: Path, kind: str, files: list[Path]) -> str:
    """SHA-256 of the files' names and contents: 0.3 s for COCO's 550 MB where the processor has instructions for it."""
    digest = hashlib.sha256(f"{VERSION}\n{kind}\n".encode())
    for file in files:
        try:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise DataEngineError(f"{file}: cannot be read ({error.strerror}); check the path") from error
        digest.update(f"{file.relative_to(root).as_posix()}\n{content}\n".encode())
    return digest.hexdigest()


def _load(file: Path) -> pa.RecordBatch | None:
    try:
        content = file.read_bytes()
        body = memoryview(content)[:-_DIGEST]
        if hashlib.sha256(body).digest() != content[-_DIGEST:]:
            raise ValueError("its content is not what was written")
        with pa.ipc.open_file(pa.py_buffer(body)) as reader:
            columns = reader.get_batch(0)
        if not columns.schema.equals(SCHEMA):
            raise ValueError("other columns")
        columns.validate(full=True)  # offsets that point elsewhere would crash the process
        facts_of(columns)
        return columns
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        log.info("%s: cannot be used (%s); reading the annotations again", file, error)
        return None


def _save(file: Path, columns: pa.RecordBatch) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, columns.schema) as writer:
        writer.write_batch(columns)
    body = sink.getvalue()
    try:
        with replacing(file) as stream:
            stream.write(body)
            stream.write(hashlib.sha256(body).digest())
    except (OSError, DataEngineError) as error:
        log.info("no cache of the image pool: %s", error)
