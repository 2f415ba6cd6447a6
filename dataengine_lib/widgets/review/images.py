"""Reviewer: where the images of records and dropped rows are read from."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.images.references import image_ref, locate

# gives the image of a row, or raises DataEngineError with the reason that is shown instead
ReadImage = Callable[[TrainRecord | Reject], Image.Image]


def images_below(image_root: Path | None) -> ReadImage:
    """The images of rows by their paths or ids below `image_root`, and nowhere else; none without a root."""

    def read(row: TrainRecord | Reject) -> Image.Image:
        if image_root is None:
            raise DataEngineError("no image: no image_root is given")
        try:
            file = image_root / locate(image_ref(row.image_id, row.image_path), image_root)
        except ValueError as error:  # a name that leads outside the root, and an id beyond 64 bits
            raise DataEngineError(str(error)) from error
        found = read_image(file)
        if isinstance(found, str):
            raise DataEngineError(found)
        return found

    return read
