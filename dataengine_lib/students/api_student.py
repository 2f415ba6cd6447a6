"""Step 1: a student behind an OpenAI-compatible server, which shows no weights and is asked in words."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from dataengine_lib.chat.ask_many import ask_each, run
from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.endpoint import endpoint
from dataengine_lib.chat.ledger import Ledger, LedgerRow, usage_of
from dataengine_lib.chat.messages import data_url, jpeg_bytes, user_message
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import AskFailed, Reply
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.chat.usage import StudentUsage
from dataengine_lib.core.records import LETTERS
from dataengine_lib.replies.answer_choice import CANNOT_TELL
from dataengine_lib.replies.answer_words import behind_thoughts
from dataengine_lib.replies.json_reply import letter_schema, structured_answer

_BY_LETTER = (
    "Answer with the letter of the best option and nothing else. "
    f'Only where no option can be preferred, answer "{CANNOT_TELL}".'
)
_IN_WORDS = "Answer in one to three words."
_WORDS = 3  # of which
_NAMED = re.compile(r"(?:(?:the )?(?:correct |best |final )?answer(?: is)?\W+)?\W*([a-z])(?:\W+|$)(.*)")


@dataclass(frozen=True)
class _Request:
    """One question; `schema` is None where it is asked without choices."""

    text: str
    jpeg: bytes = field(repr=False)
    choices: Sequence[str] | None
    schema: dict[str, Any] | None
    key: str


class ApiStudent:
    """Asks `model` about pictures; what `ledger` holds is never asked, or paid for, again.

    Pass the same Image object for questions about one image: it is then encoded once. `max_side` is in pixels;
    `settings.max_output_tokens` has to suffice for models that reason before they answer. There is no `rank`: token losses
    need weights. Raises ParameterError when OpenAI itself is meant and OPENAI_API_KEY is not set.
    """

    def __init__(
        self,
        model: str,
        settings: ChatSettings,
        *,
        ledger: Path,
        max_side: int = 1024,
    ) -> None:
        url, key = endpoint(settings.base_url)
        self._chat = ChatClient(model, url, key, settings, role="student")
        self.ledger, self.settings, self.max_side = Ledger(Path(ledger)), settings, max_side
        self._used: dict[str, LedgerRow] = {}

    @property
    def sent(self) -> int:
        """Requests sent since it was made, tries included."""
        return self._chat.sent

    def usage(self, price: Price | None = None) -> StudentUsage:
        """What all replies used since it was made took, those that the ledger held included."""
        return usage_of(self._used.values(), price)

    def generate(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        max_new_tokens: int = 8,
    ) -> list[str | AskFailed]:
        """What the student answers to `prompts[i]` about `images[i]`, or why it gave no answer.

        With `choices`, the options in the prompts, it is held to a letter or `cannot tell` where the server can
        do that; a letter that is also an option's text comes as `(A) its option`. Answers are kept short in
        words: `max_new_tokens` would cut off models that reason. Raises TeacherStop when asking on makes no
        sense (key refused, model not served, quota used up, server away).
        """
        requests = self._requests(images, prompts, choices)
        failures: dict[str, AskFailed] = {}
        with self.ledger.open():
            missing = {one.key: one for one in requests if one.key not in self.ledger.rows}
            if missing:
                run(self._ask(missing.values(), failures))
        return [failures.get(one.key) or self._answer(one) for one in requests]

    def _requests(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]] | None,
    ) -> list[_Request]:
        jpegs: dict[int, bytes] = {}
        found = []
        for place, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
            if id(image) not in jpegs:
                jpegs[id(image)] = jpeg_bytes(image, self.max_side)
            options = None if choices is None else choices[place]
            text = f"{prompt}\n{_IN_WORDS if options is None else _BY_LETTER}"
            schema = None if options is None else letter_schema(options)
            jpeg = jpegs[id(image)]
            found.append(_Request(text, jpeg, options, schema, self._key(text, jpeg, schema)))
        return found

    def _key(self, text: str, jpeg: bytes, schema: dict[str, Any] | None) -> str:
        asked = {
            "server": self._chat.shown_url,
            "model": self._chat.model,
            "messages": user_message(text, hashlib.sha256(jpeg).hexdigest()),
            "schema": schema,
            "settings": self._chat.format.settings,
        }
        return key_of(asked)

    async def _ask(self, requests: Iterable[_Request], failures: dict[str, AskFailed]) -> None:
        async def ask(one: _Request) -> Reply:
            return await self._chat.complete(user_message(one.text, data_url(one.jpeg)), schema=one.schema)

        def on_failure(one: _Request, failure: AskFailed) -> None:
            failures[one.key] = failure

        async with self._chat:
            await ask_each(ask, requests, self.settings.concurrency, self._on_reply, on_failure)

    def _on_reply(self, one: _Request, reply: Reply) -> None:
        self.ledger.add(LedgerRow.of(one.key, reply, self._chat.model))

    def _answer(self, one: _Request) -> str | AskFailed:
        row = self._used[one.key] = self.ledger.rows[one.key]
        if row.finish_reason == "refusal":
            return AskFailed("the student refused", teacher_at_fault=False, declined=True)
        if row.finish_reason == "content_filter":
            return AskFailed("stopped by the student's content filter", teacher_at_fault=False, declined=True)
        cut_off = AskFailed(
            f"cut off at max_output_tokens={self.settings.max_output_tokens}; raise it",
            teacher_at_fault=False,
        )
        text, unfinished = behind_thoughts(row.text)
        if unfinished:
            return cut_off
        chosen = None if one.choices is None else structured_answer(text, one.choices)
        if chosen is not None:
            return chosen
        if row.finish_reason == "length" and (row.structured or not _is_answer(text, one.choices)):
            return cut_off
        return text


def _is_answer(text: str, choices: Sequence[str] | None) -> bool:
    """Whether a reply that was cut off had said its answer: an option, or a few words, and no reasoning before."""
    said = _plain(text)
    if choices is None:
        return 0 < len(said.split()) <= _WORDS
    named = _NAMED.match(said)
    place = LETTERS.find(named[1].upper()) if named else -1
    if named and 0 <= place < len(choices):
        said, options = named[2], [choices[place]]
    else:
        options = list(choices)
    # the option may be cut off too, and what comes behind it must be no part of the same sentence
    return any(
        _plain(option).startswith(said) or re.match(rf"{re.escape(_plain(option))}\s?[.,;:!)*]", said)
        for option in options
        if said or named
    )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
