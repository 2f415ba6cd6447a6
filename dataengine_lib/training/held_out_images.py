"""Step 5: which images belong to the evaluation, so that no row about one of them is trained on."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from dataengine_lib.errors import ParameterError
from dataengine_lib.images.references import coco_number, locate, locate_all
from dataengine_lib.questions.evaluation_images import read_image_refs


class HeldOutImages:
    """The images of the evaluation questions in `file`, whose image paths start at `root`.

    An image is one of them if it is the same file, has the same bytes, or has the same COCO number in its name. Raises
    DataEngineError when the file cannot be read, and ParameterError when there is none of its images below `root`.
    """

    def __init__(self, file: Path, root: Path) -> None:
        refs = read_image_refs(file, root)
        paths, missing = locate_all(refs, lambda ref: locate(ref, root))
        if refs and not paths:
            raise ParameterError(
                f"{file}: none of its {len(refs):,} images is below {root}; correct evaluation_image_root"
            )
        self.known, self.not_found = len(refs), len(missing)
        names = (ref.image_path or f"{ref.image_id:012d}.jpg" for ref in refs)
        self._numbers = {coco_number(name) for name in names} - {-1}
        self._files = {os.path.realpath(root / path) for path in paths.values()}
        # files of another size cannot have the same bytes, so hardly any other image has to be read
        self._by_size: dict[int, list[str]] = {}
        for path in sorted(self._files):
            self._by_size.setdefault(os.path.getsize(path), []).append(path)
        self._digests: dict[str, bytes] = {}

    def has(self, image: Path) -> bool:
        """Whether the image file is one of the evaluation's."""
        if coco_number(image.name) in self._numbers or os.path.realpath(image) in self._files:
            return True
        same_size = self._by_size.get(os.path.getsize(image))
        return bool(same_size) and self._digest(str(image)) in map(self._digest, same_size or ())

    def among(self, images: Iterable[Path]) -> set[Path]:
        """Those of `images` that are the evaluation's; each file is looked at once."""
        return {image for image in dict.fromkeys(images) if self.has(image)}

    def _digest(self, path: str) -> bytes:
        if path not in self._digests:
            with open(path, "rb") as stream:
                self._digests[path] = hashlib.file_digest(stream, "blake2b").digest()
        return self._digests[path]
