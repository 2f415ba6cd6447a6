"""Step 2: the images of the pool, and which of them may still be asked about."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from dataengine_lib.core.bad_rows import BadRows, all_usable_rows
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId
from dataengine_lib.images.pool import ImagePool
from dataengine_lib.images.references import (
    ImageRef,
    base_name,
    coco_number,
    id_key,
    image_number,
    image_ref,
    locate,
)
from dataengine_lib.queries.spares import with_asked_spares
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE

EARLIER_ROUND = "used in an earlier round"
_WANTED = "gptvqa_prompt.json of construct-queries"


class _AskedAbout(msgspec.Struct):
    """The fields of `records.Query` that name its image, by an id or a path."""

    image_id: ImageId = UNKNOWN_IMAGE
    image_path: str = ""

    def __post_init__(self) -> None:
        # a ValueError here makes the row one that cannot be used
        self.image_id = image_ref(self.image_id, self.image_path).image_id
        if self.image_id == UNKNOWN_IMAGE:
            if not self.image_path:
                raise ValueError("a query names an image")
            self.image_id = image_number(
                self.image_path
            )  # the id of an image in a folder without annotations


class QueryPool:
    """An image pool with a mask of the images that are free: no query may use any other one.

    `free` is bool `(n,)`; `left_out` counts the other images by reason; `unreadable` has
    one line for each image file that could not be embedded. `evaluation_root` is the folder of the bad cases' and
    the evaluation questions' images.
    """

    def __init__(self, images: ImagePool, evaluation_root: Path) -> None:
        self.images = images
        self.evaluation_root = evaluation_root
        self.same_root = evaluation_root.resolve() == images.root.resolve()
        self.free = images.free
        self.left_out: Counter[str] = Counter(images.skipped)
        self.unreadable: list[str] = []

    def leave_out(self, rows: Iterable[int], reason: str) -> None:
        """Mark pool rows as not free; each image counts under the first reason given for it."""
        for row in rows:
            if self.free[row]:
                self.free[row] = False
                self.left_out[reason] += 1

    def find(self, ref: ImageRef) -> str:
        """An evaluation image's path, relative to `evaluation_root`. Raises DataEngineError when no file is there."""
        # the pool has listed its folders already, so an id costs no look-up on the disk
        known = self.images.find(ref.image_id) if self.same_root and not ref.image_path else None
        return known.path if known is not None and known.path else locate(ref, self.evaluation_root)

    def leave_out_evaluation(self, refs: Iterable[ImageRef], paths: dict[ImageRef, str]) -> None:
        """Leave out every pool image that is an evaluation image, so that no scored image is trained on.

        `paths` holds the location of those of `refs` that were found. Two images are the same when they are the same
        file, have the same id in the same folder, or are the same COCO photo: by the numbers in their file names, or by
        the one that Visual Genome's annotations give.
        """
        refs = list(refs)
        ids = [id_key(ref.image_id) for ref in refs if ref.image_id != UNKNOWN_IMAGE]
        # in another folder the same id may be another image; only COCO's own ids hold everywhere
        same = np.isin(self.images.keys if self.same_root else self.images.coco_ids, ids)
        # the path of an image that was not found may have its number too
        numbers = {name: coco_number(name) for name in [*paths.values(), *(ref.image_path for ref in refs)]}
        known = {number for number in numbers.values() if number >= 0}
        same |= np.isin(self.images.coco_ids, list(known))
        # 000000000042.jpg in another folder may be another image, COCO_val2014_000000000042.jpg never is
        if not self.same_root:
            known &= {number for name, number in numbers.items() if base_name(name).startswith("COCO_")}
        same |= np.isin([coco_number(path) for path in self.images.paths], list(known))
        real_path = _RealPaths()
        files = {real_path(f"{self.evaluation_root}/{path}") for path in paths.values()}
        root, names = str(self.images.root), {os.path.basename(file) for file in files}
        for row, path in enumerate(self.images.paths):
            # the name is compared first: it is much cheaper than resolving the path
            if path.rpartition("/")[2] in names and real_path(f"{root}/{path}") in files:
                same[row] = True
        self.leave_out(np.flatnonzero(same).tolist(), EVALUATION_IMAGE)

    def leave_out_queries(self, files: Iterable[Path], max_bad_share: float = 0.05) -> list[str]:
        """Leave out the images of earlier rounds' queries, given as `gptvqa_prompt.json` files; with the spares
        asked beside them.

        Returns warnings of files with rows that name no image, or none of this pool. Raises DataEngineError when a
        larger share than `max_bad_share` of a file's rows names none.
        """
        warnings: list[str] = []
        for file in with_asked_spares(files):
            bad = BadRows(file, max_bad_share, remedy="check exclude_queries", wanted=_WANTED, keep=1)
            asked = [id_key(query.image_id) for _, query in all_usable_rows(_AskedAbout, bad)]
            self.leave_out(np.flatnonzero(np.isin(self.images.keys, asked)).tolist(), EARLIER_ROUND)
            warnings += bad.warnings()
            unknown = len(asked) - int(np.isin(asked, self.images.keys).sum())
            if unknown or not asked:
                warnings.append(
                    f"{file}: {unknown:,} of its {len(asked):,} queries are about no image of {self.images.root}, so no "
                    "image is left out for them"
                )
        return warnings


class _RealPaths:
    """Real paths of many files in few folders: each folder's links are resolved once, those of files never."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return f"{self._folders[folder]}/{name}"
