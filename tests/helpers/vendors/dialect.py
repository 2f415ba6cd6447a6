"""What a vendor's server answers: completions in its form, and its errors by behaviour."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# One column of the table each; a vendor that shows no such behaviour has its reason in `without`.
BEHAVIOURS = (
    "answer", "thoughts", "cut", "empty", "filtered", "broken", "rate_limit", "bad_key", "no_money", "no_model",
    "refused_field", "refused_format", "overloaded", "too_long", "error_with_200", "blocked", "page",
)  # fmt: skip
# Those that the line of a batch's file can show: a page and a refused key are answers to the calls of the Batch API.
IN_ROWS = tuple(name for name in BEHAVIOURS if name not in ("page", "bad_key", "blocked"))
ANSWER = "{answer}"  # stands for what the model was asked for
KEY = "{key}"  # stands for the key that the request came with
PROMPT_TOKENS, COMPLETION_TOKENS = 1200, 40


@dataclass(frozen=True)
class Sent:
    """One HTTP response; `words` is what a message about it has to show. A `body` that is a text is sent as it is."""

    status: int
    body: Any
    words: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How one reply of the model ended: its content, its finish reason, other fields of message and choice."""

    content: Any = ANSWER
    finish: Any = "stop"
    message: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""


@dataclass(frozen=True)
class BatchApi:
    """How a server's Batch API differs from OpenAI's.

    `upload` and `state` turn OpenAI's description of a file and of a batch into the server's. `source` says where the
    calls are described.
    """

    source: str
    upload: Callable[[dict[str, Any]], dict[str, Any]] = dict
    state: Callable[[dict[str, Any]], dict[str, Any]] = dict


@dataclass(frozen=True)
class Vendor:
    """A server's dialect.

    `shows` gives a response or the end of a reply by behaviour. `refuses` is the field of a request that it refuses.
    `usage` is its object of token counts and `counted` what it says: prompt, cached and completion tokens. `body`,
    `choice` and `message` are fields that each of its completions has beside OpenAI's. `regular` is its finish reason
    of a complete reply, `lead` stands before every body. `batches` is its Batch API, or the reason why `mode: batch` has
    no cells. `source` says where the forms are described.
    """

    name: str
    source: str
    shows: Mapping[str, Sent | Ended]
    refuses: str = "seed"
    usage: Mapping[str, Any] = field(default_factory=dict)
    counted: tuple[int, int, int] = (PROMPT_TOKENS, 0, COMPLETION_TOKENS)
    body: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    regular: str = "stop"
    lead: str = ""
    without: Mapping[str, str] = field(default_factory=dict)
    batches: BatchApi | str = ""

    @property
    def in_rows(self) -> list[str]:
        """The behaviours that lines of its batches' files show."""
        return [name for name in IN_ROWS if isinstance(self.batches, BatchApi) and name not in self.without]

    def completion(self, ended: Ended, answer: str) -> dict[str, Any]:
        """The body of a completion, with `answer` where the content says so."""
        message: dict[str, Any] = {"role": "assistant", **self.message, **ended.message}
        if ended.content is not ...:
            message["content"] = filled(ended.content, answer)
        usage = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        }
        return {
            "id": f"chatcmpl-{self.name}",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": "served-model",
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "finish_reason": ended.finish,
                    **self.choice,
                    **ended.choice,
                }
            ],
            "usage": usage | self.usage,
            **self.body,
        }

    def answered(self, answer: str) -> Sent:
        """A regular reply."""
        return Sent(200, self.completion(Ended(finish=self.regular), answer))


def filled(value: Any, answer: str) -> Any:
    """The value with `answer` where ANSWER stands in a text."""
    if isinstance(value, str):
        return value.replace(ANSWER, answer)
    if isinstance(value, list):
        return [filled(one, answer) for one in value]
    if isinstance(value, dict):
        return {name: filled(one, answer) for name, one in value.items()}
    return value


def openai_error(
    message: str, kind: str | None = "invalid_request_error", code: Any = None, **more: Any
) -> Any:
    """`{"error": {"message", "type", "param", "code"}}`, as OpenAI and most others write errors."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def page(title: str, status: int = 200) -> Sent:
    """The web page that a base_url of a site, or a gateway, answers with."""
    html = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Sent(status, html, "web page", {"Content-Type": "text/html; charset=utf-8"})
