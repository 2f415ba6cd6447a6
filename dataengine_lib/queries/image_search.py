"""The images of step 2: which ones of the pool may carry a query, and which lie near a bad case's image."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Query
from dataengine_lib.embeddings.store import closest, nearest
from dataengine_lib.embeddings.update_store import EmbedResult, complete_store
from dataengine_lib.images.pool import ImagePool
from dataengine_lib.images.references import ImageRef, locate
from dataengine_lib.queries.sampling import Neighbours
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE, NEAR_DUPLICATE

if TYPE_CHECKING:
    from dataengine_lib.embeddings.encoder import Encoder
    from dataengine_lib.embeddings.lazy_encoder import LateEncoder

EARLIER_ROUND = "used in an earlier round"
UNREADABLE = "image cannot be read"
_ROUNDING = 1e-5  # of a float32 cosine


class QueryPool:
    """Pool images in id order, and which of them are still free for a query."""

    def __init__(self, coco: ImagePool, evaluation_root: Path) -> None:
        self.coco = coco
        self.evaluation_root = evaluation_root
        self.same_root = evaluation_root.resolve() == coco.root.resolve()
        self.images = coco
        self.free = coco.free
        self.left_out: Counter[str] = Counter(coco.skipped)
        self.unreadable: list[str] = []

    def leave_out(self, rows: Iterable[int], reason: str) -> None:
        """Take rows from the free ones; each counts under the first reason given for it."""
        for row in rows:
            if self.free[row]:
                self.free[row] = False
                self.left_out[reason] += 1

    def find(self, ref: ImageRef) -> str:
        """Path under the evaluation root of an evaluation image. Raises DataEngineError when it is not there."""
        known = self.coco.find(ref.image_id) if self.same_root and not ref.image_path else None
        return known.path if known is not None and known.path else locate(ref, self.evaluation_root)

    def leave_out_evaluation(self, refs: Iterable[ImageRef], found: dict[ImageRef, str]) -> None:
        """The pool must not hold an image that is scored: same file, same id in the same folder, or same COCO photo."""
        ids = [ref.image_id for ref in refs if ref.image_id >= 0]
        same = np.isin(self.coco.ids if self.same_root else self.coco.coco_ids, ids)
        real = _RealPaths()
        files = {real(f"{self.evaluation_root}/{path}") for path in found.values()}
        root, names = str(self.coco.root), {os.path.basename(file) for file in files}
        for row, path in enumerate(self.coco.paths):
            if path.rpartition("/")[2] in names and real(f"{root}/{path}") in files:
                same[row] = True
        self.leave_out(np.flatnonzero(same).tolist(), EVALUATION_IMAGE)

    def leave_out_queries(self, files: Iterable[Path]) -> None:
        """Images that an earlier round has asked about."""
        for file in files:
            queries: list[Query] = read_json(file, list[Query])
            same = np.isin(self.coco.ids, [query.image_id for query in queries])
            self.leave_out(np.flatnonzero(same).tolist(), EARLIER_ROUND)


class _RealPaths:
    """Real paths of many files in few folders: only the folders' links are followed."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        folder, name = os.path.split(path)
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        return f"{self.folders[folder]}/{name}"


@dataclass
class Search:
    """Exact search from evaluation images to pool images; every image of both has been embedded once."""

    pool: QueryPool
    vectors: np.ndarray  # (n, d) of the pool rows below
    rows: np.ndarray
    evaluation: EmbedResult
    places: dict[str, int]  # path under the evaluation root -> row of the evaluation store

    def leave_out_near_duplicates(self, threshold: float) -> None:
        """Take away pool images whose cosine with an evaluation image reaches the threshold."""
        others = (
            self.evaluation.store.vectors[sorted(self.places.values())] if self.places else np.empty((0, 0))
        )
        best = closest(self.vectors, others)
        self.pool.leave_out(self.rows[best >= threshold - _ROUNDING].tolist(), NEAR_DUPLICATE)

    def neighbours(self, paths: Iterable[str], k: int) -> dict[str, Neighbours]:
        """The k nearest pool images of each evaluation image, in one batched search."""
        known = sorted({path for path in paths if path in self.places})
        if not known or not len(self.rows):
            return {}
        queries = np.asarray(self.evaluation.store.vectors[[self.places[path] for path in known]])
        indices, similarities = nearest(queries, self.vectors, k)
        return {
            path: Neighbours(self.rows[i], s) for path, i, s in zip(known, indices, similarities, strict=True)
        }


def open_search(
    pool: QueryPool,
    evaluation: Iterable[tuple[int, str]],
    encoder: "Encoder | LateEncoder",
    store: Path,
    batch_size: int,
) -> Search:
    """Embed what is not embedded yet: the pool into `store`, evaluation images (id, path) into `store`/evaluation."""
    located = zip(pool.coco.ids.tolist(), pool.coco.paths, strict=True)
    there = [row for row, path in enumerate(pool.coco.paths) if path]
    images = [(image_id, path) for image_id, path in located if path]
    embedded = complete_store(images, pool.coco.root, encoder, store, batch_size)
    kept = np.flatnonzero(embedded.rows >= 0)
    pool.leave_out((there[i] for i in np.flatnonzero(embedded.rows < 0)), UNREADABLE)
    wanted = list(dict.fromkeys(evaluation))
    scored = complete_store(wanted, pool.evaluation_root, encoder, store / "evaluation", batch_size)
    pool.unreadable += [f"{bad.path}: {bad.reason}" for bad in (*embedded.unreadable, *scored.unreadable)]
    places = {path: int(row) for (_, path), row in zip(wanted, scored.rows, strict=True) if row >= 0}
    rows = np.array(there, dtype=np.int64)[kept]
    return Search(pool, _at(embedded.store.vectors, embedded.rows[kept]), rows, scored, places)


def _at(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`vectors[rows]`, without a copy where that is all of them."""
    return vectors if np.array_equal(rows, np.arange(len(vectors))) else vectors[rows]
