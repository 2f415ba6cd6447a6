"""Step 2: the bad cases that drafts show, by the causes and the choice of examples, and the pool images near them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.causes.causes_file import FoundCauses
from dataengine_lib.queries.causes.even_sampling import with_even_causes
from dataengine_lib.queries.examples.decisions import with_used_anchors, with_used_examples
from dataengine_lib.queries.examples.example_choice import ExampleChoice, case_vectors, choose_examples
from dataengine_lib.queries.image_search import Anchors, ImageSearch
from dataengine_lib.queries.sampling import QueryDraft


def anchors_needed(
    drafts: Sequence[QueryDraft], cases: Mapping[str, Sequence[BadCase]], preview_type: str
) -> list[BadCase]:
    """The anchors of drafts that need its image's neighbours, for themselves or for the preview."""
    return [
        cases[draft.question_type][draft.examples[0]]
        for draft in drafts
        if draft.neighbour or draft.question_type == preview_type
    ]


def cases_shown(drafts: Sequence[QueryDraft], cases: Mapping[str, Sequence[BadCase]]) -> list[list[BadCase]]:
    """The bad cases that each draft shows, its anchor first."""
    return [[cases[draft.question_type][place] for place in draft.examples] for draft in drafts]


@dataclass(frozen=True)
class ShownCases:
    """How the bad cases that drafts show are chosen; `cases` are those by type, and those `compared` have vectors.

    `used` are the places, by type, of those that a person wants to be shown; `examples` is the number that a draft shows,
    and causes with fewer than `min_cause_cases` cases are shown less often.
    """

    cases: Mapping[str, Sequence[BadCase]]
    used: Mapping[str, Sequence[int]]
    search: ImageSearch
    compared: Sequence[BadCase]
    causes: FoundCauses | None
    example_choice: ExampleChoice
    examples: int
    min_cause_cases: int
    preview_type: str
    seed: int

    def choose(
        self, drafts: Sequence[QueryDraft], rng: Random, previewed: Sequence[BadCase] = ()
    ) -> tuple[list[QueryDraft], Anchors]:
        """The drafts with their examples, and the pool images near their anchors and near those `previewed`.

        `rng` draws the causes, then among the used cases.
        """
        drawn = {draft.question_type: self.cases[draft.question_type] for draft in drafts}
        groups = {name: [case.form.kind for case in cases] for name, cases in drawn.items()}
        if causes := self.causes:
            drafts = with_even_causes(drafts, self.cases, causes, self.examples, self.min_cause_cases, rng)
            groups = {name: causes.groups(name, kinds) for name, kinds in groups.items()}
        drafts = with_used_anchors(drafts, groups, self.used, rng)
        needed = anchors_needed(drafts, self.cases, self.preview_type)
        anchors = self.search.anchors([*needed, *previewed], self.compared)

        def vectors_of(name: str) -> np.ndarray:
            return case_vectors([case.example for case in drawn[name]], anchors.vectors_of(drawn[name]))

        chosen = choose_examples(self.example_choice, drafts, vectors_of, groups, self.seed)
        return with_used_examples(chosen, groups, self.used, rng), anchors
