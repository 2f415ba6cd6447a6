"""Before a run: what the judge of open-ended answers is asked, and its price."""

from collections.abc import Iterator, Sequence
from typing import Any

from dataengine_lib.chat.budget import most_schema_tokens
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.core.records import OPEN, Answer, Question, most_accepted
from dataengine_lib.evaluation.judge.verdicts import VERDICT_SCHEMA, judge_prompt
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.questions import AskedQuestions
from dataengine_lib.runs.costs.cost_parts import CostPart
from dataengine_lib.runs.costs.priced_requests import PricedRequests
from dataengine_lib.runs.workflow import Planned, first_configs

_BUDGET = "judge_budget_usd"
_VERDICT_TOKENS = 40  # of a short sentence and a verdict in JSON


def judge_notes(planned: Sequence[Planned], asked: AskedQuestions | Finding | None) -> Iterator[str]:
    """Lines on requests, tokens and price over all evaluations, as if the student had an answer to every question.

    `asked` is `asked_or_finding` of these steps.
    """
    config: Any = first_configs(planned)["evaluate"]
    for part in judge_costs(planned, asked):
        yield part.line
        if part.requests is not None and config.judge_budget_usd is not None:
            yield (
                f"evaluate.judge_budget_usd stops the judge in each evaluation at {config.judge_budget_usd:g} US dollars"
            )


def judge_costs(planned: Sequence[Planned], asked: AskedQuestions | Finding | None) -> Iterator[CostPart]:
    """What the judge is asked over all evaluations; nothing without one. See `judge_notes`."""
    config: Any = first_configs(planned)["evaluate"]
    if not config.judge:
        return
    if not isinstance(asked, AskedQuestions):  # the check before a run says what is wrong with the file
        yield CostPart(
            "evaluate",
            "judge",
            f"judge is not counted: the file of questions whose answers {config.judge} grades does not exist yet",
            budget=_BUDGET,
        )
        return
    evaluations = sum(item.step.name == "evaluate" for item in planned)
    prompts = [_prompt(task.question) for task in asked.tasks if task.question.answer_kind == OPEN]
    prompts = [] if asked.unanswered else prompts * evaluations
    requests = PricedRequests.of_prompts(
        read_prices(config.prices),
        config.judge,
        prompts,
        prompts,
        len(prompts) * _VERDICT_TOKENS,
        config.max_output_tokens,
        most_schema_tokens(VERDICT_SCHEMA),
    )
    line = f"judge: at most {requests.text(f' in {evaluations:,} evaluations')}"
    yield CostPart.of("evaluate", "judge", requests, line, _BUDGET)


def _prompt(question: Question) -> str:
    """What the judge is asked about an answer as long as the people's."""
    return judge_prompt(
        Answer(
            question=question.question,
            choices=[],
            correct_choice_idx=question.correct_choice_idx,
            direct_answers=question.direct_answers,
            model_answer=most_accepted(question.direct_answers),
        )
    )
