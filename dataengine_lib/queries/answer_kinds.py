"""Step 2: what a query asks for where bad cases are yes/no or open-ended questions: one kind, and a fair share of No."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from dataengine_lib.core.records import YES_NO
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.sampling import QueryDraft

_YES, _NO = "Yes", "No"


def with_one_kind(
    drafts: Sequence[QueryDraft], cases: Mapping[str, Sequence[BadCase]], rng: Random
) -> list[QueryDraft]:
    """The drafts, each with examples of its anchor's answer kind alone.

    Examples of another kind are replaced by random ones of that kind, as far as the type has others. So the kinds get
    queries in proportion to their bad cases. Drafts of types with one kind stay as they are, and nothing is drawn.
    """
    by_kind: dict[str, dict[str, list[int]]] = {}
    for name, of_type in cases.items():
        places = by_kind.setdefault(name, {})
        for place, case in enumerate(of_type):
            places.setdefault(case.form.kind, []).append(place)
    found = []
    for draft in drafts:
        of_type = cases[draft.question_type]
        kind = of_type[draft.examples[0]].form.kind
        kept = [place for place in draft.examples if of_type[place].form.kind == kind]
        if len(kept) < len(draft.examples):
            others = [place for place in by_kind[draft.question_type][kind] if place not in kept]
            kept += rng.sample(others, min(len(draft.examples) - len(kept), len(others)))
            draft = replace(draft, examples=tuple(kept))
        found.append(draft)
    return found


def wanted_answers(drafts: Sequence[QueryDraft], examples: Sequence[Sequence[BadCase]]) -> list[str]:
    """The answer that the QA of each draft shall have: Yes or No for a yes/no question, else empty.

    Each answer is wanted equally often in every type, and over all types. Asked for no answer, models write mostly
    questions with Yes; a student that learns from those answers Yes to everything, which POPE (arXiv 2305.10355) measures.
    """
    of_type: Counter[tuple[str, str]] = Counter()
    overall: Counter[str] = Counter()
    wanted = []
    for draft, cases in zip(drafts, examples, strict=True):
        if cases[0].form.kind != YES_NO:
            wanted.append("")
            continue
        name = draft.question_type
        answer = min((_NO, _YES), key=lambda one: (of_type[name, one], overall[one]))
        of_type[name, answer] += 1
        overall[answer] += 1
        wanted.append(answer)
    return wanted
