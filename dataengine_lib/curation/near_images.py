"""Step 4: which images of training records show the same as another one, by their embeddings."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dataengine_lib.embeddings.store import EmbeddingStore, closest, nearest, open_store, store_exists

MOST = 16  # near-duplicates looked for per image
_ROUNDING = 1e-5  # of a float32 cosine


class NearImages:
    """Near-duplicates among the images of a store of step 2: those whose cosine reaches `threshold`.

    Raises DataEngineError when there is no store at `path` or its files do not belong together.
    """

    def __init__(self, path: Path, threshold: float = 0.98) -> None:
        self.store, self.threshold = open_store(path), threshold - _ROUNDING
        evaluation = Path(path) / "evaluation"  # where step 2 puts the images that it searches from
        self.evaluation: EmbeddingStore | None = open_store(evaluation) if store_exists(evaluation) else None
        self._row = {int(image_id): row for row, image_id in enumerate(self.store.ids)}

    def of_evaluation(self, image_ids: Iterable[int]) -> set[int]:
        """Those of the images that are near-duplicates of an image in the store of evaluation images."""
        ids, vectors = self._vectors(image_ids)
        if self.evaluation is None or not len(ids):
            return set()
        best = closest(vectors, np.asarray(self.evaluation.vectors))
        return set(ids[best >= self.threshold].tolist())

    def pairs(self, image_ids: Iterable[int]) -> dict[int, list[int]]:
        """Every image that has near-duplicates among the others, with up to MOST of them, the nearest first.

        Exact search: the time grows with the square of the number of images, about two minutes for 100,000.
        """
        ids, vectors = self._vectors(image_ids)
        if len(ids) < 2:
            return {}
        places, cosines = nearest(vectors, vectors, MOST + 1)
        found = {}
        for row in np.flatnonzero((cosines >= self.threshold).sum(axis=1) > 1).tolist():
            near = places[row][cosines[row] >= self.threshold]
            found[int(ids[row])] = [int(ids[place]) for place in near if place != row]
        return found

    def _vectors(self, image_ids: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        ids = np.array(sorted({one for one in image_ids if one in self._row}), dtype=np.int64)
        return ids, np.asarray(self.store.vectors[[self._row[one] for one in ids.tolist()]])
