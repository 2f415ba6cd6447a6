"""Images of an opened run (steps 1 to 4): found below the image roots of its steps, and nowhere else."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.images.references import ImageRef, image_ref, locate
from dataengine_lib.runs.manifest import Manifest

# parameters that name image roots, the questions' and the pool's, by step
_OF_QUESTIONS = {
    "1_evaluate": ("image_root",),
    "2_construct_queries": ("bad_case_image_root",),
    "4_post_process": ("evaluation_image_root",),
    "6_compare_rounds": ("image_root",),
}
_OF_POOL = {
    "2_construct_queries": ("coco_dataset",),
    "3_generate_qa": ("image_root", "coco_dataset"),
    "4_post_process": ("image_root", "coco_dataset"),
}


class ImageRoots(NamedTuple):
    """The folders that image paths start at: those of the evaluation's questions, and those of the pool."""

    questions: Sequence[Path]
    pool: Sequence[Path]

    @classmethod
    def of(cls, manifests: Iterable[Manifest], folder: Path) -> "ImageRoots":
        """The roots that the manifests name and that exist, for a folder without any the folder itself.

        A relative path starts at the current folder or at one above the run's, as notebooks run in other folders.
        """
        questions: dict[Path, None] = {}
        pool: dict[Path, None] = {}
        for manifest in manifests:
            for parameters, found in ((_OF_QUESTIONS, questions), (_OF_POOL, pool)):
                for name in parameters.get(manifest.step, ()):
                    for digest in manifest.inputs.get(name, []):
                        if root := existing_folder(Path(digest.path), folder):
                            found[root] = None
        if not (questions or pool):
            return cls([folder], [folder])
        return cls(list(questions), list(pool))

    def image(self, ref: ImageRef, of_pool: bool) -> Image.Image:
        """The image as RGB, looked for in the pool's roots first or in the questions'.

        Raises DataEngineError when it is in none of them, leads out of them, or cannot be read.
        """
        found = read_image(self.file(ref, of_pool))
        if isinstance(found, str):
            raise DataEngineError(found)
        return found

    def file(self, ref: ImageRef, of_pool: bool) -> Path:
        """The image's file, looked for in the same order.

        Raises DataEngineError when it is in none of the roots, or leads out of them.
        """
        first, second = (self.pool, self.questions) if of_pool else (self.questions, self.pool)
        roots = list(dict.fromkeys([*first, *second]))
        faults = []
        for root in roots:
            try:
                return root / locate(ref, root)
            except DataEngineError as error:
                faults.append(str(error))
        said = (
            faults[0]
            if faults
            else f"{ref.image_path or ref.image_id}: the run names no image root that is there"
        )
        more = f", nor under {len(faults) - 1} other roots" if len(faults) > 1 else ""
        raise DataEngineError(f"{said}{more}; give image_root to load_run")


def existing_folder(path: Path, folder: Path) -> Path | None:
    """The folder that a run's relative path means: from the current folder, or from one above the run's; else None."""
    bases = [Path(), *folder.resolve().parents]
    return next((place for base in bases if (place := base / path).is_dir()), None)


def ref_of(row: Any, anchor: bool = False) -> tuple[ImageRef, bool]:
    """The image that a path, a row of a frame or a record means, and whether it is one of the pool.

    `anchor`: the image of a query's first example. Raises DataEngineError when the row names no image.
    """
    if isinstance(row, str | Path):
        return image_ref(None, str(row)), False
    prefix = "anchor_" if anchor else ""
    image_id, path = (_value(row, f"{prefix}{name}") for name in ("image_id", "image_path"))
    # an image of the questions is what a row of them shows, and the anchor of a query
    of_pool = bool(_value(row, "query_id")) and not anchor
    if not (image_id or path) or image_id == "-1":
        raise DataEngineError(f"this row names no {'anchor ' if anchor else ''}image; give an image_path")
    try:
        return image_ref(image_id, path), of_pool
    except ValueError as error:
        raise DataEngineError(f"{error}; give an image_path") from error


def _value(row: Any, name: str) -> str:
    """A field of a Series, a mapping, a tuple with names or a record as text; empty where it is missing."""
    value = row.get(name) if hasattr(row, "get") else getattr(row, name, None)
    return str(value) if isinstance(value, str | int) else ""
