"""Before a run: requests to one model and what they cost, as `dataengine plan` says it."""

from collections.abc import Sequence
from dataclasses import dataclass

from dataengine_lib.chat.prices import PriceTable, estimate_tokens, image_tokens, most_tokens


@dataclass(frozen=True)
class PricedRequests:
    """`number` requests to `model`, priced by `table`, `images` of them with a picture.

    `text_tokens` are those of all prompts without pictures as they are expected, `most_text_tokens` an upper bound, and
    `reply_tokens` those of all replies. A reply has up to `max_output_tokens`.
    """

    table: PriceTable
    model: str
    number: int
    text_tokens: int
    most_text_tokens: int
    reply_tokens: int
    max_output_tokens: int
    images: int = 0

    @classmethod
    def of_prompts(
        cls,
        table: PriceTable,
        model: str,
        prompts: Sequence[str],
        longest: Sequence[str],
        reply_tokens: int,
        max_output_tokens: int,
        schema_tokens: int,
    ) -> "PricedRequests":
        """Requests of `prompts` that are at most as long as `longest`, with a schema of `schema_tokens` at most.

        The upper bound is what a budget reserves: the schema may be counted with each prompt.
        """
        most = sum(map(most_tokens, longest)) + len(longest) * schema_tokens
        tokens = sum(map(estimate_tokens, prompts))
        return cls(table, model, len(prompts), tokens, most, reply_tokens, max_output_tokens)

    @property
    def usd(self) -> float | None:
        """US dollars as expected, as if no input were cached; None without a price."""
        price = self.table.of(self.model)
        # 0: no tokens are counted at the lower price of cached input
        return price.cost(self._prompt_tokens, 0, self.reply_tokens) if price else None

    @property
    def most_usd(self) -> float | None:
        """US dollars with replies of `max_output_tokens`; None without a price."""
        price = self.table.of(self.model)
        if price is None:
            return None
        attached = self.images * image_tokens(price)
        return price.most(self.most_text_tokens + attached, self.number * self.max_output_tokens)

    @property
    def _prompt_tokens(self) -> int:
        return self.text_tokens + self.images * image_tokens(self.table.of(self.model))

    def text(self, where: str = "", replies: str = "") -> str:
        """`720 requests to openai:gpt-4.1, 1,234,000 prompt tokens (prices as of …)`.

        `where` follows the model's name, `replies` the price and says which replies it is the price of.
        """
        price = self.table.of(self.model)
        usd = "price not known"
        if self.usd is not None and self.most_usd is not None:
            usd = f"prices as of {self.table.date}: {self.usd:,.2f} US dollars{replies}"
            usd += f", at most {self.most_usd:,.2f} with {self.max_output_tokens:,} output tokens each"
        each = f", {image_tokens(price):,} for each image" if self.images else ""
        return f"{self.number:,} requests to {self.model}{where}, {self._prompt_tokens:,} prompt tokens{each} ({usd})"
