"""Step 4: training records whose image is a copy of an evaluation image, also a mirrored, cut or framed one."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.leaks import SetImages
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.copies import CopyFinder
from dataengine_lib.images.references import ImageRef, locate, locate_all


class ImageCopies:
    """Compares the images of records with evaluation images, each image once.

    The records' image paths start at `image_root`; of `sets`, those without a root are not compared. `cache` is a file
    that keeps hashes. Raises ParameterError when there is none of a set's images below its root.
    """

    def __init__(self, sets: Iterable[SetImages], image_root: Path, cache: Path | None = None) -> None:
        self.image_root = image_root
        self.not_found = 0
        files: set[Path] = set()
        for one in sets:
            if one.root is None:
                continue
            paths, missing = locate_all(one.refs, partial(locate, root=one.root))
            if one.refs and not paths:
                raise ParameterError(
                    f"{one.root}: none of {len(one.refs):,} evaluation images is there; correct {one.parameter}"
                )
            files |= {one.root / path for path in paths.values()}
            self.not_found += len(missing)
        self._finder = CopyFinder(iter(sorted(files)), cache)
        self.compared = self._finder.compared
        self._is_copy: dict[ImageRef, bool] = {}  # by what the record says about its image

    def has(self, record: TrainRecord) -> bool:
        """Whether the record's image is a copy; False for an image that is not there."""
        ref = ImageRef(record.image_id, record.image_path)
        if ref not in self._is_copy:
            try:
                path = self.image_root / locate(ref, self.image_root)
            except DataEngineError:  # an image that is not there cannot be compared; its id and path were
                self._is_copy[ref] = False
            else:
                self._is_copy[ref] = self._finder.original(path) is not None
        return self._is_copy[ref]

    def finish(self) -> None:
        """Keep the hashes for the next run."""
        self._finder.save()
