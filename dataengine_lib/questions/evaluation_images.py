"""Steps 2 and 4: the images of an evaluation file, which must not be trained on."""

import logging
from pathlib import Path

import msgspec

from dataengine_lib.core.records import UNKNOWN_IMAGE
from dataengine_lib.core.text import one_line
from dataengine_lib.images.references import ImageRef, image_ref
from dataengine_lib.questions.reader import found_rows
from dataengine_lib.questions.rows import OwnFields

EVALUATION_IMAGE = "evaluation image"
NEAR_DUPLICATE = "near-duplicate of an evaluation image"

_log = logging.getLogger(__name__)


class _Row(msgspec.Struct):
    """The fields of a question that name its image."""

    image_id: int | str | None = None
    image_path: str | None = None


def read_image_refs(file: Path, image_root: Path | None = None) -> list[ImageRef]:
    """The images of a question file of any format that step 1 reads, in order, each once.

    Rows that cannot be scored count too: a test split without answers is also an evaluation set. Rows that name no image
    that can be used are counted in a warning. Images inside a table become files under `image_root`.
    Raises DataEngineError when the file cannot be read.
    """
    refs: list[ImageRef] = []
    nameless: list[str] = []
    for row in found_rows(file, image_root, OwnFields()):
        try:
            # a row that could not be read names no image
            found = msgspec.convert(row.content if isinstance(row.content, dict) else {}, _Row, strict=False)
            ref = image_ref(found.image_id, found.image_path)
        except ValueError as error:  # from the conversion or from image_ref
            nameless.append(f"{row.row}: {one_line(str(error))}")
            continue
        if ref.image_id == UNKNOWN_IMAGE and not ref.image_path:
            nameless.append(row.row)
        else:
            refs.append(ref)
    if nameless:
        _log.warning(
            "%s: %d rows name no image, so theirs cannot be kept out of training (first: %s)",
            file,
            len(nameless),
            nameless[0],
        )
    return list(dict.fromkeys(refs))
