"""Step 3: what queries will cost, per question type, before the first of them is sent."""

from collections.abc import Iterable
from dataclasses import dataclass

from dataengine_lib.chat.prices import Price, estimate_tokens, image_tokens
from dataengine_lib.core.records import Query

# question, choices, answer and explanation; models that think first need several times that
REPLY_TOKENS = 120


@dataclass
class TypeCost:
    """Requests and tokens of one question type; `usd` is expected, `most_usd` with every reply as long as it may be."""

    name: str
    requests: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    usd: float | None = None
    most_usd: float | None = None

    def price(self, price: Price | None, tier: str, room: int) -> "TypeCost":
        """Fill in US dollars, without counting on cached input; None without a price."""
        if price is not None:
            self.usd = price.cost(self.prompt_tokens, 0, self.reply_tokens, tier=tier)
            self.most_usd = price.most(self.prompt_tokens, self.requests * room, tier)
        return self


def query_costs(queries: Iterable[Query], price: Price | None, tier: str, room: int) -> list[TypeCost]:
    """One row a question type, the sum first; prompt tokens are an upper guess from the prompts' length."""
    total, types = TypeCost("all"), dict[str, TypeCost]()
    for query in queries:
        tokens = estimate_tokens(query.prompt)
        tokens += query.attach_image * image_tokens(price)
        for row in (total, types.setdefault(query.question_type, TypeCost(query.question_type))):
            row.requests += 1
            row.prompt_tokens += tokens
            row.reply_tokens += min(REPLY_TOKENS, room)
    return [row.price(price, tier, room) for row in (total, *types.values())]
