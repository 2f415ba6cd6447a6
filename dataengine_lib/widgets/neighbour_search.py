"""The pool images nearest to any image or sentence (step 2), with the cosines by which step 2 draws neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dataengine_lib.core.text import first_named, shown
from dataengine_lib.embeddings.lazy_encoder import LazyEncoder
from dataengine_lib.embeddings.store import nearest
from dataengine_lib.embeddings.update_store import complete_store
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import decode_image
from dataengine_lib.images.pool import ImagePool, PoolImage
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.runs.opened.image_roots import existing_folder

if TYPE_CHECKING:
    from dataengine_lib.embeddings.text_encoder import TextEncoder
    from dataengine_lib.runs.opened.opened_run import OpenedRun


@dataclass(frozen=True)
class NeighbourSettings:
    """The pool's folder, the store of its embeddings (completed where images are missing), and the encoder's name."""

    pool: Path
    store: Path
    encoder: str
    batch_size: int = 64


@dataclass(frozen=True)
class PoolNeighbour:
    """A pool image with its captions and boxes, its file, and its cosine with what was looked for."""

    image: PoolImage
    file: Path
    cosine: float


def run_neighbours(run: "OpenedRun", given: NeighbourSettings) -> NeighbourSettings:
    """The settings of the run's step 2 where its pool and store are there, else those `given`."""
    try:
        parameters = run.parameters("construct_queries")
        pool = existing_folder(Path(parameters["coco_dataset"]), run.folder)
        store = existing_folder(Path(parameters["coco_embedding"]), run.folder)
        encoder = str(parameters["encoder"])
    except (DataEngineError, KeyError):  # a folder without manifests, or of another version
        return given
    if pool is None or store is None:
        return given
    place = existing_folder(Path(encoder), run.folder)
    return NeighbourSettings(pool, store, str(place or encoder))


class NeighbourSearch:
    """Looks for neighbours in the pool; it is read, and embedded where the store is not complete, at the first search."""

    def __init__(self, settings: NeighbourSettings) -> None:
        self.settings = settings
        self._encoder = LazyEncoder(settings.encoder)

    def of_image(self, image: Image.Image) -> np.ndarray:
        """The vector `(d,)` of an image."""
        found: np.ndarray = self._encoder.encode_prepared([self._encoder.prepare(image)])[0]
        return found

    def of_upload(self, content: bytes) -> np.ndarray:
        """The vector of an image file's bytes. Raises DataEngineError when it cannot be read as an image."""
        image = decode_image(content)
        if isinstance(image, str):
            raise DataEngineError(f"the uploaded file cannot be read as an image: {image}")
        return self.of_image(image)

    def of_sentence(self, text: str) -> np.ndarray:
        """The vector of a sentence. Raises DataEngineError for an encoder that knows no texts."""
        if not text.strip():
            raise DataEngineError("type a sentence, such as: a dog beside a red car")
        found: np.ndarray = self._texts.encode([text])[0]
        return found

    def of_pool_image(self, name: str) -> np.ndarray:
        """The stored vector of a pool image, named by its id or path, or by the end of its path."""
        row = self._row_of(name)
        place = np.flatnonzero(self._index[0] == row)
        if not len(place):
            raise DataEngineError(f"{shown(name)}: the image cannot be read, so it has no embedding")
        found: np.ndarray = np.asarray(self._index[1][int(place[0])])
        return found

    def nearest(self, vector: np.ndarray, k: int) -> list[PoolNeighbour]:
        """The k pool images of the highest cosine with `vector` `(d,)`, best first."""
        rows, vectors = self._index
        places, cosines = nearest(vector[None].astype(np.float32), vectors, k)
        return [
            PoolNeighbour(image := self._pool[int(rows[place])], self._pool.root / image.path, float(cosine))
            for place, cosine in zip(places[0], cosines[0], strict=True)
        ]

    @cached_property
    def _pool(self) -> ImagePool:
        return read_pool(self.settings.pool)

    @cached_property
    def _texts(self) -> "TextEncoder":
        from dataengine_lib.embeddings.text_encoder import load_text_encoder

        return load_text_encoder(self.settings.encoder)

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the pool `(n,)` that have a vector, and their vectors `(n, d)`, as in step 2's search."""
        pool, settings = self._pool, self.settings
        with_file = [row for row, path in enumerate(pool.paths) if path]
        images = [(pool.id_of(row), pool.paths[row]) for row in with_file]
        found = complete_store(images, pool.root, self._encoder, settings.store, settings.batch_size)
        there = np.flatnonzero(found.rows >= 0)
        return np.array(with_file, dtype=np.int64)[there], np.asarray(found.store.vectors)[found.rows[there]]

    def _row_of(self, name: str) -> int:
        """The pool's row of an image. Raises DataEngineError when none is meant, or several are."""
        text = name.strip()
        if text.isdecimal() and (row := self._pool.row_of(int(text))) >= 0:
            return row
        if text and (row := self._pool.row_of(text)) >= 0:
            return row
        ends = _named(self._pool.paths, text) if text else []
        if len(ends) == 1:
            return ends[0]
        several = first_named([self._pool.paths[row] for row in ends], 3)
        why = f"means several images: {several}" if ends else "no image of the pool has that id or path"
        raise DataEngineError(
            f"{shown(name)}: {why}; give one such as {self._pool.paths[0] or self._pool.id_of(0)}"
        )


def _named(paths: Sequence[str], text: str) -> list[int]:
    """The rows whose path is, or ends in, that text."""
    same = [row for row, path in enumerate(paths) if path == text]
    return same or [row for row, path in enumerate(paths) if path.endswith(f"/{text}")]
