"""Steps 1 and 6: the diagnose and holdout splits, by image, so that no image is in both."""

import hashlib
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from dataengine_lib.core.records import UNKNOWN_IMAGE, Question
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import id_rank

Split = Literal["diagnose", "holdout"]
DIAGNOSE: Split = "diagnose"  # bad cases and weights come from here
HOLDOUT: Split = "holdout"  # only ever scored
SPLITS: tuple[Split, ...] = (DIAGNOSE, HOLDOUT)


def _own_split(written: str) -> Split | None:
    """The split that a question's `split` field names, None for any other word; `Holdout ` is holdout."""
    word = written.strip().casefold()
    return next((split for split in SPLITS if split == word), None)


def check_own_splits(file: Path, questions: Sequence[Question], rows: Sequence[str], key: str) -> None:
    """Raise DataEngineError naming a row whose own split is neither diagnose nor holdout.

    Checked only where the file has splits of its own: `key` is not A-OKVQA's `split`, which holds train, val or test,
    or some value names one. An empty value lets the image decide.
    """
    if key == "split" and not any(_own_split(question.split) for question in questions):
        return
    for question, row in zip(questions, rows, strict=True):
        if question.split.strip() and _own_split(question.split) is None:
            raise DataEngineError(
                f"{file}: {row}: {key} is {shown(question.split)}; write diagnose or holdout there, or nothing to have "
                "the image decide"
            )


def assign_splits(questions: Iterable[Question]) -> list[Split]:
    """Each question's split: its own where that is diagnose or holdout, else half and half by a hash of its image.

    Questions that share an id or a path are about one image, also through other questions. The hash is of the image's
    lowest id, or of its path where no question gives an id. So questions and images can be added without changing a
    split, unless they give an image its first or a lower id, or show that two images are the same. A question without
    a split gets that of the other questions about its image. Raises DataEngineError when an image is in both splits.
    """
    asked = list(questions)
    images, own = _images(asked), dict[str, Split]()
    for question, image in zip(asked, images, strict=True):
        split = _own_split(question.split)
        if split and own.setdefault(image, split) != split:
            raise DataEngineError(
                f"image {image} has questions in both diagnose and holdout "
                f"({question.question_id}); split by image, or leave `split` out"
            )
    return [own.get(image) or _by_hash(image) for image in images]


def _images(questions: Sequence[Question]) -> list[str]:
    """The one name of each question's image, found with a union-find over ids and paths; `./a.png` is `a.png`."""
    same: dict[int | str, int | str] = {}  # an id or a path -> another name of its image, nearer to the first

    def first(name: int | str) -> int | str:
        """The name that stands for this one's image; shortens the chain to it on the way (path halving)."""
        while same.setdefault(name, name) != name:
            same[name] = name = same[same[name]]
        return name

    names = [_names(question) for question in questions]
    # the name of lower rank becomes the root, so that the result does not depend on the order of the questions
    for one, *others in names:
        for other in others:
            low, high = sorted((first(one), first(other)), key=id_rank)
            same[high] = low
    return [str(first(some[0])) for some in names]


def _names(question: Question) -> list[int | str]:
    """The names that a question has for its image: its id, its path, or both."""
    path = posixpath.normpath(question.image_path.replace("\\", "/")) if question.image_path else ""
    if question.image_id == UNKNOWN_IMAGE:
        return [path]
    return [question.image_id, path] if path else [question.image_id]


def _by_hash(image: str) -> Split:
    # the first byte's lowest bit is as good as a coin, and the same on every machine, unlike `hash`
    return HOLDOUT if hashlib.sha256(image.encode()).digest()[0] % 2 else DIAGNOSE
