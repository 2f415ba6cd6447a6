"""Step 2: drafts that show all causes of their type alike, in place of its bad cases as they come."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.causes.causes_file import FoundCauses
from dataengine_lib.queries.sampling import QueryDraft, allocate_by_weight, mixed_order


def with_even_causes(
    drafts: Sequence[QueryDraft],
    cases: Mapping[str, Sequence[BadCase]],
    causes: FoundCauses,
    examples: int,
    min_cases: int,
    rng: Random,
) -> list[QueryDraft]:
    """The drafts with examples of one cause each, every cause of a type equally often; types and their order stay.

    All examples are of the first one's cause and answer kind, so a draft has fewer than `examples` where there are no more.
    A cause with fewer than `min_cases` cases, as later rounds leave it, has as much less of the queries. Drafts of a type
    with one cause stay as they are.
    """
    turns: dict[str, list[int]] = {}
    for name, of_type in causes.file.types.items():
        if len(of_type.causes) > 1:
            number = sum(draft.question_type == name for draft in drafts)
            weights = {
                str(place): min(1.0, cause.cases / min_cases) for place, cause in enumerate(of_type.causes)
            }
            counts = {
                cause: count for cause, count in allocate_by_weight(weights, number, rng).items() if count
            }
            turns[name] = [int(cause) for cause in mixed_order(counts, rng)]
    found = []
    for draft in drafts:
        name = draft.question_type
        if turns.get(name):
            cause = turns[name].pop()
            members = causes.members[name][cause]
            anchor = rng.choice(members)
            kind = cases[name][anchor].form.kind
            alike = [place for place in members if place != anchor and cases[name][place].form.kind == kind]
            others = rng.sample(alike, min(examples - 1, len(alike)))
            draft = replace(
                draft, examples=(anchor, *others), cause=causes.file.types[name].causes[cause].name
            )
        found.append(draft)
    return found
