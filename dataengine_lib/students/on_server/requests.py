"""Step 1: the requests that a student behind a server is asked with: their messages, and their keys in the ledger."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dataengine_lib.chat.messages import data_url, user_message
from dataengine_lib.chat.paid_requests import PaidRequest
from dataengine_lib.chat.request_format import LogprobsOf
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.students.chat_texts import ANSWER_START


@dataclass(frozen=True)
class AskedQuestion:
    """What a request asks: `text` about the picture `jpeg`, empty where no image is sent.

    `choices` and `schema` are of a written answer, None where it has none. Where log-probabilities of the prompt are
    asked for, `option` stands behind `The answer is`.
    """

    text: str
    jpeg: bytes
    choices: Sequence[str] | None = None
    schema: dict[str, Any] | None = None
    logprobs_of: LogprobsOf = ""
    option: str = ""

    @property
    def whole(self) -> str:
        """All that is asked, as one text."""
        return f"{self.text}\n{ANSWER_START}{self.option}" if self.option else self.text

    def messages(self, *, digest: bool = False) -> list[dict[str, Any]]:
        """The messages of a chat, or the one text of a text completion; `digest` stands for the picture in keys."""
        if self.logprobs_of == "text_prompt":
            return user_message(self.whole)
        image = ""
        if self.jpeg:
            # the digest of the picture stands for its data URL: as exact, and short
            image = hashlib.sha256(self.jpeg).hexdigest() if digest else data_url(self.jpeg)
        begun = [{"role": "assistant", "content": f"{ANSWER_START}{self.option}"}] if self.option else []
        return [*user_message(self.text, image), *begun]


StudentRequest = PaidRequest[AskedQuestion]


def student_request(question: AskedQuestion, server: dict[str, Any]) -> StudentRequest:
    """The request of a question; `server` is what of the server, the model and their settings is a part of its key."""
    # Changing what is in here changes all keys: replies in existing ledgers would be paid for once more.
    canonical = {**server, "messages": question.messages(digest=True), "schema": question.schema}
    if question.logprobs_of:
        canonical["logprobs"] = question.logprobs_of if question.option else True
    return PaidRequest(
        key_of(canonical),
        question.whole,
        question,
        attach_image=bool(question.jpeg),
        # one token is read, or none: it is the prompt that is scored
        max_output_tokens=1 if question.logprobs_of else 0,
    )
