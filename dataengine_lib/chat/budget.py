"""Steps 0, 1, 3 and 4: money spent and reserved, so that no request is sent that could cross the budget."""

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from dataengine_lib.chat.ledger import Ledger, LedgerRow, PaidReply, PaidTotal, StudentUsage
from dataengine_lib.chat.prices import Price, most_tokens
from dataengine_lib.chat.reply import Reply
from dataengine_lib.errors import ParameterError

_FORM_TOKENS = 100  # of the object around a JSON schema
SCHEMA_TOKENS = 500  # at most, of the schema of a QA or of a letter


class _PricedPrompt(Protocol):
    """What the price of a request depends on."""

    @property
    def prompt(self) -> str: ...
    @property
    def attach_image(self) -> bool: ...


class _PricedRequest(_PricedPrompt, Protocol):
    """`key` is the request's in the ledger; `query_id` names it among all that are under way."""

    @property
    def key(self) -> str: ...
    @property
    def query_id(self) -> str: ...


def most_schema_tokens(schema: dict[str, Any]) -> int:
    """An upper bound of the tokens of a JSON schema beside a prompt: its bytes, and what stands around it."""
    return len(msgspec.json.encode(schema)) + _FORM_TOKENS


def check_priced(price: Price | None, teacher: str, near: str = "") -> Price:
    """The price to count a budget with; raises ParameterError when none is known, with `near`, see PriceTable."""
    if price is None:
        raise ParameterError(
            f"budget_usd: no price is known for {teacher}; add it to dataengine_lib/resources/prices.yaml{near}"
        )
    return price


def asked_ledger(
    file: Path, price_of: Callable[[str], Price | None], budget_usd: float | None = None
) -> Ledger:
    """The ledger of students, judges and readers: a row without a price costs what the model in its `asked` costs today.

    `price_of` gives the price by that name; it need not be the model that is asked now, since runs share the file. The
    ledger's `open` raises ParameterError when there is a budget and no price of a row is known.
    """

    def usd(row: PaidReply) -> float | None:
        # rows of earlier versions hold only the name that the server gives
        asked = row.asked or f"openai:{row.model}"
        price = price_of(asked)
        if budget_usd is not None:
            check_priced(price, f"{asked}, of which {file} holds replies")
        return None if price is None else price.of(row, row.tier)

    return Ledger(file, usd, waits=True)


