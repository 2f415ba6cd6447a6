"""Before a run: what it asks models for beside step 3's queries, and what all of that comes to."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dataengine_lib.runs.costs.priced_requests import PricedRequests


@dataclass(frozen=True)
class CostPart:
    """What step `step` asks models for over all rounds, at most; `line` says it in a plan.

    US dollars are expected, and at most with replies of max_output_tokens; None where the price is not known, as is
    `requests` where they cannot be counted yet. `asks`: who is asked, or what for. `budget` is the step's parameter that
    limits it.
    """

    step: str
    asks: str
    line: str
    requests: int | None = None
    usd: float | None = None
    most_usd: float | None = None
    budget: str = "budget_usd"

    @classmethod
    def of(
        cls, step: str, asks: str, requests: PricedRequests, line: str, budget: str = "budget_usd"
    ) -> "CostPart":
        """From requests to one model."""
        return cls(step, asks, line, requests.number, requests.usd, requests.most_usd, budget)

    @property
    def limited_by(self) -> str:
        """The name of its budget: `generate_qa.budget_usd`."""
        return f"{self.step}.{self.budget}"

    def times(self, share: float) -> "CostPart":
        """As much as `share` of it; without its line, except where that says why nothing is counted."""
        number, usd, most = (
            None if value is None else value * share for value in (self.requests, self.usd, self.most_usd)
        )
        if number is None:
            return self
        return CostPart(self.step, self.asks, "", round(number), usd, most, self.budget)


@dataclass(frozen=True)
class Limit:
    """`budget_usd` of a step that runs `times` times; None: without one."""

    budget_usd: float | None
    times: float


def sum_line(parts: Sequence[CostPart], limits: Mapping[str, Limit]) -> str:
    """All `parts` together: `at most 2,880 requests, 12.34 US dollars, or 45.67 with replies of max_output_tokens`.

    `limits` are by the names of the budgets: nothing costs more than its budget. Parts that cannot be counted or have no
    price are named.
    """
    known = [part for part in parts if part.requests is not None]
    priced = [part for part in known if part.usd is not None]
    text = f"at most {sum(part.requests or 0 for part in known):,} requests"
    if priced:
        usd, most = (_within(priced, limits, bound) for bound in ("usd", "most_usd"))
        text += f", {usd:,.2f} US dollars, or {most:,.2f} with replies of max_output_tokens"
        if most < _within(priced, {}, "most_usd"):
            text += " within the budgets"
    without = [part.asks for part in known if part.usd is None]
    text += f"; without a price: {', '.join(dict.fromkeys(without))}" if without else ""
    missing = [part.asks for part in parts if part.requests is None]
    return text + (f"; not counted: {', '.join(dict.fromkeys(missing))}" if missing else "")


def _within(parts: Sequence[CostPart], limits: Mapping[str, Limit], bound: str) -> float:
    return math.fsum(_by_budget(parts, limits, bound))


def _by_budget(parts: Sequence[CostPart], limits: Mapping[str, Limit], bound: str) -> Iterator[float]:
    for budget in dict.fromkeys(part.limited_by for part in parts):
        whole = math.fsum(getattr(part, bound) or 0.0 for part in parts if part.limited_by == budget)
        limit = limits.get(budget)
        yield (
            whole if limit is None or limit.budget_usd is None else min(whole, limit.budget_usd * limit.times)
        )
