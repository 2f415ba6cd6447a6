"""Step 1: asks a model to grade answers to open-ended questions; a reply that was paid for is never requested again."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget, asked_ledger, most_schema_tokens, usage_of
from dataengine_lib.chat.ledger import PaidTotal, StudentUsage
from dataengine_lib.chat.messages import user_message
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.records import OPEN, Answer
from dataengine_lib.evaluation.judge.verdicts import VERDICT_SCHEMA, JudgeVerdict, judge_prompt, read_verdict
from dataengine_lib.teachers.loading import load_chat

_Request = PaidRequest[None]


class AnswerJudge:
    """Grades answers with the chat model `spec`, within `budget_usd` US dollars for all of `ledger`.

    Raises ParameterError when a budget is given and the model has no price, or one request may cost more.
    """

    def __init__(
        self,
        spec: str,
        settings: ChatSettings,
        ledger: Path,
        budget_usd: float | None = None,
        prices: Path | None = None,
    ) -> None:
        table = read_prices(prices)
        self.spec, self.settings = spec, settings
        self._price, self._used = table.of(spec), dict[str, PaidTotal]()
        self.ledger = asked_ledger(Path(ledger), table.of, budget_usd)
        self.budget = Budget(budget_usd, self._price, "", self.ledger, most_schema_tokens(VERDICT_SCHEMA))
        # prompts are made later, and none can be cheaper than an empty one
        self.budget.check([PaidRequest("", "", None)], settings.max_output_tokens, spec)

    def verdicts(self, answers: Sequence[Answer]) -> list[JudgeVerdict]:
        """A row for each answer to an open-ended question; an empty answer is not correct, and not sent.

        Raises TeacherStop when no request can succeed, and ParameterError when there is a budget and the ledger holds
        replies without a price; replies until then stay in the ledger.
        """
        rows = [(answer, self._row(answer)) for answer in answers if answer.answer_kind == OPEN]
        failures: dict[str, str] = {}
        with self.ledger:
            asked = {self._key(answer): answer for answer, row in rows if row.judged is None}
            missing = [answer for key, answer in asked.items() if self._verdict(key) is None]
            if missing:
                run(self._ask(missing, failures))
        # of these answers alone: the ledger may hold those of another student
        self._used = {key: paid for key in asked if (paid := self.ledger.paid.get(key)) is not None}
        for answer, row in rows:
            if row.judged is not None:
                continue
            key = self._key(answer)
            if found := self._verdict(key):
                row.judged, row.reason = found
            elif key in self.ledger.paid:
                row.failure = failures.get(key, "its reply has no verdict")
            else:
                row.failure = failures.get(key) or self.budget.stopped or "not asked"
        return [row for _, row in rows]

    def usage(self) -> StudentUsage:
        """What the replies about the answers judged last took, those that the ledger held included."""
        return usage_of(self._used.values(), self._price)

    def _row(self, answer: Answer) -> JudgeVerdict:
        return JudgeVerdict(
            question_id=answer.question_id,
            question=answer.question,
            accepted=answer.direct_answers,
            answer=answer.model_answer,
            question_type=answer.question_type,
            split=answer.split,
            rule_score=answer.score,
            rule_correct=answer.correct,
            judge=self.spec,
            judged=None if answer.model_answer.strip() else False,
        )

    def _key(self, answer: Answer) -> str:
        # Changing what is in here changes all keys: replies in existing ledgers would be paid for once more.
        canonical = {
            "judge": self.spec,
            "server": self.settings.base_url,
            "text": judge_prompt(answer),
            "settings": self.settings.model_dump(include={"temperature", "max_output_tokens", "seed"}),
        }
        return key_of(canonical)

    def _verdict(self, key: str) -> tuple[bool, str] | None:
        paid = self.ledger.paid.get(key)
        return None if paid is None or paid.failed else read_verdict(paid.text)

    async def _ask(self, answers: Iterable[Answer], failures: dict[str, str]) -> None:
        async with load_chat(self.spec, self.settings) as chat:

            def requests() -> Iterator[_Request]:
                for answer in answers:
                    yield PaidRequest(self._key(answer), judge_prompt(answer), None)

            async def send(request: _Request, max_output_tokens: int, may_retry: MayRetry) -> Reply:
                message = user_message(request.prompt, "")
                return await chat.complete(message, schema=VERDICT_SCHEMA, may_retry=may_retry)

            def on_failure(request: _Request, failure: AskFailed) -> None:
                failures[request.key] = str(failure)

            paid = PaidRequests(
                self.budget,
                self.settings,
                send,
                lambda request: {"asked": self.spec},
                stop_sending=chat.stop_sending,
            )
            await paid.ask_all(requests(), lambda request, reply: None, on_failure)
