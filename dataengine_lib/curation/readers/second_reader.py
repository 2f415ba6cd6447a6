"""Step 4: a model answers a training question again without seeing its answer, with the picture or blind."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget, asked_ledger, usage_of
from dataengine_lib.chat.ledger import PaidTotal, StudentUsage
from dataengine_lib.chat.messages import data_url, jpeg_bytes, user_message
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.readers.kinds import answer_schema, named_answer
from dataengine_lib.curation.readers.reader_prompt import ReaderView, ShownQuestion, reader_order
from dataengine_lib.curation.readers.spec import check_reader
from dataengine_lib.images.decode import read_image
from dataengine_lib.teachers.loading import load_chat

CANNOT_SAY = -1  # the reader replied and named no choice

_DECLINED = ("refusal", "content_filter")
_Request = PaidRequest[ShownQuestion]


class SecondReader:
    """Answers records' questions; what `ledger` holds is never requested, or paid for, again.

    `spec` is `openai:MODEL` or `playground`, see `check_reader`. `view` is what the model is shown. A reader with a
    blind view always has to name a choice: how often it is right shows how many questions need no picture.

    `budget_usd` US dollars are the most that all of `ledger` may come to by the table `prices`, whichever run paid; the
    reader `before`, which shares it, goes first. Records that no money was left for are counted in `unasked`, and
    `stopped` says why.

    Raises ParameterError when a budget is given and the model has no price, or, without a ledger yet, one request may cost
    more.
    """

    def __init__(
        self,
        spec: str,
        ledger: Path,
        settings: ChatSettings,
        view: ReaderView,
        *,
        budget_usd: float | None = None,
        prices: Path | None = None,
        before: "SecondReader | None" = None,
    ) -> None:
        self.spec, self.settings, self.view = check_reader(spec), settings, view
        table = read_prices(prices)
        self._price = table.of(spec)
        self.ledger = asked_ledger(Path(ledger), table.of, budget_usd)
        self.budget = Budget(budget_usd, self._price, "", self.ledger)
        # Prompts are made later, one by one; none can be cheaper than an empty one.
        cheapest = PaidRequest(key="", prompt="", subject=None, attach_image=view.attach_image)
        self.budget.check_cheapest(cheapest, settings.max_output_tokens, spec, remedy="raise it")
        self.before, self.unasked = before, 0
        self._used: dict[str, PaidTotal] = {}

    def answers(self, records: Sequence[TrainRecord]) -> tuple[list[int | None], list[str]]:
        """The index of the choice that the reader names for each record, and why some got no answer.

        Of an open-ended QA SAME_ANSWER or OTHER_ANSWER. CANNOT_SAY where it named none; None where there is no answer:
        image not known, request failed, reply refused or cut off, budget used up. Records are asked in their order, none
        after the first that the budget does not allow. Raises TeacherStop when no request can succeed, ParameterError
        when there is a budget and the ledger holds replies without a price; what was answered stays in the ledger.
        """
        found: list[int | None] = [None] * len(records)
        failures: dict[str, str] = {}  # why a request got no answer, by its key
        keys: list[str] = []
        for record in records:
            request = self._request(record)
            # a record that cannot be asked about has the reason in place of a key
            keys.append(request if isinstance(request, str) else request.key)
            if isinstance(request, str):
                failures[request] = request
        with self.ledger:
            wanted: dict[str, int] = {}  # index of the first record with a request, by key
            for index, key in enumerate(keys):
                if key not in failures and not self._has_answer(key, records[index]):
                    wanted.setdefault(key, index)
            if wanted and not self.stopped:
                run(self._ask(records, list(wanted.values()), failures))
        for index, (key, record) in enumerate(zip(keys, records, strict=True)):
            if (paid := self.ledger.paid.get(key)) is not None:
                self._used[key] = paid
                if key in failures:  # the reason of this run, of replies that are no answer
                    continue
                answer = _answer(paid, record, reader_order(record, self.settings.seed))
                if isinstance(answer, str):
                    failures[key] = answer
                else:
                    found[index] = answer
            elif key not in failures:
                self.unasked += 1
        return found, sorted(set(failures.values()))

    def _has_answer(self, key: str, record: TrainRecord) -> bool:
        """Whether the ledger holds an answer, or that the reader declined; any other reply is asked for once more."""
        paid = self.ledger.paid.get(key)
        if paid is None:
            return False
        if paid.finish_reason in _DECLINED:
            return True
        return not isinstance(_answer(paid, record, reader_order(record, self.settings.seed)), str)

    @property
    def blind(self) -> bool:
        """Whether it answers without any knowledge of the image."""
        return self.view.blind

    def usage(self) -> StudentUsage:
        """What all answers since the reader was made took, those that the ledger held included."""
        return usage_of(self._used.values(), self._price)

    @property
    def stopped(self) -> str:
        """Why no more requests are sent, in one line; empty as long as there is money."""
        return self.budget.stopped or (self.before.stopped if self.before else "")

    def _request(self, record: TrainRecord) -> _Request | str:
        """The request about a record, or why there cannot be one."""
        shown = self.view.show(record, self.settings.seed)
        if isinstance(shown, str):
            return shown
        # Changing what is in here changes all keys: replies in existing ledgers would be paid for once more.
        canonical = {
            "teacher": self.spec,
            "server": self.settings.base_url if self.spec.startswith("openai:") else None,
            "text": shown.prompt,
            "picture": [shown.picture_sha256, self.view.max_side] if shown.picture else None,
            "settings": self.settings.model_dump(include={"temperature", "max_output_tokens", "seed"}),
        }
        return PaidRequest(key_of(canonical), shown.prompt, shown, attach_image=shown.picture is not None)

    async def _ask(
        self, records: Sequence[TrainRecord], indices: Sequence[int], failures: dict[str, str]
    ) -> None:
        def requests() -> Iterator[_Request]:
            for index in indices:  # made again rather than kept: 100,000 prompts are 200 MB
                request = self._request(records[index])
                if isinstance(request, PaidRequest):
                    yield request

        def on_reply(request: _Request, reply: Reply) -> None:
            bar.update()

        def on_failure(request: _Request, failure: AskFailed) -> None:
            failures[request.key] = str(failure)
            bar.update()

        what = "asking the blind reader" if self.blind else "asking the second reader"
        with progress_bar(total=len(indices), desc=what) as bar:
            async with load_chat(self.spec, self.settings) as chat:

                async def send(request: _Request, max_output_tokens: int, may_retry: MayRetry) -> Reply:
                    shown, max_side = request.subject, self.view.max_side
                    # Decoding in a thread: it must not hold up the replies to other requests.
                    url = (
                        await asyncio.to_thread(_picture_url, shown.picture, max_side)
                        if shown.picture
                        else ""
                    )
                    schema = answer_schema(shown.record, may_pass=not self.blind)
                    message = user_message(shown.prompt, url)
                    return await chat.complete(message, schema=schema, may_retry=may_retry)

                paid = PaidRequests(
                    self.budget,
                    self.settings,
                    send,
                    lambda request: {"asked": self.spec},
                    stop_sending=chat.stop_sending,
                )
                # None after the first that is too expensive, though a cheaper one may fit: it has to be clear which
                # records were asked.
                await paid.ask_all(requests(), on_reply, on_failure, lambda: bool(self.stopped))


def _picture_url(file: Path, max_side: int) -> str:
    image = read_image(file)
    if isinstance(image, str):
        raise AskFailed(image, teacher_at_fault=False)
    return data_url(jpeg_bytes(image, max_side))


def _answer(paid: PaidTotal, record: TrainRecord, order: Sequence[int]) -> int | str:
    """The index of the record's choice that a reply names, CANNOT_SAY, or why the reply is not an answer."""
    if paid.finish_reason in _DECLINED:
        filtered = paid.finish_reason == "content_filter"
        return "stopped by the reader's content filter" if filtered else "the reader refused to answer"
    if paid.failed:
        return paid.problem or "a reply is empty, or ended by an error"
    text, unfinished = after_reasoning(paid.text)
    # also where the reply was cut off behind its answer
    named = None if unfinished else named_answer(text, record, order)
    if named is not None:
        return named
    return "a reply was cut off; raise max_output_tokens" if paid.finish_reason == "length" else CANNOT_SAY
