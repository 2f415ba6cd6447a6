"""Steps 0, 3 and 4: money spent and reserved, so that no request is sent that could cross the budget."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from dataengine_lib.chat.prices import Price, estimate_tokens
from dataengine_lib.errors import ParameterError

_SCHEMA_TOKENS = 150  # of the JSON schema that goes along with a prompt


class _PricedRequest(Protocol):
    """What a reservation depends on; `query_id` names the request among all that are sent."""

    @property
    def query_id(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def attach_image(self) -> bool: ...


def check_priced(price: Price | None, teacher: str) -> Price:
    """The price to count a budget with; raises ParameterError when none is known."""
    if price is None:
        raise ParameterError(
            f"budget_usd: no price is known for {teacher}; add it to dataengine_lib/resources/prices.yaml"
        )
    return price


class Budget:
    """Money for requests: one may be sent only while the most that it can cost is available.

    `limit` is in US dollars, None for no limit. `spent()` is the cost of all replies so far, plus the most that
    requests without a reply can have cost: the server may bill them too. `stopped` says why the last request was
    refused, in one line.
    """

    def __init__(
        self, limit: float | None, price: Price | None, tier: str, spent: Callable[[], float]
    ) -> None:
        self.limit, self.price, self.tier = limit, price, tier
        self.stopped = ""
        self._spent = spent
        self._reserved: dict[str, float] = {}
        self._reserved_sum = 0.0
        self._changed = asyncio.Event()

    def check(
        self,
        requests: Sequence[_PricedRequest],
        max_output_tokens: int,
        teacher: str,
        remedy: str = "raise it, or lower max_output_tokens",
    ) -> None:
        """Raise ParameterError when no price is known, or one of `requests` may cost more than the whole limit."""
        if self.limit is None or not requests:
            return
        # The table knows the full price and half of it; other tiers, such as `priority`, cost more.
        if self.tier not in ("", "default", *check_priced(self.price, teacher).half):
            raise ParameterError(
                f"budget_usd: what service_tier {self.tier} costs is not known; leave it out, or the budget"
            )
        dearest = max(self.most(request, max_output_tokens) for request in requests)
        if dearest > self.limit:
            raise ParameterError(
                f"budget_usd {self.limit:g} is less than one request may cost ({dearest:.4f}); {remedy}"
            )

    def most(self, request: _PricedRequest, max_output_tokens: int) -> float:
        """The most that one reply of up to `max_output_tokens` can cost, in US dollars; 0 without a price."""
        if self.price is None:
            return 0.0
        tokens = estimate_tokens(request.prompt) + _SCHEMA_TOKENS
        tokens += request.attach_image * self.price.image_tokens
        return self.price.most(tokens, max_output_tokens, self.tier)

    async def admit(self, request: _PricedRequest, max_output_tokens: int) -> bool:
        """Reserve the most that the request can cost, if need be after others are settled; False: do not send it."""
        if self.limit is None:
            return True
        cost = self.most(request, max_output_tokens)
        # Requests in flight count with the most that they can cost.
        while (spent := self._spent()) + self._reserved_sum + cost > self.limit:
            if not self._reserved:  # no running request can release money any more
                self.stopped = (
                    f"budget_usd {self.limit:g}: {spent:.4f} spent, one more may cost {cost:.4f};"
                    " stopped with what is done, raise budget_usd to go on"
                )
                return False
            await (
                self._changed.wait()
            )  # then look once more: another request may have taken what was released
        self._reserve(request, cost)
        return True

    def reserve(self, request: _PricedRequest, max_output_tokens: int) -> bool:
        """As `admit`, but without waiting for others."""
        if self.limit is None:
            return True
        cost = self.most(request, max_output_tokens)
        spent, reserved = self._spent(), self._reserved_sum
        if spent + reserved + cost > self.limit:
            self.stopped = (
                f"budget_usd {self.limit:g}: {spent:.4f} spent and {reserved:.4f} under way, one more may cost"
                f" {cost:.4f}; raise budget_usd to go on"
            )
            return False
        self._reserve(request, cost)
        return True

    def hold(self, request: _PricedRequest, max_output_tokens: int) -> None:
        """Reserve for a request that is under way already."""
        # The limit is not compared: it is too late to refuse this request.
        if self.limit is not None:
            self._reserve(request, self.most(request, max_output_tokens))

    def settle(self, request: _PricedRequest, cost_unknown: bool = False) -> float:
        """Release the reservation of a request, or of one attempt, that has ended.

        Returns the reserved amount if its cost is unknown (no reply, or no token counts: it may still be billed),
        else 0, and 0 where nothing was reserved. The caller adds what is returned to `spent()`.
        """
        cost = self._reserved.pop(request.query_id, 0.0)
        # exactly 0 when nothing is reserved: differences of floats would leave a remainder
        self._reserved_sum = self._reserved_sum - cost if self._reserved else 0.0
        self._changed.set()
        self._changed = asyncio.Event()  # an Event belongs for good to the event loop in which it was awaited
        return cost if cost_unknown else 0.0

    def _reserve(self, request: _PricedRequest, cost: float) -> None:
        # A name has one reservation at a time: a new one replaces it.
        self._reserved_sum += cost - self._reserved.get(request.query_id, 0.0)
        self._reserved[request.query_id] = cost
