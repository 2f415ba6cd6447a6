"""Step 3, the teacher that is built in: free, offline, and it writes only QAs that boxes and captions prove.

Whatever they leave open is answered with Skip. The same query gets the same reply, its right
letter drawn by hash.
"""

import hashlib
from functools import cached_property
from pathlib import Path, PurePosixPath
from random import Random

from dataengine_lib.annotations.cooccurrence import Company
from dataengine_lib.annotations.draft import Draft, Writer
from dataengine_lib.annotations.facts import Facts
from dataengine_lib.annotations.region_facts import RegionFacts
from dataengine_lib.annotations.vocabulary import COCO_KINDS
from dataengine_lib.annotations.writers.actions import deed, pose
from dataengine_lib.annotations.writers.amounts import count, count_one, larger, more_of
from dataengine_lib.annotations.writers.attributes import colour, material
from dataengine_lib.annotations.writers.contacts import hold, support
from dataengine_lib.annotations.writers.places import outermost, place, side
from dataengine_lib.annotations.writers.presence import missing, present, topic
from dataengine_lib.annotations.writers.scenes import role, scene
from dataengine_lib.chat.reply import MayRetry, Reply
from dataengine_lib.core.records import LETTERS, Query, options_text
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.pool import COCO, NO_SIZE, TOO_MANY_BOXES, VISUAL_GENOME, PoolImage
from dataengine_lib.images.read_pool import read_pool

SKIP = (
    "Question: Skip\nChoices: Skip\nAnswer: Skip\n"
    "Explanation: What is known about the picture does not prove an answer."
)


# Of each type: what is tried first, and within this what is tried in an order drawn for the query.
WRITERS: dict[str, list[list[Writer]]] = {
    "object_localization": [[place, outermost]],
    "spatial_relationship": [[side]],
    "physical_relation": [[hold, support]],
    "attribute_comparison": [[larger, more_of]],
    "attribute_recognition": [[colour, count], [count_one]],
    "physical_property_reasoning": [[material]],
    "action_recognition": [[deed, pose]],
    "identity_reasoning": [[role], [present, missing]],
    "image_topic": [[topic]],
    "image_scene": [[scene]],
}


class AnnotationsTeacher:
    """`ask(query)` answers from the folder of COCO or Visual Genome that holds the query's image.

    Raises DataEngineError when the folder cannot be read or is of another kind, or a query's image is not in it.
    """

    def __init__(self, coco_dataset: Path) -> None:
        self.pool = read_pool(coco_dataset)
        if self.pool.kind not in (COCO, VISUAL_GENOME):
            raise DataEngineError(
                f"{coco_dataset}: teacher 'annotations' needs boxes, which a {self.pool.kind} does not have; "
                "give a folder of COCO or Visual Genome, or another teacher"
            )

    async def ask(
        self, query: Query, max_output_tokens: int | None = None, may_retry: MayRetry | None = None
    ) -> Reply:
        """A QA of the query's type about its image, or Skip."""
        return Reply(text=self.write(query), finish_reason="stop", model="annotations")

    def write(self, query: Query) -> str:
        """The reply's text, as `raw_instructions` holds it."""
        image = self._image(query)
        if query.question_type not in WRITERS or image.skip in (TOO_MANY_BOXES, NO_SIZE):
            return SKIP
        key = query.query_id or f"{query.image_id} {query.question_type} {query.prompt}"
        draft = _draft(WRITERS[query.question_type], self._facts(image), key)
        if draft is None:
            return SKIP
        place = int(hashlib.sha256(f"letter {key}".encode()).hexdigest(), 16) % 4
        choices = list(draft.wrong)
        choices.insert(place, draft.answer)
        return (
            f"Question: {draft.question}\nChoices: {options_text(choices)}\n"
            f"Answer: The answer is ({LETTERS[place]}): {draft.answer}.\nExplanation: {draft.why}"
        )

    @cached_property
    def _company(self) -> Company:
        """Counted when the first question needs it."""
        if self.pool.kind == COCO:
            return Company.of_boxes(self.pool)
        return Company.of_phrases(self.pool, COCO_KINDS)

    def _facts(self, image: PoolImage) -> Facts:
        if self.pool.kind == COCO:
            return Facts.of(image, self.pool.categories, self._company)
        return RegionFacts.of_image(image, self.pool.regions(image.id), self._company)

    def _image(self, query: Query) -> PoolImage:
        image = self.pool.find(query.image_id)
        if image is None:
            raise DataEngineError(
                f"{self.pool.root}: no annotations of image {query.image_id}, of query {query.query_id!r}; "
                "give the COCO folder that the queries were made from"
            )
        names = {PurePosixPath(path).name for path in (query.image_path, image.path) if path}
        if len(names) > 1:
            raise DataEngineError(
                f"{self.pool.root}: image {query.image_id} is {image.path} there but "
                f"{query.image_path} in query {query.query_id!r}; "
                "give the COCO folder that the queries were made from"
            )
        return image


def _draft(writers: list[list[Writer]], facts: Facts, key: str) -> Draft | None:
    """The first question that can be proven, each writer with random numbers of its own."""
    order = Random(f"annotations {key}")
    for alike in writers:
        for writer in order.sample(alike, len(alike)):
            draft = writer(facts, Random(f"{writer.__name__} {key}"))
            if draft is not None and len({draft.answer, *draft.wrong}) == 4:
                return draft
    return None
