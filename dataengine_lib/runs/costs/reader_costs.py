"""Before a run: what the readers of step 4 are asked, and their price."""

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.prices import estimate_tokens, most_tokens, read_prices
from dataengine_lib.core.records import CHOICE
from dataengine_lib.curation.readers.reader_prompt import BLIND_READER, SECOND_READER, load_reader_prompt
from dataengine_lib.images.pool import PoolImage
from dataengine_lib.runs.checks.questions import planned_questions
from dataengine_lib.runs.costs.cost_parts import CostPart
from dataengine_lib.runs.costs.planned_run import PlannedRun
from dataengine_lib.runs.costs.priced_requests import PricedRequests
from dataengine_lib.runs.costs.student_costs import LETTER_TOKENS, REPLY_IS_LETTER
from dataengine_lib.teachers.query_costs import TypeCost

_SAMPLE = 50  # questions that are rendered to learn how long prompts are


def reader_costs(run: PlannedRun, images: list[PoolImage], total: TypeCost) -> Iterator[CostPart]:
    """What step 4's readers are asked if each query of `total` gives one question that reaches them."""
    curation, queries = run.curation, total.requests
    prices = read_prices(curation.prices)
    for one in curation.readers:
        prompts = _reader_prompts(run.evaluate, [] if one.blind else images, one.blind, one.image)
        text = queries * (sum(map(estimate_tokens, prompts)) // len(prompts))
        most = queries * (max(map(most_tokens, prompts)) + SCHEMA_TOKENS)
        pictures, limit = queries if one.image else 0, curation.max_output_tokens
        letters = queries * LETTER_TOKENS
        requests = PricedRequests(prices, one.model, queries, text, most, letters, limit, pictures)
        line = f"{one.parameter}: at most {requests.text(replies=REPLY_IS_LETTER)}"
        yield CostPart.of("post_process", one.parameter, requests, line)


def _reader_prompts(config: Any, images: list[PoolImage], blind: bool, attached: bool) -> list[str]:
    """Prompts as a reader of step 4 would get them, with evaluation questions in place of generated ones."""
    questions = planned_questions(config)[:_SAMPLE] if config.questions.is_file() else []
    texts = [(row.question, row.choices, row.answer_kind or CHOICE) for row in questions] or [
        ("", [], CHOICE)
    ]
    fill = load_reader_prompt(BLIND_READER if blind else SECOND_READER)
    # as many prompts as there are questions or images, whichever are more
    pairs = islice(zip(cycle(texts), cycle(images or [None])), max(len(texts), len(images)))
    return [fill(question, choices, image, attached, kind) for (question, choices, kind), image in pairs]
