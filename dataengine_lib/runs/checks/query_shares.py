"""Before a run: how many queries each question type is expected to get, for the plan and for what it is checked for."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from dataengine_lib.questions.categories import type_name
from dataengine_lib.runs.workflow import Planned


def latest_weights(planned: Sequence[Planned]) -> Path | None:
    """The weight.json that the last evaluated round of an earlier run has left; None where there is none yet."""
    files = [
        getattr(item.config, "weight", None) for item in planned if item.step.name == "construct_queries"
    ]
    return next((file for file in reversed(files) if file is not None and file.is_file()), None)


def expected_queries(
    weights: Mapping[str, float],
    targets: Mapping[str, int],
    maxnum: int,
    with_cases: Collection[str] | None = None,
) -> dict[str, float]:
    """Queries by type as step 2 shares them out: the targets, and the rest of `maxnum` by weight.

    The types are those of `weights`, then further ones of `targets`. Only types in `with_cases` share the rest, and
    all do where it is None or holds none of them.
    """
    given = {type_name(kind): number for kind, number in targets.items()}
    rest = maxnum - sum(given.values())
    free = {kind: value for kind, value in weights.items() if kind not in given}
    fillable = {kind: value for kind, value in free.items() if with_cases is None or kind in with_cases}
    if not any(fillable.values()):
        fillable = free
    whole = sum(fillable.values()) or 1
    return {
        kind: float(given[kind]) if kind in given else rest * fillable.get(kind, 0.0) / whole
        for kind in dict.fromkeys([*weights, *given])
    }
