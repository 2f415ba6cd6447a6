"""Step 1: a student behind an OpenAI-compatible server: its answers are read as text, or by their first token."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from PIL import Image

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget, asked_ledger, usage_of
from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.endpoint import endpoint
from dataengine_lib.chat.ledger import PaidTotal, StudentUsage
from dataengine_lib.chat.messages import data_url, jpeg_bytes, user_message
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply, TeacherStop, UnusableReply
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import caseless
from dataengine_lib.replies.json_reply import letter_schema, structured_answer
from dataengine_lib.students.interface import RankedText
from dataengine_lib.students.on_server.first_token_requests import (
    BY_LETTER,
    IN_WORDS,
    rank_counts,
    ranked_prompt,
    read_first_token,
)
from dataengine_lib.students.on_server.first_tokens import FirstToken, RankCounts

_MOST_WORDS = 3  # as IN_WORDS asks for
# matches "the answer is (b) cat" and "b. cat": the letter, and what follows it
_LETTER_FIRST = re.compile(
    r"(?:(?:the )?(?:correct |best |final )?answer(?: is)?\W+)?\W*([a-z])(?:\W+|$)(.*)"
)


@dataclass(frozen=True)
class _Question:
    """What a request asks about; `schema` is None where the question has no choices, or its first token is ranked."""

    jpeg: bytes  # empty where no image is sent
    choices: Sequence[str] | None
    schema: dict[str, Any] | None
    ranked: bool = False


_Request = PaidRequest[_Question]


class ApiStudent:
    """Asks `model` about pictures; a request that has a reply in `ledger` is never sent, or paid for, again.

    Pass the same Image object for questions about one image: it is then encoded once. `max_side` is the most pixels of
    a picture's longer side. `settings.max_output_tokens` has to suffice for models that reason before they answer.
    `ranked` counts the requests that were ranked. `budget_usd` limits what all of `ledger` costs; `price_of` gives the
    prices of other models whose replies are in it. Raises ParameterError when the server is OpenAI and OPENAI_API_KEY is
    not set, and when one request may cost more than the budget.
    """

    def __init__(
        self,
        model: str,
        settings: ChatSettings,
        *,
        ledger: Path,
        max_side: int = 1024,
        price: Price | None = None,
        price_of: Callable[[str], Price | None] | None = None,
        budget_usd: float | None = None,
    ) -> None:
        url, key = endpoint(settings.base_url)
        self._chat = ChatClient(model, url, key, settings, role="student")
        self.settings, self.max_side, self.price = settings, max_side, price
        # as they are before the server has refused one: a run that goes on has the same keys without having asked
        self._asked_settings = dict(self._chat.format.settings)
        self.ledger = asked_ledger(Path(ledger), price_of or {model: price}.get, budget_usd)
        self.budget = Budget(budget_usd, price, "", self.ledger)
        # prompts are made later, and none can be cheaper than one without text
        self.budget.check([PaidRequest("", "", None)], 1, model)
        self._used: dict[str, PaidTotal] = {}
        self._lists_tokens = False  # known after the first reply
        self._ranked: dict[str, FirstToken] = {}  # by request key

    @property
    def sent(self) -> int:
        """HTTP requests sent since it was made, retries included."""
        return self._chat.sent

    def usage(self) -> StudentUsage:
        """Tokens and cost of all replies used since it was made, those that the ledger held included."""
        return usage_of(self._used.values(), self.price)

    @property
    def ranked(self) -> RankCounts:
        """Counts of all requests that were ranked since it was made, each once."""
        return rank_counts(self._ranked.values())

    def rank(
        self,
        images: Sequence[Image.Image | None],
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: RankedText = "letter",
    ) -> list[list[float] | AskFailed]:
        """The log-probability of each option of `prompts[i]` as the answer's first token, or why there is none.

        One token is asked for. Options are known by their letters, or with `scored="words"` by the one word that each
        is (Yes, No). AskFailed is `declined` where the tokens that the server lists cannot tell which option is the most
        probable one. Raises TeacherStop when no request can succeed, and where the server lists no tokens.
        """
        asked = [ranked_prompt(*one, scored) for one in zip(prompts, choices, strict=True)]
        texts = [text for text, _ in asked]
        requests = self._made([*zip(images, texts, choices, strict=True)], ranked=True)
        failures = self._ask_missing(requests)
        return [
            failures.get(request.key) or self._scores(request, names)
            for request, (_, names) in zip(requests, asked, strict=True)
        ]

    def generate(
        self,
        images: Sequence[Image.Image | None],
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        max_new_tokens: int = 8,
    ) -> list[str | AskFailed]:
        """What the student answers to `prompts[i]` about `images[i]` (None: no image is sent), or why it gave no answer.

        With `choices`, the options in the prompts, a server that supports schemas makes it answer with a letter or
        `cannot tell`; a letter that is also an option's text is returned as `(A) its option`. The prompt asks for
        short answers, and `max_new_tokens` is not used: it would cut off models that reason. Raises TeacherStop when
        no request can succeed (key refused, model not served, quota used up, server unreachable).
        """
        texts = [f"{prompt}\n{IN_WORDS if choices is None else BY_LETTER}" for prompt in prompts]
        options = [None] * len(texts) if choices is None else choices
        requests = self._made([*zip(images, texts, options, strict=True)], ranked=False)
        failures = self._ask_missing(requests)
        return [failures.get(request.key) or self._answer(request) for request in requests]

    def _ask_missing(self, requests: Sequence[_Request]) -> dict[str, AskFailed]:
        """Ask what the ledger holds no answer to; returns the requests that failed, by their keys."""
        failures: dict[str, AskFailed] = {}
        with self.ledger:
            # equal questions have one key, so they are asked once and share the reply
            missing = {request.key: request for request in requests if not self._has_answer(request)}
            if missing:
                limits = {
                    one.max_output_tokens or self.settings.max_output_tokens for one in missing.values()
                }
                self.budget.check([*missing.values()], max(limits), self._chat.model)
                run(self._ask(missing.values(), failures))
        for request in requests:
            if request.key in self.ledger.paid:
                self._used[request.key] = self.ledger.paid[request.key]
        return failures

    def _has_answer(self, request: _Request) -> bool:
        """Whether the ledger holds an answer, or that the student declined; any other reply is asked for once more."""
        if request.key not in self.ledger.paid:
            return False
        if request.subject.ranked:
            return bool(self.ledger.paid[request.key].top_logprobs)
        answer = self._answer(request)
        return not isinstance(answer, AskFailed) or answer.declined

    def _made(
        self, asked: Sequence[tuple[Image.Image | None, str, Sequence[str] | None]], *, ranked: bool
    ) -> list[_Request]:
        """The requests for (image, whole text, options)."""
        jpegs: dict[int, bytes] = {}
        requests = []
        for image, text, options in asked:
            # by identity: questions about one image share the object, and the caller keeps it alive
            if id(image) not in jpegs:
                jpegs[id(image)] = b"" if image is None else jpeg_bytes(image, self.max_side)
            schema = None if options is None or ranked else letter_schema(options)
            jpeg = jpegs[id(image)]
            question = _Question(jpeg, options, schema, ranked)
            key = self._key(text, jpeg, schema, ranked)
            limit = 1 if ranked else 0
            requests.append(
                PaidRequest(key, text, question, attach_image=bool(jpeg), max_output_tokens=limit)
            )
        return requests

    def _key(self, text: str, jpeg: bytes, schema: dict[str, Any] | None, ranked: bool) -> str:
        # Changing what is in here changes all keys: replies in existing ledgers would be paid for once more.
        canonical = {
            "server": self._chat.shown_url,
            "model": self._chat.model,
            # the digest of the picture stands for its data URL: as exact, and short
            "messages": user_message(text, hashlib.sha256(jpeg).hexdigest() if jpeg else ""),
            "schema": schema,
            "settings": self._asked_settings,
            **({"logprobs": True} if ranked else {}),
        }
        return key_of(canonical)

    async def _ask(self, requests: Iterable[_Request], failures: dict[str, AskFailed]) -> None:
        async def send(request: _Request, max_output_tokens: int, may_retry: MayRetry) -> Reply:
            jpeg, ranked = request.subject.jpeg, request.subject.ranked
            return await self._chat.complete(
                user_message(request.prompt, data_url(jpeg) if jpeg else ""),
                schema=request.subject.schema,
                max_output_tokens=max_output_tokens if ranked else None,
                may_retry=may_retry,
                logprobs=ranked,
            )

        def on_failure(request: _Request, failure: AskFailed) -> None:
            failures[request.key] = failure

        async with self._chat:
            paid = PaidRequests(
                self.budget,
                self.settings,
                send,
                lambda request: {"asked": self._chat.model},
                stop_sending=self._chat.stop_sending,
            )
            waiting = list(requests)
            replied: set[str] = set()

            def on_reply(request: _Request, reply: Reply) -> None:
                replied.add(request.key)
                if request.subject.ranked and not self._lists_tokens:
                    self._check_list(reply)

            def stop_without_money(asked: Sequence[_Request]) -> None:
                # by what was sent, not by `budget.stopped`, which also says that a retry was not allowed
                if any(one.key not in failures and one.key not in replied for one in asked):
                    # an accuracy is that of all questions: no figures are made of some
                    raise TeacherStop(f"{self._chat.where}: {self.budget.stopped}; all replies are kept")

            # one request at a time until one finds out, so that only one is paid for in vain
            while waiting and waiting[0].subject.ranked and not self._lists_tokens:
                first = waiting.pop(0)
                await paid.ask_all([first], on_reply, on_failure)
                stop_without_money([first])
                if isinstance(failures.get(first.key), UnusableReply):
                    self._stop_ranking()
            await paid.ask_all(waiting, on_reply, on_failure)
            stop_without_money(waiting)

    def _check_list(self, reply: Reply) -> None:
        if not reply.top_logprobs:
            self._stop_ranking()
        self._lists_tokens = True

    def _stop_ranking(self) -> NoReturn:
        raise TeacherStop(
            f"{self._chat.where}: its replies list no probable tokens (top_logprobs); set rank to generate"
        )

    def _scores(self, request: _Request, names: Sequence[str]) -> list[float] | AskFailed:
        """The scores in the last reply to a request, or why there are none."""
        row = self.ledger.paid[request.key]
        if not row.top_logprobs:
            return AskFailed("the reply lists no probable tokens", teacher_at_fault=False)
        self._ranked[request.key], scores = read_first_token(row.top_logprobs, names)
        return scores

    def _answer(self, request: _Request) -> str | AskFailed:
        """The answer in the last reply to a request, or why there is none."""
        row = self.ledger.paid[request.key]
        choices = request.subject.choices
        # 1. replies that are no answer, whatever their text says
        if row.finish_reason == "refusal":
            return AskFailed("the student refused", teacher_at_fault=False, declined=True)
        if row.finish_reason == "content_filter":
            return AskFailed("stopped by the student's content filter", teacher_at_fault=False, declined=True)
        if row.failed:
            return AskFailed(
                row.problem or "the reply is empty, or ended by an error", teacher_at_fault=False
            )
        cut_off = AskFailed(
            f"cut off at max_output_tokens={self.settings.max_output_tokens}; raise it",
            teacher_at_fault=False,
        )
        # 2. the text after the reasoning; a reply that ends within it never reached its answer
        text, unfinished = after_reasoning(row.text)
        if unfinished:
            return cut_off
        # 3. complete JSON is an answer, even where the reply was cut off behind it;
        # other text that was cut off is one only where it begins with the answer
        chosen = None if choices is None else structured_answer(text, choices)
        if chosen is not None:
            return chosen
        if row.finish_reason == "length" and (row.structured or not _is_answer(text, choices)):
            return cut_off
        return text


def _is_answer(text: str, choices: Sequence[str] | None) -> bool:
    """Whether a reply that was cut off begins with its answer: an option, or a few words, without reasoning before."""
    words = caseless(text)
    if choices is None:
        return 0 < len(words.split()) <= _MOST_WORDS
    # "(b) cat" leaves "cat" to compare with option B alone; "cat" is compared with every option
    letter = _LETTER_FIRST.match(words)
    index = LETTERS.find(letter[1].upper()) if letter else -1
    if letter and 0 <= index < len(choices):
        words, options = letter[2], [choices[index]]
    else:
        options = list(choices)
    # The option itself may be cut off, and what follows it must not go on in the same sentence.
    return any(
        caseless(option).startswith(words) or re.match(rf"{re.escape(caseless(option))}\s?[.,;:!)*]", words)
        for option in options
        if words or letter
    )
