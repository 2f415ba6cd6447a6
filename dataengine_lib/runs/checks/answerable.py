"""Before a run: how many queries of each type can a built-in teacher answer, by its types and the pool's images?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np

from dataengine_lib.core.records import CHOICE, QaForm, Query
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.queries.coverage import Coverage
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.queries.sampling import QueryDraft, mixed_order, pick_images
from dataengine_lib.questions.categories import read_categories, type_name
from dataengine_lib.questions.splits import DIAGNOSE
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.pool import free_images
from dataengine_lib.runs.checks.query_shares import expected_queries, latest_weights
from dataengine_lib.runs.checks.questions import AskedQuestions
from dataengine_lib.runs.workflow import Planned, first_configs
from dataengine_lib.teachers.coverage.coverage import teacher_coverage

_SAMPLE = 400  # images that are tried, all of a smaller pool; each takes about a millisecond a type


@dataclass(frozen=True)
class AnswerableQueries:
    """What a teacher that says what it can write is expected to answer, by question type.

    `wanted` are the queries of one round by targets and weights, of all types; `written` the types that the teacher
    writes. `restricted`: step 2 asks about nothing else, and `drawn` are the queries of a round that are left. `asked` and
    `answered` count those of all rounds that find an image and that are answered; empty where images were not tried.
    """

    teacher: str
    restricted: bool
    wanted: dict[str, float]
    written: frozenset[str]
    drawn: dict[str, float]
    maxnum: int
    rounds: int
    asked: dict[str, int] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)

    @property
    def by_image(self) -> bool:
        """Whether images were tried, so that `asked` and `answered` say something."""
        return bool(self.asked)


def answerable_queries(
    planned: Sequence[Planned], asked: AskedQuestions | Finding | None
) -> AnswerableQueries | None:
    """The queries that the teacher of step 3 can answer; None of a model, which answers any, and without such a step.

    `asked` is `asked_or_finding` of these steps. The weights are those that an earlier run has left, else equal. Of a pool
    with more than _SAMPLE images a sample is tried. Images are drawn as step 2 does, without similarity and without
    leaving out the copies that only step 2 finds.
    """
    steps = first_configs(planned)
    queries, teacher = steps.get("construct_queries"), steps.get("generate_qa")
    if queries is None or teacher is None or (coverage := teacher_coverage(teacher.teacher)) is None:
        return None
    weights = _weights(planned, queries)
    wanted = expected_queries(weights, queries.targets, queries.maxnum)
    form_of: dict[str, QaForm] = {}
    for form in map(QaForm, _answer_kinds(asked)):
        form_of |= {name: form for name in wanted if coverage.writes(type_name(name), form)}
    restricted = queries.served_by == coverage.teacher
    types = {name for name in wanted if name in form_of or not restricted}
    if isinstance(asked, AskedQuestions) and asked.typed:
        # without a question of the type there is no bad case
        types &= {type_name(task.question.question_type) for task in asked.of_split(DIAGNOSE)} or types
    drawn = expected_queries(weights, queries.targets, queries.maxnum, types)
    found = AnswerableQueries(
        coverage.teacher,
        restricted,
        wanted,
        frozenset(form_of),
        {name: number if name in types else 0.0 for name, number in drawn.items()},
        queries.maxnum,
        sum(item.step.name == "construct_queries" for item in planned),
    )
    if not form_of or not queries.coco_dataset.is_dir():
        return found
    try:
        pool = free_images(planned, queries)
        of_images = teacher_coverage(teacher.teacher, pool.images)
    except DataEngineError:  # the check of the pool says why
        return found
    return _with_images(found, of_images, pool, form_of) if of_images and of_images.by_image else found


def _with_images(
    found: AnswerableQueries, coverage: Coverage, pool: QueryPool, form_of: Mapping[str, QaForm]
) -> AnswerableQueries:
    """`found` with what images allow, drawn for each query as step 2 draws them."""
    rows = np.flatnonzero(pool.free)
    step = max(1, -(-len(rows) // _SAMPLE))  # every step-th image is tried; rounded up
    sample = np.zeros(len(pool.free), dtype=bool)
    sample[rows[::step]] = True
    # each image of the sample stands for `step` images, and each draft for as many queries
    numbers = {name: round(found.rounds * number) for name, number in found.drawn.items()}
    rng = Random(0)
    order = mixed_order({name: -(-number // step) for name, number in numbers.items() if number}, rng)
    drafts = [QueryDraft(name, (), False) for name in order]

    def answers(place: int, row: int) -> bool:
        name = drafts[place].question_type
        if name not in form_of:
            return False
        kind = form_of[name].kind
        query = Query(
            image_id=pool.images.id_of(row),
            prompt="",
            question_type=type_name(name),
            answer_kind="" if kind == CHOICE else kind,
        )
        return coverage.answers(query)

    fits = answers if found.restricted else lambda place, row: True
    picks = pick_images(drafts, [None] * len(drafts), sample, rng, fits, redraws=int(sample.sum()))
    asked = Counter(drafts[pick.draft].question_type for pick in picks)
    answered = Counter(drafts[pick.draft].question_type for pick in picks if answers(pick.draft, pick.row))
    return replace(
        found,
        asked={name: min(number, step * asked[name]) for name, number in numbers.items()},
        answered={name: min(number, step * answered[name]) for name, number in numbers.items()},
    )


def _weights(planned: Sequence[Planned], queries: Any) -> dict[str, float]:
    """By type: those of the last evaluated round; equal ones where there is none, or its file is damaged."""
    names = read_categories(queries.categories).names
    try:
        return read_weights(latest_weights(planned), names, warn=lambda line: None)
    except DataEngineError:  # step 1 will write the file anew
        return dict.fromkeys(names, 1.0)


def _answer_kinds(asked: AskedQuestions | Finding | None) -> list[str]:
    """The kinds of the questions that will be asked; multiple choice while their file is not there or damaged."""
    if not isinstance(asked, AskedQuestions):
        return [CHOICE]
    return sorted({task.question.answer_kind or CHOICE for task in asked.tasks})
