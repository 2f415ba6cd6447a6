"""Step 2: what a teacher can write, so that it is asked about nothing else, and the bad cases that this leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dataengine_lib.core.records import QaForm, Query
from dataengine_lib.core.text import first_named
from dataengine_lib.errors import DataEngineError
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.examples.decisions import DecidedCases


def _any_image(query: Query) -> bool:
    return True


@dataclass(frozen=True)
class Coverage:
    """What `teacher` can write.

    `writes(question_type, form)` says whether it writes such questions about any image, `answers(query)` whether about the
    query's. `by_image`: it knows that before it is asked; otherwise `answers` is true of every query.
    """

    teacher: str
    writes: Callable[[str, QaForm], bool]
    answers: Callable[[Query], bool] = _any_image
    by_image: bool = False


def covered_cases(
    decided: DecidedCases, coverage: Coverage | None, file: Path
) -> tuple[DecidedCases, dict[str, list[BadCase]]]:
    """The bad cases of `file` that the teacher can write questions like, and the others by type.

    All of them without `coverage`. Raises DataEngineError when there are bad cases and the teacher writes none like them.
    """
    if coverage is None:
        return decided, {}
    covered, others = replace(decided, cases={}, used={}), dict[str, list[BadCase]]()
    for kind, cases in decided.cases.items():
        kept = [place for place, case in enumerate(cases) if coverage.writes(kind, case.form)]
        used = {*decided.used.get(kind, ())}
        covered.cases[kind] = [cases[place] for place in kept]
        covered.used[kind] = [new for new, place in enumerate(kept) if place in used]
        if len(kept) < len(cases):
            others[kind] = [case for case in cases if not coverage.writes(kind, case.form)]
    if others and not any(covered.cases.values()):
        raise DataEngineError(
            f"{file}: teacher {coverage.teacher} writes questions of none of the types with bad cases "
            f"({_by_type(others)}); give another teacher, or leave served_by out"
        )
    return covered, others


def coverage_warnings(
    coverage: Coverage | None,
    covered: Mapping[str, Sequence[BadCase]],
    others: Mapping[str, Sequence[BadCase]],
) -> list[str]:
    """A sentence on the bad cases that get no queries because the teacher writes no questions like them."""
    if coverage is None or not others:
        return []
    left_out = sum(map(len, others.values()))
    return [
        f"{left_out:,} of {left_out + sum(map(len, covered.values())):,} bad cases get no queries, as teacher "
        f"{coverage.teacher} writes no questions of their types: {_by_type(others)}"
    ]


def _by_type(cases: Mapping[str, Sequence[BadCase]]) -> str:
    return first_named([f"{kind} {len(of_type):,}" for kind, of_type in cases.items()])
