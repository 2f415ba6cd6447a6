"""Before a run: what a student behind a server is asked, and its price."""

from typing import Any

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.prices import estimate_tokens, most_tokens, read_prices
from dataengine_lib.core.records import Question, question_prompt, shows_options
from dataengine_lib.evaluation.questioner import Robust
from dataengine_lib.questions.reader import read_question_file
from dataengine_lib.runs.checks.priced_requests import PricedRequests
from dataengine_lib.runs.checks.questions import planned_questions

LETTER_TOKENS = 10  # of a reply that is one letter in JSON
REPLY_IS_LETTER = " if each reply is a letter"


def student_note(config: Any) -> str:
    """What a student behind a server is asked in one evaluation."""
    if not config.questions.is_file():
        return f"evaluate is not counted: the file of questions for {config.student} does not exist yet"
    questions = planned_questions(config)
    prompts = [question_prompt(row) for row in questions]
    # each question is asked once, or in every rotation, and once more for the reverse order and for the direct answer
    number = sum(_orders(row, config.robust) for row in questions) + len(prompts) * config.direct_answers
    same: Robust = (
        "circular" if config.robust == "circular" else "off"
    )  # the orders of probes, as step 1 asks them
    blind = sum(_orders(row, same) for row in questions) if config.blind else 0
    if config.contamination:  # in other words, and multiple choice with the options in another order
        number += len(questions) + sum(shows_options(row.answer_kind) for row in questions)
    for one in config.panel.values():
        if one.questions.is_file():
            of_set = read_question_file(one.questions, one.image_root, unanswered=True).questions
            prompts += [question_prompt(row) for row in of_set]
            number += sum(_orders(row, same) for row in of_set)
    # mean length of a prompt, times the number of requests
    asked = number + blind
    text = sum(map(estimate_tokens, prompts)) * asked // max(1, len(prompts))
    most = asked * (max(map(most_tokens, prompts), default=0) + SCHEMA_TOKENS)
    prices, letters = read_prices(config.prices), asked * LETTER_TOKENS
    limit = config.max_output_tokens
    requests = PricedRequests(prices, config.student, asked, text, most, letters, limit, number)
    return f"evaluate: {requests.text(replies=REPLY_IS_LETTER)}"


def _orders(question: Question, robust: Robust) -> int:
    """In how many orders the options of a question are asked."""
    if not shows_options(question.answer_kind):
        return 1
    return {"off": 1, "reverse": 2, "circular": len(question.choices)}[robust]
