"""Step 5: which images belong to the evaluation, so that no row about one of them is trained on."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from dataengine_lib.core.records import ImageId
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.references import coco_number, locate, locate_all
from dataengine_lib.questions.evaluation_images import read_image_refs
from dataengine_lib.questions.question_sets import QuestionSet


class HeldOutImages:
    """The images of the evaluation questions in `file`, whose image paths start at `root`, and those of a `panel`.

    An image is one of them if it is the same file, has the same bytes, or has the same COCO number in its name. Raises
    DataEngineError when the file cannot be read or more than `max_bad_share` of its rows name no image, and
    ParameterError when there is none of its images below `root`. `warnings` say which images could not be compared.
    """

    def __init__(
        self,
        file: Path | None,
        root: Path,
        max_bad_share: float = 1.0,
        panel: Mapping[str, QuestionSet] | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self.known = self.not_found = 0
        self._numbers: set[int] = set()
        self._files: set[str] = set()
        if file is not None:
            self._add(file, root, max_bad_share, "evaluation_image_root")
        for name, one in (panel or {}).items():
            self._add(one.questions, one.image_root, max_bad_share, f"panel.{name}.image_root")
        # files of another size cannot have the same bytes, so hardly any other image has to be read
        self._by_size: dict[int, list[str]] = {}
        for path in sorted(self._files):
            self._by_size.setdefault(os.path.getsize(path), []).append(path)
        self._digests: dict[str, bytes] = {}

    def _add(self, file: Path, root: Path, max_bad_share: float, parameter: str) -> None:
        refs = read_image_refs(file, root, max_bad_share, self.warnings.append)
        paths, missing = locate_all(refs, partial(locate, root=root))
        if refs and not paths:
            raise ParameterError(
                f"{file}: none of its {len(refs):,} images is below {root}; correct {parameter}"
            )
        self.known += len(refs)
        self.not_found += len(missing)
        if missing:
            self.warnings.append(
                f"{file}: {len(missing):,} of {len(refs):,} evaluation images are not below {root}, so rows about them are "
                f"found by COCO number alone; correct {parameter}"
            )
        names = (ref.image_path or _usual_name(ref.image_id) for ref in refs)
        self._numbers |= {coco_number(name) for name in names} - {-1}
        self._files |= {os.path.realpath(root / path) for path in paths.values()}

    @property
    def comparison(self) -> str:
        """With what the rows' images are compared, for the report."""
        missing = f"; {self.not_found:,} of these were not found" if self.not_found else ""
        return f"compared with {self.known:,} evaluation images by file, bytes and COCO number{missing}"

    def has(self, image: Path) -> bool:
        """Whether the image file is one of the evaluation's."""
        if coco_number(image.name) in self._numbers or os.path.realpath(image) in self._files:
            return True
        same_size = self._by_size.get(os.path.getsize(image), [])
        return bool(same_size) and self._digest(str(image)) in map(self._digest, same_size)

    def among(self, images: Iterable[Path]) -> set[Path]:
        """Those of `images` that are the evaluation's; each file is looked at once."""
        return {image for image in dict.fromkeys(images) if self.has(image)}

    def _digest(self, path: str) -> bytes:
        if path not in self._digests:
            with open(path, "rb") as stream:
                self._digests[path] = hashlib.file_digest(stream, "blake2b").digest()
        return self._digests[path]


def _usual_name(image_id: ImageId) -> str:
    """The file name of an image that only its id names: COCO's for a number."""
    return f"{image_id:012d}.jpg" if isinstance(image_id, int) else f"{image_id}.jpg"
