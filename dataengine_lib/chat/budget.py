"""Steps 0, 3 and 4: money spent and reserved, so that no request is sent that could cross the budget."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from dataengine_lib.chat.prices import Price, estimate_tokens
from dataengine_lib.errors import ParameterError

_SCHEMA_TOKENS = 150  # of the JSON schema that goes along with a prompt


class Asked(Protocol):
    """What a request's price depends on, of a Query or a reader's; `query_id` is its own among all."""

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
    """`admit` lets a request through only when the worst that it can cost is still there.

    `limit` in US dollars, None for none; `spent()` is what all replies so far cost, with what tries without an answer
    may have: the server may bill them all the same.
    """

    def __init__(
        self, limit: float | None, price: Price | None, tier: str, spent: Callable[[], float]
    ) -> None:
        self.limit, self.price, self.tier = limit, price, tier
        self.stopped = ""
        self._spent = spent
        self._reserved: dict[str, float] = {}
        self._held = 0.0  # the sum of these
        self._changed = asyncio.Event()

    def check(
        self,
        queries: Sequence[Asked],
        room: int,
        teacher: str,
        remedy: str = "raise it, or lower max_output_tokens",
    ) -> None:
        """Raise ParameterError when there is no price to count with, or one request may cost more than the limit."""
        if self.limit is None or not queries:
            return
        if self.tier not in ("", "default", *check_priced(self.price, teacher).half):
            raise ParameterError(
                f"budget_usd: what service_tier {self.tier} costs is not known; leave it out, or the budget"
            )
        dearest = max(self.worst(query, room) for query in queries)
        if dearest > self.limit:
            raise ParameterError(
                f"budget_usd {self.limit:g} is less than one request may cost ({dearest:.4f}); {remedy}"
            )

    def worst(self, query: Asked, room: int) -> float:
        """The most that one reply of up to `room` tokens can cost."""
        if self.price is None:
            return 0.0
        tokens = estimate_tokens(query.prompt) + _SCHEMA_TOKENS
        tokens += query.attach_image * self.price.image_tokens
        return self.price.most(tokens, room, self.tier)

    async def admit(self, query: Asked, room: int) -> bool:
        """Reserve the worst of this request, when need be after others are settled; False: it may not be sent."""
        if self.limit is None:
            return True
        cost = self.worst(query, room)
        while (spent := self._spent()) + self._held + cost > self.limit:
            if not self._reserved:
                self.stopped = (
                    f"budget_usd {self.limit:g}: {spent:.4f} spent, one more may cost {cost:.4f};"
                    " stopped with what is done, raise budget_usd to go on"
                )
                return False
            await self._changed.wait()
        self._hold(query, cost)
        return True

    def reserve(self, query: Asked, room: int) -> bool:
        """As `admit`, but without waiting for others."""
        if self.limit is None:
            return True
        cost = self.worst(query, room)
        spent, reserved = self._spent(), self._held
        if spent + reserved + cost > self.limit:
            self.stopped = (
                f"budget_usd {self.limit:g}: {spent:.4f} spent and {reserved:.4f} under way, one more may cost"
                f" {cost:.4f}; raise budget_usd to go on"
            )
            return False
        self._hold(query, cost)
        return True

    def hold(self, query: Asked, room: int) -> None:
        """Reserve for a request that is under way already."""
        if self.limit is not None:
            self._hold(query, self.worst(query, room))

    def settle(self, query: Asked, unanswered: bool = False) -> float:
        """The request, or the try of it, is done; returns what it may have cost when it ended `unanswered`, or untold.

        0 where nothing was reserved. What is returned has to be in `spent()` from then on.
        """
        cost = self._reserved.pop(query.query_id, 0.0)
        self._held = self._held - cost if self._reserved else 0.0  # no rests of rounding
        self._changed.set()
        self._changed = asyncio.Event()  # one that has been waited for is of its event loop for ever
        return cost if unanswered else 0.0

    def _hold(self, query: Asked, cost: float) -> None:
        self._held += cost - self._reserved.get(query.query_id, 0.0)
        self._reserved[query.query_id] = cost
