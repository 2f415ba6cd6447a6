"""Step 2: which pool images lie nearest to a bad case's image, and which are near-duplicates of evaluation images."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dataengine_lib.core.records import ImageId
from dataengine_lib.embeddings.lazy_encoder import LazyEncoder
from dataengine_lib.embeddings.store import closest, nearest
from dataengine_lib.embeddings.update_store import EmbedResult, complete_store
from dataengine_lib.images.references import ImageRef
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.queries.sampling import Neighbours
from dataengine_lib.questions.evaluation_images import NEAR_DUPLICATE

if TYPE_CHECKING:
    from dataengine_lib.embeddings.encoder import Encoder

UNREADABLE_IMAGE = "image cannot be read"
_COSINE_ERROR = 1e-5  # a float32 cosine of two equal images may be this much below 1


@dataclass(frozen=True)
class SearchSettings:
    """How images are embedded and compared; the fields are those of ConstructQueriesConfig.

    `store` is the pool's embedding store, `topk` the number of neighbours, and `near_duplicate` the cosine from which
    a pool image counts as an evaluation image (None: not checked).
    """

    encoder: str
    store: Path
    topk: int
    near_duplicate: float | None
    device: str = "auto"
    batch_size: int = 64


@dataclass(frozen=True)
class Anchors:
    """The images of bad cases (anchors), by how a record names them, and the pool images near them.

    `paths` are relative to the evaluation root, `missing` says why an image was not found, and `near` holds the
    neighbours of each anchor by its path. `vectors` are those of the images that were to have one, by path.
    """

    paths: Mapping[ImageRef, str]
    missing: Mapping[ImageRef, str]
    near: Mapping[str, Neighbours]
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)

    def vectors_of(self, cases: Sequence[BadCase]) -> np.ndarray:
        """The vectors `(n, d)` float32 of the cases' images, zeros where an image has none."""
        size = len(next(iter(self.vectors.values()), ()))
        none = np.zeros(size, dtype=np.float32)
        found = [self.vectors.get(self.paths.get(case.image, ""), none) for case in cases]
        return np.array(found, dtype=np.float32).reshape(len(cases), size)

    def neighbours_of(self, case: BadCase) -> Neighbours:
        """The neighbours of a bad case's image, or the reason why there are none."""
        path = self.paths.get(case.image)
        if path is None:
            return Neighbours.none("the bad case's image was not found")
        return self.near.get(path) or Neighbours.none("the bad case's image cannot be read")


@dataclass(frozen=True)
class ImageSearch:
    """Looks for the images of bad cases; `paths` and `missing` are those of Anchors.

    `search` is None where no image was to be embedded.
    """

    paths: Mapping[ImageRef, str]
    missing: Mapping[ImageRef, str]
    topk: int
    search: "_Search | None"

    def anchors(self, cases: Iterable[BadCase], compared: Iterable[BadCase] = ()) -> Anchors:
        """The pool images near those of `cases`, and the vectors of those `compared` with each other."""
        if self.search is None:
            return Anchors(self.paths, self.missing, {})
        near = self.search.neighbours(self._found(cases), self.topk)
        return Anchors(self.paths, self.missing, near, self.search.vectors_of(self._found(compared)))

    def _found(self, cases: Iterable[BadCase]) -> Iterator[str]:
        return (self.paths[case.image] for case in cases if case.image in self.paths)


def open_search(
    pool: QueryPool,
    paths: Mapping[ImageRef, str],
    missing: Mapping[ImageRef, str],
    needed: Collection[ImageRef],
    settings: SearchSettings,
) -> ImageSearch:
    """Embed the pool and the evaluation images; near-duplicates of any of `paths` are left out of the pool.

    `paths` are all evaluation images that were found, `missing` why others were not, `needed` those to search for or to
    compare. Call it when all other images that must not be asked about have been left out of the pool. Embeds only what
    `settings.store` does not hold yet.
    """
    needed = set(needed)
    # without the near-duplicate check no others need vectors
    to_embed = [
        (ref.image_id, path)
        for ref, path in paths.items()
        if ref in needed or settings.near_duplicate is not None
    ]
    if not to_embed:
        return ImageSearch(paths, missing, settings.topk, None)
    encoder = LazyEncoder(settings.encoder, settings.device)
    search = _open_search(pool, to_embed, encoder, settings)
    if settings.near_duplicate is not None:
        search.leave_out_near_duplicates(settings.near_duplicate)
    return ImageSearch(paths, missing, settings.topk, search)


