"""Step 3: what queries will cost, per question type, before the first of them is sent."""

from collections.abc import Iterable
from dataclasses import dataclass

from dataengine_lib.data.prices import IMAGE_TOKENS, Price, estimate_tokens
from dataengine_lib.data.records import Query

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
            dearer = (price.cache_write or 0) > price.input
            written = self.prompt_tokens if dearer else 0  # to the cache, all of it at worst
            self.most_usd = price.cost(self.prompt_tokens, 0, self.requests * room, written, tier)
        return self


def query_costs(queries: Iterable[Query], price: Price | None, tier: str, room: int) -> list[TypeCost]:
    """One row a question type, the sum first; prompt tokens are an upper guess from the prompts' length."""
    total, types = TypeCost("all"), dict[str, TypeCost]()
    for query in queries:
        tokens = estimate_tokens(query.prompt)
        tokens += query.attach_image * (price.image_tokens if price else IMAGE_TOKENS)
        for row in (total, types.setdefault(query.question_type, TypeCost(query.question_type))):
            row.requests += 1
            row.prompt_tokens += tokens
            row.reply_tokens += min(REPLY_TOKENS, room)
    return [row.price(price, tier, room) for row in (total, *types.values())]
