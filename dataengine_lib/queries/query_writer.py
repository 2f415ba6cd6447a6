"""Step 2: from drafts to queries, by picking an image for each and filling the prompt template."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import msgspec

from dataengine_lib.core.records import CHOICE, FOUR_CHOICES, YES_NO, Query
from dataengine_lib.queries.answer_kinds import wanted_answers
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.copy_check import CopyCheck
from dataengine_lib.queries.coverage import Coverage
from dataengine_lib.queries.image_search import Anchors
from dataengine_lib.queries.prompt import QueryPrompt
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.queries.sampling import COVERED_REDRAWS, MAX_REDRAWS, Pick, QueryDraft, pick_images
from dataengine_lib.questions.categories import CategorySet


@dataclass(frozen=True)
class WrittenQueries:
    """Queries in the order in which they were drawn, the pick of each, and what was given up.

    `too_long` holds the places of drafts that found no image because the last one tried made a prompt over
    max_prompt_tokens, `uncovered` of those where the teacher cannot write about it.
    """

    queries: list[Query]
    picks: list[Pick]
    too_long: set[int]
    uncovered: set[int]


@dataclass(frozen=True)
class QueryWriter:
    """Makes queries from bad cases and pool images; `round` is written into each of them.

    Each pool image that is drawn is given to `copies`; no query takes a copy of an evaluation image. With `coverage`,
    every query is one that its teacher answers.
    """

    template: QueryPrompt
    categories: CategorySet
    pool: QueryPool
    anchors: Anchors
    copies: CopyCheck
    max_prompt_tokens: int | None = None
    round: int = 0
    coverage: Coverage | None = None

    def write(
        self,
        drafts: Sequence[QueryDraft],
        examples: Sequence[Sequence[BadCase]],
        rng: Random,
        taken: Sequence[int] = (),
    ) -> WrittenQueries:
        """Pick an image for each draft and write its query; `examples[i]` are the bad cases that draft i shows.

        An image whose prompt would be too long even without captions, or that the teacher cannot write about, is drawn
        again (see `pick_images`). `taken` are the pool's rows that other queries have.
        """
        # the first example is the anchor
        near = [
            self.anchors.neighbours_of(cases[0]) if draft.neighbour else None
            for draft, cases in zip(drafts, examples, strict=True)
        ]
        answers = wanted_answers(drafts, examples)
        prompts: dict[int, str | None] = {}  # by draft: that of the last image tried
        uncovered: set[int] = (
            set()
        )  # drafts whose last image tried is one that the teacher cannot write about
        by_image = self.coverage is not None and self.coverage.by_image

        def fits(place: int, row: int) -> bool:
            # kept, so that the prompt of the image that is taken need not be made again
            draft = drafts[place]
            prompt = prompts[place] = self.prompt(
                draft.question_type, examples[place], row, answers[place], draft.cause
            )
            uncovered.discard(place)
            if prompt is None or self.coverage is None:
                return prompt is not None
            if self.coverage.answers(
                self.query(draft.question_type, examples[place], Pick(place, row, False), prompt, draft.cause)
            ):
                return True
            uncovered.add(place)
            return False

        free = self.pool.free.copy()
        free[list(taken)] = False
        redraws = COVERED_REDRAWS if by_image else MAX_REDRAWS

        def drawn(is_usable: Callable[[int], bool]) -> list[int]:
            # the images that are drawn if they all fit; the draws below are made with the same numbers
            same, rows = Random(), list[int]()
            same.setstate(rng.getstate())

            def is_usable_row(row: int) -> bool:
                rows.append(row)
                return is_usable(row)

            pick_images(drafts, near, free, same, usable=is_usable_row)
            return rows

        if self.coverage is None:
            self.copies.look_ahead(drawn)
        picks = pick_images(drafts, near, free, rng, fits, self.copies.is_usable, redraws)
        queries = [
            self.query(
                drafts[pick.draft].question_type,
                examples[pick.draft],
                pick,
                prompts[pick.draft] or "",
                drafts[pick.draft].cause,
            )
            for pick in picks
        ]
        # a draft that found an image has the prompt of that one, so None is left only where none fitted
        too_long = {place for place, prompt in prompts.items() if prompt is None}
        return WrittenQueries(queries, picks, too_long, uncovered)

    def prompt(
        self, question_type: str, cases: Sequence[BadCase], row: int, answer: str = "", cause: str = ""
    ) -> str | None:
        """The prompt about the pool image of that row, None when it is too long.

        `answer` is what a yes/no question shall have as its answer; without it, Yes. `cause` names what the cases have in
        common, or is empty.
        """
        form = self.template.form(cases[0].form)
        return self.template.render(
            question_type,
            self.categories.definition(question_type),
            [case.example for case in cases],
            self.pool.images[row],
            self.max_prompt_tokens,
            form,
            answer or ("Yes" if form.kind == YES_NO else ""),
            cause,
        )

    def query(
        self, question_type: str, cases: Sequence[BadCase], pick: Pick, prompt: str, cause: str = ""
    ) -> Query:
        """The row of `gptvqa_prompt.json`."""
        form = self.template.form(cases[0].form)
        image_id, anchor = self.pool.images.id_of(pick.row), cases[0].image
        return Query(
            image_id=image_id,
            prompt=prompt,
            question_type=question_type,
            # from the content, so that the same query has the same id in every run
            query_id="r-" + _sha256(f"{image_id}\n{question_type}\n{prompt}")[:16],
            image_path=self.pool.images.paths[pick.row],
            anchor_image_id=anchor.image_id,
            anchor_image_path=self.anchors.paths.get(anchor, anchor.image_path),
            example_ids=[case.key for case in cases],
            neighbour=pick.neighbour,
            similarity=None if pick.similarity is None else round(pick.similarity, 4),
            template=self.template.file.name,
            prompt_sha256=_sha256(prompt),
            attach_image=self.template.attach_image,
            round=self.round,
            answer_kind="" if form.kind == CHOICE else form.kind,
            n_choices=msgspec.UNSET if form.n_choices == FOUR_CHOICES.n_choices else form.n_choices,
            cause=cause or msgspec.UNSET,
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
