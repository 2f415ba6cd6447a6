"""Before a run: which question types does the teacher write, and how many queries would it skip?"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from dataengine_lib.core.records import CHOICE
from dataengine_lib.core.text import first_named
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.questions.categories import read_categories, type_name
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.query_shares import expected_queries, latest_weights
from dataengine_lib.runs.checks.questions import AskedQuestions
from dataengine_lib.runs.workflow import Planned, first_configs


def check_teacher_types(
    planned: Sequence[Planned], asked: AskedQuestions | Finding | None
) -> Iterator[Finding]:
    """A finding where the built-in teachers write only some types of a round's queries; models write any type.

    `asked` is `asked_or_finding` of these steps. The queries are shared out by targets and by the weights that an earlier
    run has left; without these, equally.
    """
    steps = first_configs(planned)
    queries, teacher = steps.get("construct_queries"), steps.get("generate_qa")
    if queries is None or teacher is None or teacher.teacher not in ("annotations", "playground"):
        return
    serves = _serves(teacher.teacher, _answer_kinds(asked))
    wanted = expected_queries(_weights(planned, queries), queries.targets, queries.maxnum)
    missing = [name for name, number in wanted.items() if number and not serves(type_name(name))]
    if not missing:
        return
    types = sum(map(bool, wanted.values()))
    skipped = round(sum(wanted[name] for name in missing))
    yield Finding(
        "bad" if len(missing) == types else "warn",
        "teacher of generate_qa",
        f"{teacher.teacher} answers {types - len(missing)} of {types} types; about {skipped:,} of "
        f"{queries.maxnum:,} queries a round would be skipped: {first_named(missing)}; set targets or another teacher",
    )


def _weights(planned: Sequence[Planned], queries: Any) -> dict[str, float]:
    """By type: those of the last evaluated round; equal ones where there is none, or its file is damaged."""
    names = read_categories(queries.categories).names
    try:
        return read_weights(latest_weights(planned), names, warn=lambda line: None)
    except DataEngineError:  # step 1 will write the file anew
        return dict.fromkeys(names, 1.0)


def _answer_kinds(asked: AskedQuestions | Finding | None) -> set[str]:
    """The kinds of the questions that will be asked; multiple choice while their file is not there or damaged."""
    if not isinstance(asked, AskedQuestions):
        return {CHOICE}
    return {task.question.answer_kind or CHOICE for task in asked.tasks}


def _serves(teacher: str, kinds: set[str]) -> Callable[[str], bool]:
    """Whether a built-in teacher writes questions of a type, of one of `kinds`."""
    of_choices: Iterable[str]
    if teacher == "annotations":
        from dataengine_lib.annotations.other_kinds import has_writer as others
        from dataengine_lib.annotations.teacher import WRITERS_BY_TYPE

        of_choices = WRITERS_BY_TYPE
    else:
        from dataengine_lib.playground.other_kinds import is_written as others
        from dataengine_lib.playground.questions import QUESTION_WRITERS

        of_choices = QUESTION_WRITERS
    known = {type_name(kind) for kind in of_choices} if CHOICE in kinds else set()
    return lambda name: name in known or (kinds != {CHOICE} and others(name))
