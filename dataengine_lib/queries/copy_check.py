"""Step 2: no query about a copy of an evaluation image; each pool image that is drawn is compared with all of them."""

from collections.abc import Iterable
from pathlib import Path

from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.images.copies import COPY, HASH_FILE, CopyFinder
from dataengine_lib.queries.query_pool import QueryPool


class CopyCheck:
    """Says of pool images whether they are copies of evaluation images, and leaves copies out of the pool.

    `paths` are the evaluation images that were found, relative to the pool's `evaluation_root`; hashes are kept in the
    folder `store`. Only images that are drawn are compared, as a pool may have a hundred thousand.
    """

    def __init__(self, pool: QueryPool, paths: Iterable[str], store: Path) -> None:
        self.pool = pool
        # sorted, so that messages name the same original in every run
        originals = (pool.evaluation_root / path for path in sorted(set(paths)))
        self._finder = CopyFinder(originals, store / HASH_FILE)
        self._bar = progress_bar(desc="comparing images", unit="image", leave=False)
        self.drawn = 0

    def is_usable(self, row: int) -> bool:
        """Whether the pool image of that row is no copy."""
        self.drawn += 1
        self._bar.update()
        images = self.pool.images
        if self._finder.original(images.root / images.paths[row]) is None:
            return True
        self.pool.leave_out([row], COPY)
        return False

    def finish(self) -> None:
        """Keep the hashes for the next round and for step 4."""
        self._bar.close()
        self._finder.save()

    def sentence(self, cosine: float | None) -> str:
        """With what the pool was compared; `cosine` is the limit of near-duplicates, None where it was not used."""
        if not self._finder.compared:
            return "no evaluation image was compared with the pool"
        vectors = f", by cosine of their embeddings ({cosine} and more)" if cosine is not None else ""
        return (
            f"compared with {self._finder.compared:,} evaluation images: every image of the pool by id and file{vectors}; "
            f"the {self.drawn:,} drawn images also by their bytes and by hashes of what they show (mirrored, turned, cut, "
            "framed, blurred, gray)"
        )
