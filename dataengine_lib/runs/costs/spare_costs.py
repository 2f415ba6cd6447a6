"""Before a run: how many spare queries step 3 may ask in place of replies that skip, and their price."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from dataengine_lib.runs.costs.cost_parts import CostPart
from dataengine_lib.teachers.query_costs import TypeCost


def spare_costs(queries: Any, types: Sequence[TypeCost], rounds: int) -> Iterator[CostPart]:
    """The most that spares add to step 3's cost over all rounds; `types` are the costs of the types' queries."""
    if not queries.spare_share:
        return
    # rounded up in every round, with 1e-9 as in step 2
    of_round = [cost.requests / rounds * queries.spare_share for cost in types]
    numbers = [rounds * math.ceil(number - 1e-9) for number in of_round]
    # a spare costs what a query of its type does
    shares = [number / max(1, cost.requests) for number, cost in zip(numbers, types, strict=True)]
    text = f"{sum(numbers):,} requests, {round(_sum(shares, [cost.prompt_tokens for cost in types])):,} prompt tokens"
    of_types, most_of_types = [cost.usd for cost in types], [cost.most_usd for cost in types]
    usd = most = None
    price = "price not known"
    if None not in of_types and None not in most_of_types:
        usd, most = _sum(shares, of_types), _sum(shares, most_of_types)
        price = f"{usd:,.2f} US dollars, or {most:,.2f} with replies of max_output_tokens"
    line = f"spare queries, one for each reply that skips: at most {text} ({price}) more than in the table"
    yield CostPart("generate_qa", "spare queries", line, sum(numbers), usd, most)


def _sum(shares: Sequence[float], values: Sequence[float | None]) -> float:
    return math.fsum(share * (value or 0.0) for share, value in zip(shares, values, strict=True))
