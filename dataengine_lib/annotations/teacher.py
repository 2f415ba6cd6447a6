"""Step 3: the built-in teacher. It is free, works offline and writes only QAs that boxes and captions prove.

Every other query is answered with Skip. The same query always gets the same reply.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from random import Random

from dataengine_lib.annotations.cooccurrence import Cooccurrence
from dataengine_lib.annotations.draft import QaDraft, QaWriter
from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.annotations.other_kinds import has_writer, open_draft, yes_no_draft
from dataengine_lib.annotations.region_facts import RegionFacts
from dataengine_lib.annotations.vocabulary import COCO_KINDS
from dataengine_lib.annotations.writers.actions import write_action, write_pose
from dataengine_lib.annotations.writers.amounts import (
    write_count,
    write_count_of_one,
    write_larger,
    write_more_of,
)
from dataengine_lib.annotations.writers.attributes import write_colour, write_material
from dataengine_lib.annotations.writers.contacts import write_holding, write_support
from dataengine_lib.annotations.writers.places import write_outermost, write_place, write_side
from dataengine_lib.annotations.writers.presence import write_missing, write_present, write_topic
from dataengine_lib.annotations.writers.scenes import write_role, write_scene
from dataengine_lib.chat.reply import MayRetry, Reply
from dataengine_lib.core.records import (
    LETTERS,
    OPEN,
    ImageId,
    QaForm,
    Query,
    options_text,
    shows_options,
    skip_text,
    wanted_answer,
)
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.pool import COCO, NO_SIZE, TOO_MANY_BOXES, VISUAL_GENOME, ImagePool, PoolImage
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import base_name

_UNPROVEN = "What is known about the picture does not prove an answer."
UNPROVEN_REPLY = skip_text(_UNPROVEN)
_MOST_CHOICES = 4  # a draft has three wrong answers


# Per question type: groups of writers. The groups are tried in order, the writers of a group in an order drawn for the
# query. A writer's key seeds its random numbers: with another key it would write other questions.
WRITERS_BY_TYPE: dict[str, list[dict[str, QaWriter]]] = {
    "object_localization": [{"place": write_place, "outermost": write_outermost}],
    "spatial_relationship": [{"side": write_side}],
    "physical_relation": [{"hold": write_holding, "support": write_support}],
    "attribute_comparison": [{"larger": write_larger, "more_of": write_more_of}],
    "attribute_recognition": [
        {"colour": write_colour, "count": write_count},
        {"count_one": write_count_of_one},
    ],
    "physical_property_reasoning": [{"material": write_material}],
    "action_recognition": [{"deed": write_action, "pose": write_pose}],
    "identity_reasoning": [{"role": write_role}, {"present": write_present, "missing": write_missing}],
    "image_topic": [{"topic": write_topic}],
    "image_scene": [{"scene": write_scene}],
}


def writes(question_type: str, form: QaForm) -> bool:
    """Whether it writes questions of the type in that form about any image."""
    if shows_options(form.kind):
        return question_type in WRITERS_BY_TYPE and form.n_choices <= _MOST_CHOICES
    return has_writer(question_type, form.kind)


class AnnotationsTeacher:
    """`ask(query)` answers from the COCO or Visual Genome folder that holds the query's image.

    `pool` is that folder's where it has been read already.

    Raises DataEngineError when the folder cannot be read or is of another kind, or does not hold a query's image.
    """

    def __init__(self, coco_dataset: Path, pool: ImagePool | None = None) -> None:
        self.pool = read_pool(coco_dataset) if pool is None else pool
        self._answered: dict[tuple[ImageId, str, QaForm, str], bool] = {}
        if self.pool.kind not in (COCO, VISUAL_GENOME):
            raise DataEngineError(
                f"{coco_dataset}: teacher 'annotations' needs boxes, which a {self.pool.kind} does not have; "
                "give a folder of COCO or Visual Genome, or another teacher"
            )

    async def ask(
        self, query: Query, max_output_tokens: int | None = None, may_retry: MayRetry | None = None
    ) -> Reply:
        """A reply with a QA of the query's type about its image, or Skip."""
        return Reply(text=self.write(query), finish_reason="stop", model="annotations")

    def answers(self, query: Query) -> bool:
        """Whether the reply to the query has a QA; tried once for all queries of a type, form and answer about an image."""
        form = QaForm.of(query)
        key = (query.image_id, query.question_type, form, wanted_answer(query.prompt))
        if key not in self._answered:
            self._answered[key] = self.write(query) != skip_text(_UNPROVEN, form)
        return self._answered[key]

    def write(self, query: Query) -> str:
        """The text of the reply, as step 3 stores it in `raw_instructions`."""
        image = self._image(query)
        if not shows_options(query.answer_kind):
            return self._write_answer(query, image)
        if query.question_type not in WRITERS_BY_TYPE or image.skip in (TOO_MANY_BOXES, NO_SIZE):
            return UNPROVEN_REPLY
        key = _key(query)
        draft = _draft(WRITERS_BY_TYPE[query.question_type], self._facts(image), key)
        if draft is None:
            return UNPROVEN_REPLY
        count = QaForm.of(query).n_choices
        if count > len(draft.wrong) + 1:
            return UNPROVEN_REPLY
        # the letter of the right choice, drawn by hash of the query
        place = int(hashlib.sha256(f"letter {key}".encode()).hexdigest(), 16) % count
        choices = list(draft.wrong[: count - 1])
        choices.insert(place, draft.answer)
        return (
            f"Question: {draft.question}\nChoices: {options_text(choices)}\n"
            f"Answer: The answer is ({LETTERS[place]}): {draft.answer}.\nExplanation: {draft.why}"
        )

    def _write_answer(self, query: Query, image: PoolImage) -> str:
        """A yes/no or open-ended QA; its answer, where the prompt says which one is wanted, is that one."""
        key, draft = _key(query), None
        if image.skip not in (TOO_MANY_BOXES, NO_SIZE):
            rng, facts = Random(f"{query.answer_kind} {key}"), self._facts(image)
            if query.answer_kind == OPEN:
                draft = open_draft(query.question_type, facts, rng)
            else:
                wanted = wanted_answer(query.prompt)
                wants_yes = wanted == "Yes" if wanted else rng.random() < 0.5
                draft = yes_no_draft(query.question_type, facts, rng, wants_yes)
        if draft is None:
            return skip_text(_UNPROVEN, QaForm.of(query))
        return f"Question: {draft.question}\nAnswer: {draft.answer}\nExplanation: {draft.why}"

    @cached_property
    def _cooccurrence(self) -> Cooccurrence:
        """Counted only when the first question needs it."""
        if self.pool.kind == COCO:
            return Cooccurrence.of_boxes(self.pool)
        return Cooccurrence.of_phrases(self.pool, COCO_KINDS)

    def _facts(self, image: PoolImage) -> ImageFacts:
        if self.pool.kind == COCO:
            return ImageFacts.of(image, self.pool.categories, self._cooccurrence)
        return RegionFacts.of_image(image, self.pool.regions(image.id), self._cooccurrence)

    def _image(self, query: Query) -> PoolImage:
        image = self.pool.find(query.image_id)
        if image is None:
            raise DataEngineError(
                f"{self.pool.root}: no annotations of image {query.image_id}, of query {query.query_id!r}; "
                "give the COCO folder that the queries were made from"
            )
        names = {base_name(path) for path in (query.image_path, image.path) if path}
        if len(names) > 1:
            raise DataEngineError(
                f"{self.pool.root}: image {query.image_id} is {image.path} there but "
                f"{query.image_path} in query {query.query_id!r}; "
                "give the COCO folder that the queries were made from"
            )
        return image


def _key(query: Query) -> str:
    """What seeds the random numbers of a query."""
    return query.query_id or f"{query.image_id} {query.question_type} {query.prompt}"


def _draft(groups: list[dict[str, QaWriter]], facts: ImageFacts, key: str) -> QaDraft | None:
    """The first question that can be proven; each writer has random numbers of its own."""
    order = Random(f"annotations {key}")
    for group in groups:
        for name in order.sample(list(group), len(group)):
            draft = group[name](facts, Random(f"{name} {key}"))
            # the right answer and three wrong ones, all different
            if draft is not None and len({draft.answer, *draft.wrong}) == 4:
                return draft
    return None
