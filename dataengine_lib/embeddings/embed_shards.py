"""Step 2: turns image files into vectors, shard by shard; threads decode images while the encoder runs."""

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dataengine_lib.core.machine.threads import threads_for
from dataengine_lib.core.records import ImageId
from dataengine_lib.core.text import one_line
from dataengine_lib.embeddings.finished_shards import EmbeddedRows, Unreadable
from dataengine_lib.embeddings.store import StoredImage
from dataengine_lib.images.decode import decode_image
from dataengine_lib.images.references import id_key

if TYPE_CHECKING:
    from dataengine_lib.embeddings.encoder import Encoder
    from dataengine_lib.embeddings.lazy_encoder import LazyEncoder

Shards = dict[int, list[tuple[ImageId, str]]]  # number of a shard -> (image id, path under the image root)
OnProgress = Callable[[int], object]  # called with the number of further images that are done
# (shards, image root, encoder, batch size, on_progress) -> each shard's number and rows as soon as it is done
Embedded = Generator[tuple[int, EmbeddedRows], None, None]
Engine = Callable[[Shards, Path, "Encoder | LazyEncoder", int, OnProgress], Embedded]
_Loaded = tuple[StoredImage, np.ndarray | str]  # the file, and its pixels or the reason why there are none


def encode_shards(
    shards: Shards,
    root: Path,
    encoder: "Encoder | LazyEncoder",
    batch_size: int,
    on_progress: OnProgress,
    threads: int = 0,
) -> Embedded:
    """Embed shards in order; images that cannot be read are listed in their shard's rows.

    PIL decodes and resizes outside Python's global lock, so threads (by default one for each CPU, at most 16) keep the
    model supplied. A small model on a processor embeds several batches at the same time, each in one thread.
    """
    if not shards:
        return  # the encoder is not loaded
    with (
        ThreadPoolExecutor(threads or min(16, os.cpu_count() or 1)) as pool,
        threads_for(encoder.parameters),
        ThreadPoolExecutor(encoder.batches_at_once) as models,
    ):
        # one stream over all shards: the next shard is decoded while this one is being finished
        paths = (path for items in shards.values() for _, path in items)
        loaded = _load_ahead(pool, paths, root, encoder, 3 * batch_size)
        for number, items in shards.items():
            ids: list[int] = []
            images: list[StoredImage] = []
            waiting: deque[Future[np.ndarray]] = deque()  # batches that are with the model
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
                        ids.append(id_key(image_id))
                        if isinstance(image_id, str):
                            stored.image_id = image_id
                        images.append(stored)
                        pixels.append(content)
                if pixels:
                    waiting.append(models.submit(encoder.encode_prepared, pixels))
                if len(waiting) > encoder.batches_at_once:
                    vectors.append(waiting.popleft().result())
                on_progress(len(batch))
            vectors += [one.result() for one in waiting]
            # without a vector their dimension is not known either
            joined = np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
            yield number, EmbeddedRows(np.array(ids, dtype=np.int64), joined, images, unreadable)


def _load_ahead(
    pool: ThreadPoolExecutor, paths: Iterable[str], root: Path, encoder: "Encoder | LazyEncoder", window: int
) -> Iterator[_Loaded]:
    """Decode images in threads and yield them in order, at most `window` images ahead of the model."""
    waiting: deque[Future[_Loaded]] = deque()
    for path in paths:
        waiting.append(pool.submit(load_image, root / path, path, encoder))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def load_image(file: Path, path: str, encoder: "Encoder | LazyEncoder") -> _Loaded:
    """Read and prepare one image; `path` is its name in the store. Returns the reason in place of pixels it lacks."""
    try:
        # read once, so that the digest is that of the pixels even if the file changes meanwhile
        data, state = file.read_bytes(), file.stat()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        return StoredImage(path), getattr(error, "strerror", "") or str(error)
    image = decode_image(data)
    if isinstance(image, str):
        return StoredImage(path), image
    try:
        return StoredImage(path, len(data), state.st_mtime_ns, digest(data)), encoder.prepare(image)
    except (ValueError, TypeError, ArithmeticError) as error:  # a picture of one row, which cannot be cropped
        return StoredImage(path), f"{type(error).__name__}: {one_line(str(error))[:160]}"


def digest(data: bytes) -> str:
    """The BLAKE2b digest of a file's content, 24 hexadecimal digits: enough to see that a file has changed."""
    return hashlib.blake2b(data, digest_size=12).hexdigest()
