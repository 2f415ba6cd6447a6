"""Step 4: a training record against its image's boxes: does what it claims hold?

Of counts, presence, places, sides and sizes boxes know; of everything else they say nothing, and neither does the
check. What boxes prove is what the annotations teacher would write, see `annotation_facts.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.boxes.claims import Claims, claims_of, supposes_absent
from dataengine_lib.images.pool import COCO, NO_SIZE, TOO_MANY_BOXES, ImagePool

SUPPORTED, REFUTED, SILENT = "supported", "refuted", ""


@dataclass(frozen=True)
class BoxVerdict:
    """`verdict` is SUPPORTED, REFUTED or SILENT, the record's `box_check`; `why` says of a refuted one what is wrong."""

    verdict: str = SILENT
    why: str = ""


def check_boxes(records: Iterable[TrainRecord], pool: ImagePool) -> Iterator[BoxVerdict]:
    """What the boxes of `pool` say of each record, in order; one image's boxes are held at a time.

    Refuted: the right choice is false; or a wrong one is true where the right one is not proven; or, in questions that
    allow one answer only, beside it; or the question takes for granted what is certainly not there. Nothing is said
    of images that the pool does not hold or skips, and nothing at all by a pool whose boxes are not of COCO's kind: there
    a thing without a box may well be there.
    """
    facts: ImageFacts | None = None
    image: tuple[int, str] | None = None
    for record in records:
        if pool.kind != COCO:
            yield BoxVerdict()
            continue
        if (record.image_id, record.image_path) != image:
            image = (record.image_id, record.image_path)
            facts = _facts(record, pool)
        yield BoxVerdict() if facts is None else judge(record, facts)


def judge(record: TrainRecord, facts: ImageFacts) -> BoxVerdict:
    """What the facts of its image say of one record."""
    claims = claims_of(record.question, record.choices, facts)
    if claims is not None and (found := _judge_claims(record, claims)).verdict != SILENT:
        return found
    if absent := supposes_absent(record.question, facts):
        return BoxVerdict(REFUTED, f"presence: there is no {absent}")
    return BoxVerdict()


def _judge_claims(record: TrainRecord, claims: Claims) -> BoxVerdict:
    right = claims.truths[record.correct_choice_idx]
    true = [
        choice
        for place, (choice, truth) in enumerate(zip(record.choices, claims.truths, strict=True))
        if truth and place != record.correct_choice_idx
    ]
    if true and (right is not True or claims.exclusive):
        return BoxVerdict(REFUTED, f"{claims.what}: the boxes say {true[0]!r}")
    if right is False:
        return BoxVerdict(
            REFUTED, f"{claims.what}: not {record.choices[record.correct_choice_idx]!r} by the boxes"
        )
    return BoxVerdict(SUPPORTED if right else SILENT)


def _facts(record: TrainRecord, pool: ImagePool) -> ImageFacts | None:
    image = pool.find(record.image_id)
    if image is None or image.skip in (TOO_MANY_BOXES, NO_SIZE):
        return None
    names = {PurePosixPath(path).name for path in (record.image_path, image.path) if path}
    return ImageFacts.of(image, pool.categories) if len(names) <= 1 else None
