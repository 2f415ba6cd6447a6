"""Steps 2 and 4: the images of an evaluation file, which must not be trained on."""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.records import UNKNOWN_IMAGE
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import ImageRef, image_ref
from dataengine_lib.questions.reader import found_rows
from dataengine_lib.questions.rows import OwnFields

EVALUATION_IMAGE = "evaluation image"
NEAR_DUPLICATE = "near-duplicate of an evaluation image"
_NAMELESS = "names no image"

_log = logging.getLogger(__name__)


class _Row(msgspec.Struct):
    """The fields of a question that name its image."""

    image_id: int | str | None = None
    image_path: str | None = None


def read_image_refs(
    file: Path,
    image_root: Path | None = None,
    max_bad_share: float = 1.0,
    warn: Callable[[str], object] = _log.warning,
) -> list[ImageRef]:
    """The images of a question file of any format that step 1 reads, in order, each once.

    Rows that cannot be scored count too: a test split without answers is also an evaluation set. Rows that name no image
    that can be used are counted in a sentence for `warn`. Images inside a table become files under `image_root`.
    Raises DataEngineError when the file cannot be read, none of its rows names an image, or more than `max_bad_share`
    of them do not.
    """
    refs: list[ImageRef] = []
    nameless = BadRows(file, max_bad_share, remedy="give each image_id or image_path", keep=1)
    for row in found_rows(file, image_root, OwnFields()):
        nameless.n_rows += 1
        try:
            # a row that could not be read names no image
            found = msgspec.convert(row.content if isinstance(row.content, dict) else {}, _Row, strict=False)
            ref = image_ref(found.image_id, found.image_path)
        except ValueError as error:  # from the conversion or from image_ref
            nameless.add(BadRow(row.row, one_line(str(error))[:200], _NAMELESS))
            continue
        if ref.image_id == UNKNOWN_IMAGE and not ref.image_path:
            nameless.add(BadRow(row.row, _NAMELESS, _NAMELESS))
        else:
            refs.append(ref)
    if not refs:
        raise DataEngineError(
            f"{file}: none of its {nameless.n_rows:,} rows names an image, so no image could be kept out of training; "
            f"it {looks_like(file)}; give the questions that evaluate reads"
        )
    nameless.check()
    if nameless.rows:
        first = f"{nameless.rows[0].row}: {nameless.rows[0].reason}"
        warn(
            f"{file}: {nameless.counts.total():,} of {nameless.n_rows:,} rows name no image, so theirs cannot be kept "
            f"out of training (first: {first})"
        )
    return list(dict.fromkeys(refs))
