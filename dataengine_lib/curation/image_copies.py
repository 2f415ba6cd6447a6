"""Step 4: training records whose image is a copy of an evaluation image, also a mirrored, cut or framed one."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.copies import CopyFinder
from dataengine_lib.images.references import ImageRef, locate, locate_all


class ImageCopies:
    """Compares the images of records with evaluation images, each image once.

    `refs` are the evaluation images below `evaluation_root`, the records' image paths start at `image_root`; `cache` is
    a file that keeps hashes. `panel` holds the images of further sets, with the folder that their paths start at. Raises
    ParameterError when there is none of the evaluation images below the root.
    """

    def __init__(
        self,
        refs: Sequence[ImageRef],
        evaluation_root: Path,
        image_root: Path,
        cache: Path | None = None,
        panel: Sequence[tuple[Path, Sequence[ImageRef]]] = (),
    ) -> None:
        self.image_root = image_root
        paths, missing = locate_all(list(refs), partial(_located, evaluation_root))
        if refs and not paths:
            raise ParameterError(
                f"{evaluation_root}: none of {len(refs):,} evaluation images is there; correct evaluation_image_root"
            )
        self.not_found = len(missing)
        files = {evaluation_root / path for path in paths.values()}
        for root, of_set in panel:
            found, not_found = locate_all(list(of_set), partial(_located, root))
            files |= {root / path for path in found.values()}
            self.not_found += len(not_found)
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


def _located(root: Path, ref: ImageRef) -> str:
    return locate(ref, root)
