"""Before a run: which question types does the teacher write, and how many queries would it skip?"""

from collections.abc import Iterator, Sequence
from typing import Any

from dataengine_lib.core.text import first_named
from dataengine_lib.questions.categories import read_categories, type_name
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.workflow import Planned


def check_teacher_types(planned: Sequence[Planned]) -> Iterator[Finding]:
    """A finding where the built-in teachers write only some types of a round's queries; models write any type.

    The queries are shared out equally among the types without a target, as weights are not known before step 1.
    """
    steps: dict[str, Any] = {}
    for item in planned:
        steps.setdefault(item.step.name, item.config)
    queries, teacher = steps.get("construct_queries"), steps.get("generate_qa")
    if queries is None or teacher is None or (served := _served(teacher.teacher)) is None:
        return
    names = read_categories(queries.categories).names
    targets = {type_name(kind): number for kind, number in queries.targets.items()}
    free = [name for name in names if name not in targets]
    each = (queries.maxnum - sum(targets.values())) / max(1, len(free))
    wanted = {name: float(targets.get(name, each)) for name in dict.fromkeys([*names, *targets])}
    missing = [name for name, number in wanted.items() if number and type_name(name) not in served]
    if not missing:
        return
    skipped = round(sum(wanted[name] for name in missing))
    yield Finding(
        "bad" if len(missing) == sum(map(bool, wanted.values())) else "warn",
        "teacher of generate_qa",
        f"{teacher.teacher} answers {len(wanted) - len(missing)} of {len(wanted)} types; about {skipped:,} of "
        f"{queries.maxnum:,} queries a round would be skipped: {first_named(missing)}; set targets or another teacher",
    )


def _served(teacher: str) -> set[str] | None:
    """The types that a built-in teacher writes; None for a model, which may write any."""
    if teacher == "annotations":
        from dataengine_lib.annotations.teacher import WRITERS_BY_TYPE

        return {type_name(kind) for kind in WRITERS_BY_TYPE}
    if teacher == "playground":
        from dataengine_lib.playground.questions import QUESTION_WRITERS

        return {type_name(kind) for kind in QUESTION_WRITERS}
    return None
