"""Before a run: what a teacher that names causes below the types is asked, and its price."""

from collections.abc import Iterator, Sequence
from typing import Any

from dataengine_lib.chat.prices import most_tokens, read_prices
from dataengine_lib.core.records import most_accepted
from dataengine_lib.evaluation.tasks import Task
from dataengine_lib.images.references import image_ref
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.causes.naming import MOST_CHARACTERS
from dataengine_lib.questions.categories import type_name
from dataengine_lib.questions.splits import DIAGNOSE
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.questions import AskedQuestions
from dataengine_lib.runs.costs.cost_parts import CostPart
from dataengine_lib.runs.costs.priced_requests import PricedRequests
from dataengine_lib.runs.workflow import Planned, first_configs
from dataengine_lib.teachers.causes.cause_teacher import ASSIGNED_AT_ONCE, CAUSE_SCHEMA_TOKENS, SHOWN_CASES
from dataengine_lib.teachers.causes.prompts import MOST_CASE_CHARACTERS, assign_prompt, names_prompt

_NAME = "mistakes what stands at the left of the picture for what stands at its right"  # a rather long one
_LONGEST_CHARACTER = "\U0010ffff"  # four bytes, as many as any takes in UTF-8
_NAME_TOKENS, _CASE_TOKENS = 25, 15  # of a cause, and of a case's number and cause, in a reply


def cause_notes(
    planned: Sequence[Planned], asked: AskedQuestions | Finding | None, rounds: int
) -> Iterator[str]:
    """Lines on requests, tokens and price over all rounds, as if every diagnose question were a bad case in each.

    `asked` is `asked_or_finding` of these steps.
    """
    queries: Any = first_configs(planned)["construct_queries"]
    for part in cause_costs(planned, asked, rounds):
        yield part.line
        if part.requests is not None and queries.budget_usd is not None:
            yield (
                f"construct_queries.budget_usd stops cause_teacher in each round at {queries.budget_usd:g} US dollars"
            )


def cause_costs(
    planned: Sequence[Planned], asked: AskedQuestions | Finding | None, rounds: int
) -> Iterator[CostPart]:
    """What the teacher of causes is asked over all rounds; nothing without one. See `cause_notes`."""
    queries: Any = first_configs(planned)["construct_queries"]
    if queries.causes != "teacher":
        return
    model = queries.cause_teacher
    if not isinstance(asked, AskedQuestions):  # the check before a run says what is wrong with the file
        line = f"cause_teacher is not counted: the file of questions that {model} is asked about does not exist yet"
        yield CostPart("construct_queries", "cause_teacher", line)
        return
    tasks = asked.of_split(DIAGNOSE)
    prompts, reply_tokens = _prompts(tasks, queries, rounds, longest=False)
    longest, _ = _prompts(tasks, queries, rounds, longest=True)
    requests = PricedRequests.of_prompts(
        read_prices(queries.prices),
        model,
        prompts,
        longest,
        reply_tokens,
        queries.max_output_tokens,
        CAUSE_SCHEMA_TOKENS,
    )
    line = f"cause_teacher: at most {requests.text()}, if every diagnose question is a bad case in each round"
    yield CostPart.of("construct_queries", "cause_teacher", requests, line)


def _prompts(tasks: Sequence[Task], queries: Any, rounds: int, *, longest: bool) -> tuple[list[str], int]:
    """(the prompts of all rounds, tokens of the replies): names are asked for in the first round alone.

    `longest`: with the longest names, the longest answers to open-ended questions and the longest sample of cases.
    """
    of_type: dict[str, list[BadCase]] = {}
    for task in tasks:
        case = _as_bad_case(task, longest=longest)
        of_type.setdefault(type_name(task.question.question_type), []).append(case)
    names, assigned, reply_tokens = list[str](), list[str](), 0
    causes = [_LONGEST_CHARACTER * MOST_CHARACTERS if longest else _NAME] * queries.max_causes
    for kind, cases in of_type.items():
        if len(cases) < 2 * queries.min_cause_cases:
            continue
        if longest:
            cases.sort(key=lambda case: most_tokens(names_prompt("", [case], 0)), reverse=True)
        names.append(names_prompt(kind, cases[:SHOWN_CASES], queries.max_causes))
        for start in range(0, len(cases), ASSIGNED_AT_ONCE):
            assigned.append(assign_prompt(kind, cases[start : start + ASSIGNED_AT_ONCE], causes))
        reply_tokens += queries.max_causes * _NAME_TOKENS + rounds * len(cases) * _CASE_TOKENS
    return names + assigned * rounds, reply_tokens


def _as_bad_case(task: Task, *, longest: bool) -> BadCase:
    """The question as if it had been answered wrongly, by its longest other choice; open-ended, as people answer."""
    row = task.question
    right = row.correct_choice_idx
    others = [text for place, text in enumerate(row.choices) if place != right]
    answer = max(others, key=most_tokens if longest else len, default="")
    if not row.choices:
        answer = _LONGEST_CHARACTER * MOST_CASE_CHARACTERS if longest else most_accepted(row.direct_answers)
    return BadCase(
        row.question_id,
        row.question_type,
        image_ref(None, task.image),
        row.question,
        question=row.question,
        answer=answer,
        right=row.choices[right] if 0 <= right < len(row.choices) else most_accepted(row.direct_answers),
    )
