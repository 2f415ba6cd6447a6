"""Steps 1 and 2, prompt studio: asks a chat model with texts alone; a reply that was paid for is never requested again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget, asked_ledger, most_schema_tokens, usage_of
from dataengine_lib.chat.ledger import PaidTotal, StudentUsage
from dataengine_lib.chat.messages import user_message
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.teachers.loading import load_chat

_Request = PaidRequest[None]


class TextModel:
    """The chat model `spec`, within `budget_usd` US dollars for all of `ledger`, which has to be open while it asks.

    `role` is what the model is asked as, a part of the requests' keys. `schemas` are those that replies may have.
    Raises ParameterError when a budget is given and the model has no price, or one request may cost more; opening the
    ledger does when there is a budget and it holds replies without a price.
    """

    def __init__(
        self,
        role: Literal["judge", "causes", "rules"],
        spec: str,
        settings: ChatSettings,
        ledger: Path,
        schemas: Sequence[dict[str, Any]],
        budget_usd: float | None = None,
        prices: Path | None = None,
    ) -> None:
        table = read_prices(prices)
        self.role, self.spec, self.settings, self._price = role, spec, settings, table.of(spec)
        self.ledger = asked_ledger(Path(ledger), table.of, budget_usd)
        tokens = max(map(most_schema_tokens, schemas))
        self.budget = Budget(budget_usd, self._price, "", self.ledger, tokens)
        # prompts are made later, and none can be cheaper than an empty one
        self.budget.check_cheapest(
            PaidRequest("", "", None),
            settings.max_output_tokens,
            spec,
            "raise it, or lower max_output_tokens",
        )

    def key(self, prompt: str) -> str:
        """The key of the prompt's replies in the ledger."""
        # Changing what is in here changes all keys: replies in existing ledgers would be paid for once more.
        canonical = {
            self.role: self.spec,
            "server": self.settings.base_url,
            "text": prompt,
            "settings": self.settings.model_dump(include={"temperature", "max_output_tokens", "seed"}),
        }
        return key_of(canonical)

    def reply(self, key: str) -> PaidTotal | None:
        """The replies to a request, of which `text` is the usable one; None where there is none yet or all failed."""
        paid = self.ledger.paid.get(key)
        return None if paid is None or paid.failed else paid

    def ask(
        self, prompts: Mapping[str, str], schema: dict[str, Any], on_failure: Callable[[str, str], None]
    ) -> None:
        """Ask `prompts`, by their keys, for a reply of `schema`, as far as the budget allows; replies are in the ledger.

        `on_failure(key, why)` is called for each request that is sent and gets no usable reply. Raises TeacherStop when no
        request can succeed.
        """
        if prompts:
            run(self._ask(prompts, schema, on_failure))

    def usage(self, keys: Iterable[str]) -> StudentUsage:
        """What the replies to these requests took, each counted once, whichever run paid for it."""
        paid = (self.ledger.paid.get(key) for key in dict.fromkeys(keys))
        return usage_of([total for total in paid if total is not None], self._price)

    async def _ask(
        self, prompts: Mapping[str, str], schema: dict[str, Any], on_failure: Callable[[str, str], None]
    ) -> None:
        async with load_chat(self.spec, self.settings) as chat:

            def requests() -> Iterator[_Request]:
                for key, prompt in prompts.items():
                    yield PaidRequest(key, prompt, None)

            async def send(request: _Request, max_output_tokens: int, may_retry: MayRetry) -> Reply:
                message = user_message(request.prompt, "")
                return await chat.complete(message, schema=schema, may_retry=may_retry)

            def failed(request: _Request, failure: AskFailed) -> None:
                on_failure(request.key, str(failure))

            paid = PaidRequests(
                self.budget,
                self.settings,
                send,
                lambda request: {"asked": self.spec},
                stop_sending=chat.stop_sending,
            )
            await paid.ask_all(requests(), lambda request, reply: None, failed)
