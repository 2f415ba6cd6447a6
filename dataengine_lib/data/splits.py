"""Diagnose and holdout: split by image, so that no picture is both a bad case and a measure."""

import hashlib
from collections.abc import Iterable
from typing import Literal

from dataengine_lib.data.records import Question
from dataengine_lib.errors import DataEngineError

Split = Literal["diagnose", "holdout"]
DIAGNOSE: Split = "diagnose"  # bad cases and weights come from here
HOLDOUT: Split = "holdout"  # only ever scored
SPLITS: tuple[Split, ...] = (DIAGNOSE, HOLDOUT)


def assign_splits(questions: Iterable[Question]) -> list[Split]:
    """Each question's split: its own where it says diagnose or holdout, else half and half by its image.

    The hash depends on the image alone, so that adding questions or images moves nothing; a question without
    a split goes with the others about its image. Raises DataEngineError when an image is in both splits.
    """
    asked, own = list(questions), dict[str, Split]()
    for question in asked:
        for split in SPLITS:
            if question.split == split and own.setdefault(_image(question), split) != split:
                raise DataEngineError(
                    f"image {_image(question)} has questions in both diagnose and holdout "
                    f"({question.question_id}); split by image, or leave `split` out"
                )
    return [own.get(image) or _by_hash(image) for image in map(_image, asked)]


def _image(question: Question) -> str:
    return str(question.image_id) if question.image_id >= 0 else question.image_path


def _by_hash(image: str) -> Split:
    return HOLDOUT if hashlib.sha256(image.encode()).digest()[0] % 2 else DIAGNOSE
