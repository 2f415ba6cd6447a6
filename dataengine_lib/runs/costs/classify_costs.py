"""Before a run: what step 0 asks its teacher, and the price."""

from typing import Any

from dataengine_lib.chat.prices import estimate_tokens, read_prices
from dataengine_lib.resources import CATEGORY_SETS, CLASSIFY_PROMPTS
from dataengine_lib.runs.checks.questions import planned_questions

_CLASSIFIED_TOKENS = 8  # of a question's number and type in a reply of step 0
_CHARACTERS_PER_TOKEN = 3  # of a question's text: an upper estimate, English has about 4


def classify_note(config: Any) -> str:
    """What step 0 asks: questions without a type, and a sample of the others to measure agreement."""
    if not config.questions.is_file():
        return "classify_questions is not counted: its file of questions does not exist yet"
    rows = planned_questions(config)
    untyped = [row for row in rows if not (row.question_type and config.keep_known)]
    asked = len(untyped) + min(config.agreement_sample, len(rows) - len(untyped))
    requests = -(-asked // config.batch_size)  # rounded up
    files = (CLASSIFY_PROMPTS.file(config.template), CATEGORY_SETS.file(config.categories))
    rules = sum(estimate_tokens(file.read_text(encoding="utf-8")) for file in files)
    text = sum(len(row.question) + sum(map(len, row.choices)) for row in rows) / max(1, len(rows))
    # every request repeats the rules and categories, and every question is sent once
    tokens = requests * rules + round(asked * text / _CHARACTERS_PER_TOKEN)
    price = read_prices(config.prices).of(config.teacher)
    usd = f", {price.cost(tokens, 0, asked * _CLASSIFIED_TOKENS):.2f} US dollars" if price else ""
    return f"classify_questions: {requests:,} requests for {asked:,} questions, {tokens:,} prompt tokens{usd}"
