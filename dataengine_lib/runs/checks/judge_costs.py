"""Before a run: what the judge of open-ended answers is asked, and its price."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dataengine_lib.chat.budget import most_schema_tokens
from dataengine_lib.chat.prices import estimate_tokens, most_tokens, read_prices
from dataengine_lib.core.records import OPEN, Answer, Question, most_accepted
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.judge.verdicts import VERDICT_SCHEMA, judge_prompt
from dataengine_lib.runs.checks.questions import asked_questions
from dataengine_lib.runs.workflow import Planned, first_configs

_VERDICT_TOKENS = 40  # of a short sentence and a verdict in JSON


def judge_notes(planned: Sequence[Planned]) -> Iterator[str]:
    """Lines on requests, tokens and price over all evaluations, as if the student had an answer to every question."""
    config: Any = first_configs(planned)["evaluate"]
    if not config.judge:
        return
    try:
        asked = asked_questions(planned)
    except DataEngineError:  # the check before a run says what is wrong with the file
        asked = None
    if asked is None:
        yield f"judge is not counted: the file of questions whose answers {config.judge} grades does not exist yet"
        return
    evaluations = sum(item.step.name == "evaluate" for item in planned)
    prompts = [_prompt(task.question) for task in asked.tasks if task.question.answer_kind == OPEN]
    prompts = [] if asked.unanswered else prompts * evaluations
    yield _priced(prompts, evaluations, config.judge, config.prices, config.max_output_tokens)
    if config.judge_budget_usd is not None:
        yield f"evaluate.judge_budget_usd stops the judge in each evaluation at {config.judge_budget_usd:g} US dollars"


def _priced(prompts: Sequence[str], evaluations: int, model: str, prices: Path | None, limit: int) -> str:
    table = read_prices(prices)
    price, tokens = table.of(model), sum(map(estimate_tokens, prompts))
    usd = "price not known"
    if price:
        # as its budget reserves: the schema may be counted with each prompt
        longest = sum(map(most_tokens, prompts)) + len(prompts) * most_schema_tokens(VERDICT_SCHEMA)
        expected = price.cost(tokens, 0, len(prompts) * _VERDICT_TOKENS)
        usd = f"prices as of {table.date}: {expected:,.2f} US dollars"
        usd += f", at most {price.most(longest, len(prompts) * limit):,.2f} with {limit:,} output tokens each"
    return (
        f"judge: at most {len(prompts):,} requests to {model} in {evaluations:,} evaluations, {tokens:,} prompt tokens "
        f"({usd})"
    )


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
