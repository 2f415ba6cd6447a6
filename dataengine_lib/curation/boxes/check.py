"""Step 4: checks a training record against the boxes of its image.

Boxes tell about counts, presence, places, sides and sizes; about anything else the check says nothing. What boxes
prove is defined in `annotations/facts.py`, for the annotations teacher as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.core.records import ImageId, TrainRecord
from dataengine_lib.curation.boxes.claims import Claims, claims_of, presupposed_absent
from dataengine_lib.images.pool import COCO, NO_SIZE, TOO_MANY_BOXES, ImagePool
from dataengine_lib.images.references import base_name

SUPPORTED, REFUTED, SILENT = "supported", "refuted", ""


@dataclass(frozen=True)
class BoxVerdict:
    """`verdict` (SUPPORTED, REFUTED or SILENT) is the record's `box_check`; `why` says what is wrong if it is refuted."""

    verdict: str = SILENT
    why: str = ""


def check_boxes(records: Iterable[TrainRecord], pool: ImagePool) -> Iterator[BoxVerdict]:
    """The verdict of the pool's boxes on each record, in order; only one image's boxes are in memory.

    A record is refuted if one of these holds:
    - its right choice is false;
    - a wrong choice is true, and the right one is not proven or the question allows only one true choice;
    - the question presupposes a thing that is certainly not in the image.
    The verdict is SILENT for images that the pool does not hold or skips, and for every record if the pool is not a
    COCO folder: elsewhere, a thing without a box may well be in the image.
    """
    facts: ImageFacts | None = None
    image: tuple[ImageId, str] | None = None
    for record in records:
        if pool.kind != COCO:
            yield BoxVerdict()
            continue
        # records of one image often follow each other: their facts are made once
        if (record.image_id, record.image_path) != image:
            image = (record.image_id, record.image_path)
            facts = _facts(record, pool)
        yield BoxVerdict() if facts is None else judge(record, facts)


def judge(record: TrainRecord, facts: ImageFacts) -> BoxVerdict:
    """The verdict of the facts of its image on one record."""
    # an open-ended question is judged by its answer alone, as if that were its one choice
    choices, right = (
        (record.choices, record.correct_choice_idx) if record.choices else ([record.short_answer], 0)
    )
    claims = claims_of(record.question, choices, facts)
    if claims is not None and (found := _judge_claims(choices, right, claims)).verdict != SILENT:
        return found
    if absent := presupposed_absent(record.question, facts):
        return BoxVerdict(REFUTED, f"presence: there is no {absent}")
    return BoxVerdict()


def _judge_claims(choices: Sequence[str], right: int, claims: Claims) -> BoxVerdict:
    truth = claims.truths[right]
    true_wrong_choices = [
        choice
        for index, (choice, is_true) in enumerate(zip(choices, claims.truths, strict=True))
        if is_true and index != right
    ]
    if true_wrong_choices and (truth is not True or claims.exclusive):
        return BoxVerdict(REFUTED, f"{claims.what}: the boxes say {true_wrong_choices[0]!r}")
    if truth is False:
        return BoxVerdict(REFUTED, f"{claims.what}: not {choices[right]!r} by the boxes")
    return BoxVerdict(SUPPORTED if truth else SILENT)


def _facts(record: TrainRecord, pool: ImagePool) -> ImageFacts | None:
    image = pool.find(record.image_id)
    if image is None or image.skip in (TOO_MANY_BOXES, NO_SIZE):
        return None
    # the same id with another file name is an image of another data set
    names = {base_name(path) for path in (record.image_path, image.path) if path}
    return ImageFacts.of(image, pool.categories) if len(names) <= 1 else None