@dataclass
class _Search:
    """Exact search from evaluation images to pool images, all of which have been embedded.

    `vectors` are `(n, d)` float32 of unit length, one for each of `rows`, int64 `(n,)`, of the pool;
    `evaluation_rows` maps an evaluation image's path to its row in `evaluation.store`.
    """

    pool: QueryPool
    vectors: np.ndarray
    rows: np.ndarray
    evaluation: EmbedResult
    evaluation_rows: dict[str, int]

    def leave_out_near_duplicates(self, threshold: float) -> None:
        """Leave out pool images whose cosine with any evaluation image reaches the threshold."""
        scored = self.evaluation.store.vectors
        others = scored[sorted(self.evaluation_rows.values())] if self.evaluation_rows else np.empty((0, 0))
        best = closest(self.vectors, others)
        self.pool.leave_out(self.rows[best >= threshold - _COSINE_ERROR].tolist(), NEAR_DUPLICATE)

    def vectors_of(self, paths: Iterable[str]) -> dict[str, np.ndarray]:
        """The vector `(d,)` of each evaluation image that has one; rows of the memory-mapped store."""
        scored, rows = self.evaluation.store.vectors, self.evaluation_rows
        return {path: scored[rows[path]] for path in paths if path in rows}

    def neighbours(self, paths: Iterable[str], k: int) -> dict[str, Neighbours]:
        """The k nearest pool images of each evaluation image that has a vector, in one batched search."""
        # sorted, so that the search runs over the same order in every run
        known = sorted({path for path in paths if path in self.evaluation_rows})
        if not known or not len(self.rows):
            return {}
        queries = np.asarray(self.evaluation.store.vectors[[self.evaluation_rows[path] for path in known]])
        indices, similarities = nearest(queries, self.vectors, k)
        return {
            path: Neighbours(self.rows[i], s) for path, i, s in zip(known, indices, similarities, strict=True)
        }


def _open_search(
    pool: QueryPool,
    evaluation: Iterable[tuple[ImageId, str]],
    encoder: "Encoder | LazyEncoder",
    settings: SearchSettings,
) -> _Search:
    """Embed what is missing: the pool into the store, evaluation images (id, path) into `evaluation/` below it.

    Pool images that cannot be read are left out.
    """
    images, store, batch_size = pool.images, settings.store, settings.batch_size
    # 1. vectors of the pool
    with_file = [row for row, path in enumerate(images.paths) if path]
    ids_and_paths = [
        (image_id, path) for image_id, path in zip(images.ids.tolist(), images.paths, strict=True) if path
    ]
    embedded = complete_store(ids_and_paths, images.root, encoder, store, batch_size)
    # embedded.rows has one entry for each image with a file: -1 where it cannot be read
    readable = np.flatnonzero(embedded.rows >= 0)
    pool.leave_out((with_file[i] for i in np.flatnonzero(embedded.rows < 0)), UNREADABLE_IMAGE)

    # 2. vectors of the evaluation images
    # an id alone and an id with a path may be the same image
    wanted = list(dict.fromkeys(evaluation))
    scored = complete_store(wanted, pool.evaluation_root, encoder, store / "evaluation", batch_size)
    pool.unreadable += [f"{bad.path}: {bad.reason}" for bad in (*embedded.unreadable, *scored.unreadable)]
    evaluation_rows = {path: int(row) for (_, path), row in zip(wanted, scored.rows, strict=True) if row >= 0}
    # 3. the pool rows that have a vector, and their vectors in the same order
    rows = np.array(with_file, dtype=np.int64)[readable]
    vectors = _rows_of(embedded.store.vectors, embedded.rows[readable])
    return _Search(pool, vectors, rows, scored, evaluation_rows)


def _rows_of(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`vectors[rows]`; the memory-mapped array itself, without a copy, where that is every row in order."""
    return vectors if np.array_equal(rows, np.arange(len(vectors))) else vectors[rows]
