"""Steps 0, 1, 3 and 4: many requests at once, within a budget, each reply in the ledger before it is used."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dataengine_lib.chat.ask_many import ask_each
from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply, TeacherStop, UnusableReply
from dataengine_lib.chat.settings import ChatSettings

_Subject = TypeVar("_Subject")
# Requests until an empty reply, or one ended by an error, is given up: each may be billed.
MOST_UNUSABLE = 2


@dataclass(frozen=True)
class PaidRequest(Generic[_Subject]):
    """A request about `subject`; `key` is its key in the ledger, `prompt` and `attach_image` decide its price.

    `max_output_tokens` is its output limit, 0 for that of the settings. `name` tells apart requests that have the same
    key, that is the same text, and are sent at the same time.
    """

    key: str
    prompt: str
    subject: _Subject = field(repr=False)
    attach_image: bool = False
    max_output_tokens: int = 0
    name: str = ""

    @property
    def query_id(self) -> str:
        """The name under which the budget reserves money for it, different for all requests in flight."""
        return self.name or self.key


class PaidRequests(Generic[_Subject]):
    """Sends requests to one model: reserve money, send, write the ledger's row, release the reservation.

    `send(request, max_output_tokens, may_retry)` gets one reply; `row_fields(request)` are the fields of its LedgerRow
    that say how it was requested. The budget's ledger has to be open. With `longer_output_tokens` a reply that was cut
    off at a lower limit is requested once more at that one, if the budget allows it. An empty reply, or one that ended by
    an error, is requested once more too, and then fails with UnusableReply. After `stop_sending()`, `send` sends nothing
    more.
    """

    def __init__(
        self,
        budget: Budget,
        settings: ChatSettings,
        send: Callable[[PaidRequest[_Subject], int, MayRetry], Awaitable[Reply]],
        row_fields: Callable[[PaidRequest[_Subject]], dict[str, Any]],
        longer_output_tokens: int = 0,
        stop_sending: Callable[[], None] = lambda: None,
    ) -> None:
        self.budget, self.settings = budget, settings
        self._send, self._row_fields = send, row_fields
        self._longer_output_tokens, self._stop_sending = longer_output_tokens, stop_sending

    async def ask_all(
        self,
        requests: Iterable[PaidRequest[_Subject]],
        on_reply: Callable[[PaidRequest[_Subject], Reply], None],
        on_failure: Callable[[PaidRequest[_Subject], AskFailed], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Send `requests` in their order, none after the first that the budget does not allow.

        Each that is sent ends in one call of `on_reply` or `on_failure`. Once `stopped()` is true no other is sent.
        Raises TeacherStop as `ask_each` does.
        """

        async def admit(request: PaidRequest[_Subject]) -> bool:
            return not stopped() and await self.budget.admit(request, self._limit(request))

        def failed(request: PaidRequest[_Subject], failure: AskFailed) -> None:
            on_failure(request, failure)
            (self.budget.lose if failure.unanswered else self.budget.release)(request)

        await ask_each(
            self._ask,
            requests,
            self.settings.concurrency,
            on_reply,
            failed,
            admit,
            self.settings.timeout_s,
            self._stop_sending,
            self.budget.release,
        )

    def _limit(self, request: PaidRequest[_Subject]) -> int:
        return request.max_output_tokens or self.settings.max_output_tokens

    async def _ask(self, request: PaidRequest[_Subject]) -> Reply:
        limit, longer = self._limit(request), self._longer_output_tokens
        reply = await self._ask_once(request, limit)
        attempts = reply.attempts
        for _ in range(min(MOST_UNUSABLE, self.settings.max_attempts) - 1):
            if not reply.failed or not await self.budget.admit(request, limit):
                break
            reply = await self._ask_once(request, limit)
            attempts += reply.attempts
        # Both replies are paid for and in the ledger; without money for the second one the first is returned.
        if reply.finish_reason == "length" and limit < longer and await self.budget.admit(request, longer):
            reply = await self._ask_once(request, longer)
        if reply.failed:
            raise UnusableReply(reply.problem or "the reply is empty", attempts)
        return reply

    async def _ask_once(self, request: PaidRequest[_Subject], limit: int) -> Reply:
        def may_retry() -> bool:
            # The attempt that just ended may be billed, so the next one needs a reservation of its own.
            self.budget.lose(request)
            return self.budget.reserve(request, limit)

        try:
            reply = await self._send(request, limit, may_retry)
        except TeacherStop:  # refused by the server, or not sent at all
            self.budget.release(request)
            raise
        self.budget.keep(request, reply, limit, self._row_fields(request))
        return reply
