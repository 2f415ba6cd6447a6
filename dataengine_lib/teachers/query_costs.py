"""Step 3: what queries will cost, per question type, before the first of them is sent."""

from collections.abc import Iterable
from dataclasses import dataclass

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.prices import Price, estimate_tokens, image_tokens, most_tokens
from dataengine_lib.core.records import Query

# Of a question with choices, answer and explanation; models that reason need several times as many.
REPLY_TOKENS = 120


@dataclass
class TypeCost:
    """Requests and tokens of one question type; `usd` is expected, `most_usd` what a budget would reserve for all.

    `most_prompt_tokens` is the upper bound of `prompt_tokens`.
    """

    name: str
    requests: int = 0
    prompt_tokens: int = 0
    most_prompt_tokens: int = 0
    reply_tokens: int = 0
    usd: float | None = None
    most_usd: float | None = None

    def price(self, price: Price | None, tier: str, max_output_tokens: int) -> "TypeCost":
        """Fill in US dollars, as if no input were cached; None without a price."""
        if price is not None:
            self.usd = price.cost(self.prompt_tokens, 0, self.reply_tokens, tier=tier)
            self.most_usd = price.most(self.most_prompt_tokens, self.requests * max_output_tokens, tier)
        return self


def query_costs(
    queries: Iterable[Query], price: Price | None, tier: str, max_output_tokens: int
) -> list[TypeCost]:
    """The sum of all, then one row per question type; prompt tokens are estimated from the prompts."""
    total, types = TypeCost("all"), dict[str, TypeCost]()
    for query in queries:
        picture = query.attach_image * image_tokens(price)
        expected, most = estimate_tokens(query.prompt), most_tokens(query.prompt) + SCHEMA_TOKENS
        for row in (total, types.setdefault(query.question_type, TypeCost(query.question_type))):
            row.requests += 1
            row.prompt_tokens += expected + picture
            row.most_prompt_tokens += most + picture
            row.reply_tokens += min(REPLY_TOKENS, max_output_tokens)
    return [row.price(price, tier, max_output_tokens) for row in (total, *types.values())]
