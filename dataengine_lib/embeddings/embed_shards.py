"""Part of step 2's embedding: image files to vectors, decoded in threads while the encoder runs, shard by shard."""

import hashlib
import io
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from dataengine_lib.embeddings.finished_shards import EmbeddedRows, Unreadable
from dataengine_lib.embeddings.store import StoredImage
from dataengine_lib.images.decode import DECODE_ERRORS, as_seen

if TYPE_CHECKING:
    from dataengine_lib.embeddings.encoder import Encoder
    from dataengine_lib.embeddings.lazy_encoder import LazyEncoder

Shards = dict[int, list[tuple[int, str]]]  # number of a shard -> (image id, path under the image root)
Done = Callable[[int], object]  # told how many more images have been dealt with
# shards, image root, encoder, batch size, progress -> the shards' rows as they are done
Engine = Callable[[Shards, Path, "Encoder | LazyEncoder", int, Done], Iterator[tuple[int, EmbeddedRows]]]
Loaded = tuple[StoredImage, np.ndarray | str]


def encode_shards(
    shards: Shards,
    root: Path,
    encoder: "Encoder | LazyEncoder",
    batch_size: int,
    done: Done,
    threads: int = 0,
) -> Iterator[tuple[int, EmbeddedRows]]:
    """Every shard's rows, in order; images that cannot be read are listed with them.

    PIL decodes and resizes outside Python's lock, so threads (one a CPU, at most 16) keep the model supplied.
    """
    with ThreadPoolExecutor(threads or min(16, os.cpu_count() or 1)) as pool:
        paths = (path for items in shards.values() for _, path in items)
        loaded = _ahead(pool, paths, root, encoder, 3 * batch_size)
        for number, items in shards.items():
            ids: list[int] = []
            images: list[StoredImage] = []
            vectors: list[np.ndarray] = []
            unreadable: list[Unreadable] = []
            for start in range(0, len(items), batch_size):
                batch = items[start : start + batch_size]
                pixels = []
                for (image_id, path), (stored, content) in zip(
                    batch, itertools.islice(loaded, len(batch)), strict=True
                ):
                    if isinstance(content, str):
                        unreadable.append(Unreadable(path, content))
                    else:
                        ids.append(image_id)
                        images.append(stored)
                        pixels.append(content)
                if pixels:
                    vectors.append(encoder.encode_prepared(pixels))
                done(len(batch))
            joined = np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
            yield number, EmbeddedRows(np.array(ids, dtype=np.int64), joined, images, unreadable)


def _ahead(
    pool: ThreadPoolExecutor, paths: Iterable[str], root: Path, encoder: "Encoder | LazyEncoder", window: int
) -> Iterator[Loaded]:
    """Decode in threads, at most `window` images ahead of the model, in order."""
    waiting: deque[Future[Loaded]] = deque()
    for path in paths:
        waiting.append(pool.submit(load_image, root / path, path, encoder))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def load_image(file: Path, path: str, encoder: "Encoder | LazyEncoder") -> Loaded:
    """What identifies the file, stored under `path`, and its pixels, or the reason why it cannot be read."""
    try:
        data, state = file.read_bytes(), file.stat()
        stored = StoredImage(path, len(data), state.st_mtime_ns, digest(data))
        with Image.open(io.BytesIO(data)) as image:
            return stored, encoder.prepare(as_seen(image))
    except UnidentifiedImageError:  # whose text would name an object in memory
        return StoredImage(path), "not an image file of a known kind"
    except DECODE_ERRORS as error:
        return StoredImage(path), f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def digest(data: bytes) -> str:
    """A file's content in 24 letters."""
    return hashlib.blake2b(data, digest_size=12).hexdigest()