class Budget:
    """Money for requests: one may be sent only while the most that it can cost is available.

    `limit` is in US dollars, None for no limit. What was spent, and the reservations of requests under way, stand in
    `ledger`: so a run that is killed has spent the most that its last requests can have cost, since the server may
    bill them. `schema_tokens` are the most of the JSON schema beside a prompt. `stopped` says why the last request
    was refused, in one line.
    """

    def __init__(
        self,
        limit: float | None,
        price: Price | None,
        tier: str,
        ledger: Ledger,
        schema_tokens: int = SCHEMA_TOKENS,
    ) -> None:
        self.limit, self.price, self.tier, self.ledger = limit, price, tier, ledger
        self.stopped = ""
        self._schema_tokens = schema_tokens
        self._under_way: dict[str, float] = {}  # reservations by the requests' names
        self._changed = asyncio.Event()

    def check(
        self,
        requests: Sequence[_PricedPrompt],
        max_output_tokens: int,
        teacher: str,
        remedy: str = "raise it, or lower max_output_tokens",
    ) -> None:
        """Raise ParameterError when no price is known, or one of `requests` may cost more than the whole limit."""
        if self.limit is None or not requests:
            return
        self._check_price(teacher)
        dearest = max(self.most(request, max_output_tokens) for request in requests)
        if dearest > self.limit:
            raise ParameterError(
                f"budget_usd {self.limit:g} is less than one request may cost ({dearest:.4f}); {remedy}"
            )

    def check_cheapest(
        self,
        request: _PricedPrompt,
        max_output_tokens: int,
        teacher: str,
        remedy: str,
    ) -> None:
        """As `check`, before it is known what will be asked; of a ledger that is there, only the price.

        Its replies cost nothing and may be all that is needed; others are refused by `admit`.
        """
        if self.limit is not None and self.ledger.file.is_file():
            self._check_price(teacher)
        else:
            self.check([request], max_output_tokens, teacher, remedy)

    def _check_price(self, teacher: str) -> None:
        # The table knows the full price and half of it; other tiers, such as `priority`, cost more.
        if self.tier not in ("", "default", *check_priced(self.price, teacher).half):
            raise ParameterError(
                f"budget_usd: what service_tier {self.tier} costs is not known; leave it out, or the budget"
            )

    def most(self, request: _PricedPrompt, max_output_tokens: int) -> float:
        """The most that one reply of up to `max_output_tokens` can cost, in US dollars; 0 without a price."""
        if self.price is None:
            return 0.0
        tokens = most_tokens(request.prompt) + self._schema_tokens
        tokens += request.attach_image * self.price.image_tokens
        return self.price.most(tokens, max_output_tokens, self.tier)

    async def admit(self, request: _PricedRequest, max_output_tokens: int) -> bool:
        """Reserve the most that the request can cost, if need be after others have ended; False: do not send it."""
        cost = self.most(request, max_output_tokens)
        while not self._fits(cost):
            if not self._under_way:  # no running request can release money any more
                self.stopped = (
                    f"budget_usd {self.limit:g}: {self.ledger.spent_usd:.4f} spent, one more may cost {cost:.4f};"
                    " stopped with what is done, raise budget_usd to go on"
                )
                return False
            # Then look once more: another request may have taken what was released.
            await self._changed.wait()
        self._reserve(request, cost)
        return True

    def reserve(self, request: _PricedRequest, max_output_tokens: int) -> bool:
        """As `admit`, but without waiting for others."""
        cost = self.most(request, max_output_tokens)
        if not self._fits(cost):
            under_way = sum(self._under_way.values())
            self.stopped = (
                f"budget_usd {self.limit:g}: {self.ledger.spent_usd - under_way:.4f} spent and {under_way:.4f} under"
                f" way, one more may cost {cost:.4f}; raise budget_usd to go on"
            )
            return False
        self._reserve(request, cost)
        return True

    def affordable(self, requests: Iterable[tuple[_PricedRequest, int]]) -> int:
        """How many of `requests`, each with its output limit, `reserve` would allow in their order."""
        number, reserved = 0, self.ledger.reserved_usd
        for request, max_output_tokens in requests:
            cost = self.most(request, max_output_tokens)
            # added up as `_fits` does, since sums of floats depend on their order
            spent = self.ledger.cost_usd + self.ledger.lost_usd + reserved
            if self.limit is not None and spent + cost > self.limit:
                break
            number, reserved = number + 1, reserved + cost
        return number

    def hold(self, request: _PricedRequest, max_output_tokens: int) -> None:
        """Reserve for a request that an earlier run has sent, unless that run's reservation is in the ledger."""
        # The limit is not compared: it is too late to refuse this request.
        if known := self.ledger.reservation(request.key):
            self._under_way[request.query_id] = known
        else:
            self._reserve(request, self.most(request, max_output_tokens))

    def keep(
        self, request: _PricedRequest, reply: Reply, max_output_tokens: int, row_fields: dict[str, Any]
    ) -> None:
        """A request has ended with a reply, whose row goes into the ledger; `row_fields` say how it was requested."""
        # Without token counts its price is not known, and the whole reservation counts as lost.
        most = 0.0 if reply.has_token_counts else self._reserved(request)
        row = LedgerRow.of(
            request.key, reply, max_output_tokens=max_output_tokens, most_usd=most, **row_fields
        )
        self.ledger.add(row)
        self.settle(request)

    def settle(self, request: _PricedRequest) -> None:
        """A request has ended whose reply is in the ledger."""
        self._under_way.pop(request.query_id, None)
        self._changed.set()
        self._changed = asyncio.Event()  # an Event belongs for good to the event loop in which it was awaited

    def release(self, request: _PricedRequest) -> None:
        """A request has ended without a reply, or was not sent, and is not billed."""
        if self._reserved(request):
            self.ledger.release(request.key)
        self.settle(request)

    def lose(self, request: _PricedRequest) -> None:
        """A request, or an attempt of it, has ended without a reply and may be billed all the same."""
        if lost := self._reserved(request):
            self.ledger.add_lost(request.key, lost)
        self.settle(request)

    def _reserved(self, request: _PricedRequest) -> float:
        return self._under_way.get(request.query_id, 0.0)

    def _fits(self, cost: float) -> bool:
        return self.limit is None or self.ledger.spent_usd + cost <= self.limit

    def _reserve(self, request: _PricedRequest, cost: float) -> None:
        # A request that costs nothing leaves no row in the ledger.
        if cost:
            self.ledger.reserve(request.key, cost)
            self._under_way[request.query_id] = cost


def usage_of(totals: Collection[PaidTotal], price: Price | None) -> StudentUsage:
    """What `totals` took together; without any, US dollars only where there is a `price`."""
    costs = [total.cost_usd for total in totals]
    known = [cost for cost in costs if cost is not None]
    unknown = len(known) < len(costs) or (price is None and not costs)
    # fsum is exact, so the sum does not depend on the order in which the replies came
    return StudentUsage(
        sum(total.replies for total in totals),
        sum(total.prompt_tokens for total in totals),
        sum(total.cached_tokens for total in totals),
        sum(total.completion_tokens for total in totals),
        None if unknown else round(math.fsum(known), 6),
    )
