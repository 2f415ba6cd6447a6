"""Before a run: what a student behind a server is asked, and its price."""

from collections.abc import Iterator, Sequence
from typing import Any

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.prices import estimate_tokens, most_tokens, read_prices
from dataengine_lib.core.records import OPEN, Question, question_prompt, shows_options
from dataengine_lib.evaluation.questioner import RankRule, Robust
from dataengine_lib.questions.reader import read_question_file
from dataengine_lib.runs.checks.questions import planned_questions
from dataengine_lib.runs.costs.cost_parts import CostPart, Limit, sum_line
from dataengine_lib.runs.costs.priced_requests import PricedRequests
from dataengine_lib.runs.workflow import Planned, first_configs

LETTER_TOKENS = 10  # of a reply that is one letter in JSON
REPLY_IS_LETTER = " if each reply is a letter"
_ORDERS_RANKED = (
    6  # of options as one text each, by the probe of contamination: the file's own and five others
)


def student_costs(planned: Sequence[Planned]) -> Iterator[CostPart]:
    """What a student behind a server is asked over all evaluations; nothing for another one."""
    config: Any = first_configs(planned)["evaluate"]
    if not config.student.startswith("api:"):
        return
    if not config.questions.is_file():
        line = f"evaluate is not counted: the file of questions for {config.student} does not exist yet"
        yield CostPart("evaluate", "student", line)
        return
    for _, requests in _requests(config):
        yield CostPart.of("evaluate", "student", requests, "").times(evaluations_on_server(planned))


def evaluations_on_server(planned: Sequence[Planned]) -> int:
    """How many evaluations ask a student behind a server; those after a training ask its checkpoint."""
    configs: list[Any] = [item.config for item in planned if item.step.name == "evaluate"]
    return sum(config.student.startswith("api:") for config in configs)


def student_notes(planned: Sequence[Planned]) -> Iterator[str]:
    """What a student behind a server is asked in one evaluation and in all, and where its budget stops it."""
    config: Any = first_configs(planned)["evaluate"]
    parts = list(student_costs(planned))
    yield from (part.line for part in parts if part.requests is None)
    if not any(part.requests is not None for part in parts):
        return
    most: list[float | None] = []
    for label, requests in _requests(config):
        most.append(requests.most_usd)
        yield f"evaluate{label}: {requests.text(replies=REPLY_IS_LETTER if not label else '')}"
    if config.budget_usd is not None:
        line = f"evaluate.budget_usd stops the student in each evaluation at {config.budget_usd:g} US dollars"
        known = [usd for usd in most if usd is not None]
        if sum(known) > config.budget_usd:
            line += f", and it may cost {sum(known):,.2f} at most: without answers to all questions there are no figures"
        yield line
    evaluations = evaluations_on_server(planned)
    limits = {parts[0].limited_by: Limit(config.budget_usd, evaluations)}
    many = "evaluation" if evaluations == 1 else "evaluations"
    yield f"student, in {evaluations:,} {many}: {sum_line(parts, limits)}"


def _requests(config: Any) -> Iterator[tuple[str, PricedRequests]]:
    """The requests that are written answers, and those that are ranked, with what to call them."""
    questions = planned_questions(config)
    prompts = [question_prompt(row) for row in questions]
    # each question is asked once, or in every rotation, and once more for the reverse order and for the direct answer
    sighted = [(row, _orders(row, config.robust)) for row in questions]
    same: Robust = (
        "circular" if config.robust == "circular" else "off"
    )  # the orders of probes, as step 1 asks them
    blind = [(row, _orders(row, same)) for row in questions] if config.blind else []
    if config.contamination:  # in other words, and multiple choice with the options in another order
        sighted += [(row, 1 + shows_options(row.answer_kind)) for row in questions]
    for one in config.panel.values():
        if one.questions.is_file():
            of_set = read_question_file(one.questions, one.image_root, unanswered=True).questions
            prompts += [question_prompt(row) for row in of_set]
            sighted += [(row, _orders(row, same)) for row in of_set]
    direct = len(questions) * config.direct_answers
    texts = 0
    if config.contamination and config.rank == "text":
        texts = _ORDERS_RANKED * sum(shows_options(row.answer_kind) for row in questions)
    table = read_prices(config.prices)
    for label, ranked in (("", False), (", ranked", True)):
        images = _number(sighted, config.rank, ranked) + (texts if ranked else direct)
        asked = images + _number(blind, config.rank, ranked)
        # mean length of a prompt, times the number of requests
        text = sum(map(estimate_tokens, prompts)) * asked // max(1, len(prompts))
        longest = max(map(most_tokens, prompts), default=0)
        if ranked and config.rank == "text":  # the option stands behind the question once more
            longest += max((len(text.encode()) for row in questions for text in row.choices), default=0)
        most = asked * (longest + SCHEMA_TOKENS)
        replies, limit = (asked, 1) if ranked else (asked * LETTER_TOKENS, config.max_output_tokens)
        if asked or not (ranked or prompts):
            yield label, PricedRequests(table, config.student, asked, text, most, replies, limit, images)


def _number(asked: Sequence[tuple[Question, int]], rank: RankRule, ranked: bool) -> int:
    """The requests for questions in so many orders each that are ranked, or those that are not.

    `rank: text` takes one for each option, Yes and No where none are shown. Open-ended questions are never ranked.
    """
    number = 0
    for row, orders in asked:
        if ranked == (rank != "generate" and row.answer_kind != OPEN):
            options = len(row.choices) if shows_options(row.answer_kind) else 2
            number += orders * (options if ranked and rank == "text" else 1)
    return number


def _orders(question: Question, robust: Robust) -> int:
    """In how many orders the options of a question are asked."""
    if not shows_options(question.answer_kind):
        return 1
    return {"off": 1, "reverse": 2, "circular": len(question.choices)}[robust]
