"""Step 2: no query about a copy of an evaluation image; each pool image that is drawn is compared with all of them."""

from collections.abc import Callable, Iterable
from pathlib import Path

from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.images.copies import COPY, HASH_FILE, CopyFinder
from dataengine_lib.queries.query_pool import QueryPool

# Images that are compared at once, at least, and the share of those that will be drawn. If one of them turns out to be
# a copy, other images are drawn in place of some that come after it.
_AT_ONCE = 256
_SHARE_AT_ONCE = 1 / 8


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
        self._is_copy: dict[int, bool] = {}  # by row, of images that were compared

    def look_ahead(self, drawn: Callable[[Callable[[int], bool]], list[int]]) -> None:
        """Compare images before `is_usable` is asked about them, many at once on all cores.

        `drawn(usable)` gives the rows that it will be asked about, in order, if `usable` has its answers.
        """
        while rows := [row for row in drawn(self._may_be_usable) if row not in self._is_copy]:
            at_once = max(_AT_ONCE, int(len(rows) * _SHARE_AT_ONCE))
            for start in range(0, len(rows), at_once):
                if self._compare(rows[start : start + at_once]):
                    break

    def is_usable(self, row: int) -> bool:
        """Whether the pool image of that row is no copy."""
        self.drawn += 1
        if row not in self._is_copy:
            self._compare([row])
        if self._is_copy[row]:
            self.pool.leave_out([row], COPY)
        return not self._is_copy[row]

    def _may_be_usable(self, row: int) -> bool:
        return not self._is_copy.get(row)

    def _compare(self, rows: list[int]) -> bool:
        """Compare the images; whether one of them is a copy."""
        images = self.pool.images
        found = self._finder.originals([images.root / images.paths[row] for row in rows])
        for row, original in zip(rows, found, strict=True):
            self._is_copy[row] = original is not None
            self._bar.update()
        return any(self._is_copy[row] for row in rows)

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
