"""Before a run: which question types does the teacher write, and how many queries would it skip or answer?"""

from collections.abc import Iterator, Sequence

from dataengine_lib.core.text import first_named
from dataengine_lib.runs.checks.answerable import AnswerableQueries, answerable_queries
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.questions import AskedQuestions
from dataengine_lib.runs.workflow import Planned

TEACHER_SUBJECT = "teacher of generate_qa"
_ENOUGH = 0.5  # of the queries asked for: with fewer answered, the teacher or the images hardly fit


def check_teacher_types(
    planned: Sequence[Planned], asked: AskedQuestions | Finding | None
) -> Iterator[Finding]:
    """A finding where the built-in teachers write only some types, or about some images; models write about any.

    `asked` is `asked_or_finding` of these steps. The queries are shared out by targets and by the weights that an earlier
    run has left; without these, equally.
    """
    found = answerable_queries(planned, asked)
    if found is None:
        return
    missing = [name for name, number in found.wanted.items() if number and name not in found.written]
    types = sum(map(bool, found.wanted.values()))
    if not found.restricted or (missing and len(missing) == types):
        if missing:
            yield _skipped(found, missing, types)
        return
    text = f"{found.teacher} answers {types - len(missing)} of {types} types"
    if missing:
        text += (
            f", so no others are asked about (construct_queries.served_by; left out: {first_named(missing)})"
        )
    if not found.by_image:
        if missing:
            yield Finding("ok", TEACHER_SUBJECT, text)
        return
    answered, whole = sum(found.answered.values()), found.maxnum * found.rounds
    text += f"; about {answered:,} of {whole:,} queries can be answered"
    if answered >= _ENOUGH * whole:
        yield Finding("ok", TEACHER_SUBJECT, text)
    else:
        yield Finding("warn", TEACHER_SUBJECT, f"{text}; add images, lower maxnum, or give another teacher")


def _skipped(found: AnswerableQueries, missing: list[str], types: int) -> Finding:
    """Queries that are asked in vain; with a teacher for none of the types, the run is."""
    skipped = round(sum(found.wanted[name] for name in missing))
    return Finding(
        "bad" if len(missing) == types else "warn",
        TEACHER_SUBJECT,
        f"{found.teacher} answers {types - len(missing)} of {types} types; about {skipped:,} of "
        f"{found.maxnum:,} queries a round would be skipped: {first_named(missing)}; set targets or another teacher",
    )
