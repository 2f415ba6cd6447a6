"""Step 2: what it reads before it draws: bad cases with a person's decisions, weights, types, the prompt and the pool."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.queries.bad_cases import BadCase, read_bad_cases
from dataengine_lib.queries.coverage import Coverage, coverage_warnings, covered_cases
from dataengine_lib.queries.examples.decisions import DecidedCases, apply_example_decisions
from dataengine_lib.queries.pool_parameters import PoolParameters
from dataengine_lib.queries.preview import MAX_PREVIEWS
from dataengine_lib.queries.prompt import QueryPrompt, load_template
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.questions.categories import CategorySet, known_type, read_categories
from dataengine_lib.teachers.coverage.coverage import CoveredTeacher, teacher_coverage

_WANTED = "bad_case_aokvqa_classified.json of evaluate"
_MOST_SHOWN = 20  # bad cases that cannot be used and are kept for the warning


@dataclass(frozen=True)
class QueryInputs:
    """What the step reads; `types` are those of the categories, then further ones of the bad cases.

    `preview_cases` are the bad cases of `preview_type` that the preview may show although no draft uses them, and
    `uncovered` those by type that `coverage` leaves out.
    """

    types: list[str]
    decided: DecidedCases
    weights: dict[str, float]
    targets: dict[str, int]
    preview_type: str
    preview_cases: list[BadCase]
    categories: CategorySet
    template: QueryPrompt
    pool: QueryPool
    coverage: Coverage | None
    uncovered: dict[str, list[BadCase]]
    warnings: list[str]

    @property
    def not_asked_about(self) -> list[BadCase]:
        """The bad cases that no prompt may show; their images are left out as those of the others are."""
        return [*self.decided.never, *(case for cases in self.uncovered.values() for case in cases)]

    @property
    def cases(self) -> dict[str, list[BadCase]]:
        """The bad cases by type that prompts may show."""
        return self.decided.cases

    def possible_anchors(self, examples: int) -> list[BadCase]:
        """The bad cases that may take the place of an anchor: of prompts with one example, those that a person chose."""
        return [
            self.cases[kind][place]
            for kind, places in self.decided.used.items()
            for place in places
            if examples == 1
        ]


def read_query_inputs(
    pool_parameters: PoolParameters,
    bad_cases: Path,
    *,
    weight: Path | None,
    targets: Mapping[str, int],
    served_by: CoveredTeacher | None,
    example_decisions: Path | None,
    template: str | Path,
    categories: str | Path,
    preview_type: str,
) -> QueryInputs:
    """Read all of it; the parameters are those of `ConstructQueriesConfig`, and `bad_cases` its `input`.

    Raises ParameterError for a target or preview type that neither the categories nor the bad cases have, and
    DataEngineError for files that cannot be read or of which too many rows cannot be used.
    """
    bad = BadRows(bad_cases, pool_parameters.max_bad_share, wanted=_WANTED, keep=_MOST_SHOWN)
    decided = apply_example_decisions(read_bad_cases(bad_cases, bad), example_decisions)
    warnings = [*bad.warnings(), *decided.warnings]
    known = read_categories(categories)
    types = list(dict.fromkeys([*known.names, *decided.cases]))
    by_type = {known_type(name, types, "targets"): number for name, number in targets.items()}
    preview_type = known_type(preview_type, types, "preview_type") if preview_type else ""
    weights = read_weights(weight, types, warnings.append)
    prompt = load_template(template)
    pool = pool_parameters.query_pool(warnings.append)
    coverage = teacher_coverage(served_by, pool.images)
    decided, uncovered = covered_cases(decided, coverage, bad_cases)
    cases = decided.cases
    warnings += coverage_warnings(coverage, cases, uncovered)
    for form in {case.form for of_type in cases.values() for case in of_type}:
        prompt.form(form)  # before the pool's images are embedded, which may take hours
    return QueryInputs(
        types=types,
        decided=decided,
        weights=weights,
        targets=by_type,
        preview_type=preview_type,
        preview_cases=cases.get(preview_type, [])[:MAX_PREVIEWS],
        categories=known,
        template=prompt,
        pool=pool,
        coverage=coverage,
        uncovered=uncovered,
        warnings=warnings,
    )
