"""What comes back from a chat model (steps 0, 1, 3 and 4): a Reply, or the two errors for a request without one."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.errors import DataEngineError

MayRetry = Callable[[], bool]
"""Called before a retry of a request that may be billed although no reply came; False forbids the retry."""


# Finish reasons by their meaning, in lower case. Sources: the API references of OpenAI, Anthropic, Cohere, Mistral
# (model_length), TGI (eos_token), Together (eos), Gemini (safety, recitation, …), Zhipu (sensitive) and Bedrock.
_REGULAR = {
    "", "stop", "stopped", "eos", "eos_token", "stop_token", "stop_sequence", "end_turn", "end", "endoftext",
    "complete", "completed", "finished", "done", "normal", "success", "finish_reason_stop",
}  # fmt: skip
_CUT_OFF = {
    "length", "max_tokens", "model_length", "max_length", "max_output_tokens", "max_completion_tokens",
    "max_new_tokens", "max_tokens_reached", "token_limit", "limit", "incomplete", "context_length",
    "model_context_window_exceeded", "finish_reason_max_tokens",
}  # fmt: skip
_BLOCKED = {
    "safety", "recitation", "sensitive", "blocklist", "prohibited_content", "spii", "image_safety", "error_toxic",
    "blocked", "moderation", "guardrail_intervened", "content_filtered", "data_inspection_failed",
}  # fmt: skip
# OpenAI and others · older OpenAI · Anthropic
TOOL_ENDS = ("tool_calls", "function_call", "tool_use")


def reply_end(finish_reason: str, text: str) -> str:
    """How a reply ended: `stop` where its text is an answer, else why it is none.

    `length`: cut off at the output limit. `refusal` and `content_filter`: the model or its server declined. `empty`: a
    regular end without text, or with thoughts only. `error`: any other end, such as that of a provider that failed.
    """
    # "tool-calls", "content-filter": the AI SDK's spelling, which gateways built on it pass on
    reason = finish_reason.strip().lower().replace("-", "_")
    if reason in _REGULAR or reason == "empty":
        return "stop" if after_reasoning(text)[0].strip() else "empty"
    if reason in _CUT_OFF:
        return "length"
    # Gemini: "content_filter: RECITATION"
    if reason in _BLOCKED or reason.startswith("content_filter"):
        return "content_filter"
    if reason in TOOL_ENDS and not text.strip():
        return "empty"
    return "refusal" if reason == "refusal" else "error"


def is_no_answer(end: str, logprobs: Sequence[tuple[str, float]]) -> bool:
    """Whether a reply that ended so (see `reply_end`) is no answer: empty without probabilities, or ended by an error."""
    return end == "error" or (end == "empty" and not logprobs)


class Reply(msgspec.Struct, frozen=True):
    """What a model wrote. `finish_reason` is one of `reply_end`: `stop` for a usable reply; `problem` says why not.

    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`. `usage` is the server's own object of token
    counts. `attempts` is how many requests it took, `seconds` the time of the last one. `structured` says that the
    server accepted the JSON schema that was sent along. `service_tier` is the one that the server names, or `default`
    where it refuses such a setting: it may serve a request at another tier, and price, than was asked for.
    `top_logprobs` are the most probable first tokens with their log-probabilities, where they were asked for, and
    `prompt_logprobs` the tokens of the prompt, without the first one, with theirs.
    """

    text: str
    finish_reason: str = "stop"
    model: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    request_id: str = ""
    attempts: int = 1
    structured: bool = False
    usage: dict[str, Any] = {}
    seconds: float = 0.0
    service_tier: str = ""
    problem: str = ""
    top_logprobs: list[tuple[str, float]] = []
    prompt_logprobs: list[tuple[str, float]] = []

    @property
    def failed(self) -> bool:
        """Whether it is no answer of the model at all."""
        return is_no_answer(self.finish_reason, self.top_logprobs or self.prompt_logprobs)

    @property
    def has_token_counts(self) -> bool:
        """Whether the server reported how many tokens it used; without them the price of the reply is unknown."""
        # Every prompt has tokens, and every text too: where one of the two counts is missing, the price is too low.
        return self.prompt_tokens > 0 and (self.completion_tokens > 0 or not self.text)


class AskFailed(DataEngineError):
    """One request got no usable reply; others may.

    `teacher_at_fault`: the error points at the server, not at the request; many in a row mean that it is down.
    `declined`: the server is fine and its content filter refused the request. `unanswered`: the last attempt ended
    without any response (timeout, dropped connection), so it may be billed all the same.
    """

    def __init__(
        self,
        reason: str,
        attempts: int = 1,
        *,
        teacher_at_fault: bool = True,
        declined: bool = False,
        unanswered: bool = False,
    ) -> None:
        super().__init__(reason)
        self.attempts = attempts
        self.teacher_at_fault, self.declined, self.unanswered = teacher_at_fault, declined, unanswered


class UnusableReply(AskFailed):
    """Replies came, and were paid for, but none of them is an answer: empty, or ended by an error."""


class NotOffered(AskFailed):
    """The server refused what was asked for as a whole, such as log-probabilities of the prompt; it is not billed."""


class TeacherStop(DataEngineError):
    """No request can succeed (key refused, model gone, quota used up, server unreachable): send nothing more."""
