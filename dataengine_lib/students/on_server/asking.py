"""Step 1: sends the requests of a student behind a server, within its budget; what was paid for is never sent again."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget, asked_ledger, usage_of
from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.endpoint import endpoint
from dataengine_lib.chat.ledger import PaidTotal, StudentUsage
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply, TeacherStop, UnusableReply
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.students.chat_texts import ANSWER_START
from dataengine_lib.students.on_server.prompt_tokens import option_tokens
from dataengine_lib.students.on_server.requests import AskedQuestion, StudentRequest, student_request

Failures = dict[str, AskFailed]  # by request key


class StudentServer:
    """One model behind a server, the ledger of its replies and the budget of that ledger; see `ApiStudent`."""

    def __init__(
        self,
        model: str,
        settings: ChatSettings,
        ledger: Path,
        price: Price | None,
        price_of: Callable[[str], Price | None] | None,
        budget_usd: float | None,
    ) -> None:
        url, key = endpoint(settings.base_url)
        self.chat = ChatClient(model, url, key, settings, role="student")
        self.settings, self.price = settings, price
        # as they are before the server has refused one: a run that goes on has the same keys without having asked
        self._asked_settings = dict(self.chat.format.settings)
        self.ledger = asked_ledger(ledger, price_of or {model: price}.get, budget_usd)
        self._budget = Budget(budget_usd, price, "", self.ledger)
        # prompts are made later, and none can be cheaper than one without text
        self._budget.check_cheapest(PaidRequest("", "", None), 1, model, "raise it")
        self._used: dict[str, PaidTotal] = {}
        self._lists_tokens = False  # the most probable first ones; known after the first reply

    def usage(self) -> StudentUsage:
        """Tokens and cost of all replies used since it was made, those that the ledger held included."""
        return usage_of(self._used.values(), self.price)

    def requests(self, questions: Iterable[AskedQuestion]) -> list[StudentRequest]:
        """The requests of `questions`."""
        server: dict[str, Any] = {
            "server": self.chat.shown_url,
            "model": self.chat.model,
            "settings": self._asked_settings,
        }
        return [student_request(question, server) for question in questions]

    def ask(
        self, requests: Sequence[StudentRequest], has_answer: Callable[[StudentRequest], bool]
    ) -> Failures:
        """Ask what the ledger holds no answer to, by `has_answer`; returns the requests that failed.

        Raises TeacherStop when no request can succeed, where the budget does not allow all of them, and where first tokens
        are asked for and the server lists none; ParameterError when one request may cost more than the whole budget.
        """
        failures: Failures = {}
        with self.ledger:
            # equal questions have one key, so they are asked once and share the reply
            missing = {request.key: request for request in requests if not has_answer(request)}
            if missing:
                limits = [
                    one.max_output_tokens or self.settings.max_output_tokens for one in missing.values()
                ]
                self._budget.check([*missing.values()], max(limits), self.chat.model)
                run(self._ask(missing.values(), failures))
        for request in requests:
            if request.key in self.ledger.paid:
                self._used[request.key] = self.ledger.paid[request.key]
        return failures

    async def _ask(self, requests: Iterable[StudentRequest], failures: Failures) -> None:
        async with self.chat:
            paid = PaidRequests(
                self._budget,
                self.settings,
                self._send,
                lambda request: {"asked": self.chat.model},
                stop_sending=self.chat.stop_sending,
            )
            waiting = list(requests)
            replied: set[str] = set()

            def on_reply(request: StudentRequest, reply: Reply) -> None:
                replied.add(request.key)
                if request.subject.logprobs_of == "first_token" and not self._lists_tokens:
                    self._check_list(reply)

            def on_failure(request: StudentRequest, failure: AskFailed) -> None:
                failures[request.key] = failure

            def stop_without_money(asked: Sequence[StudentRequest]) -> None:
                # by what was sent, not by `budget.stopped`, which also says that a retry was not allowed
                if any(one.key not in failures and one.key not in replied for one in asked):
                    # an accuracy is that of all questions: no figures are made of some
                    raise TeacherStop(f"{self.chat.where}: {self._budget.stopped}; all replies are kept")

            # one request at a time until one finds out, so that only one is paid for in vain
            while waiting and waiting[0].subject.logprobs_of == "first_token" and not self._lists_tokens:
                first = waiting.pop(0)
                await paid.ask_all([first], on_reply, on_failure)
                stop_without_money([first])
                if isinstance(failures.get(first.key), UnusableReply):
                    self._stop_ranking()
            await paid.ask_all(waiting, on_reply, on_failure)
            stop_without_money(waiting)

    async def _send(self, request: StudentRequest, max_output_tokens: int, may_retry: MayRetry) -> Reply:
        asked = request.subject
        reply = await self.chat.complete(
            asked.messages(),
            schema=asked.schema,
            max_output_tokens=max_output_tokens if asked.logprobs_of else None,
            may_retry=may_retry,
            logprobs_of=asked.logprobs_of,
        )
        return _of_option(reply, asked) if asked.option else reply

    def _check_list(self, reply: Reply) -> None:
        if not reply.top_logprobs:
            self._stop_ranking()
        self._lists_tokens = True

    def _stop_ranking(self) -> NoReturn:
        raise TeacherStop(
            f"{self.chat.where}: its replies list no probable tokens (top_logprobs); set rank to generate"
        )


def _of_option(reply: Reply, asked: AskedQuestion) -> Reply:
    """The reply with the tokens of the option alone, of all those of the prompt, and without a repeated prompt."""
    # text completions list the token that was generated behind those of the prompt
    generated = 1 if asked.logprobs_of == "text_prompt" else 0
    found = option_tokens(reply.prompt_logprobs, ANSWER_START, asked.option, generated)
    return msgspec.structs.replace(
        reply,
        text=reply.text.removeprefix(asked.whole),
        prompt_logprobs=[] if found is None else found.tokens,
    )
