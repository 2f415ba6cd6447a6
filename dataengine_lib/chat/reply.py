"""What comes back from a chat model (steps 0, 1, 3 and 4): a Reply, or the two errors for a request without one."""

from collections.abc import Callable
from typing import Any

import msgspec

from dataengine_lib.errors import DataEngineError

MayRetry = Callable[[], bool]
"""Called before a retry of a request that may be billed although no reply came; False forbids the retry."""


class Reply(msgspec.Struct, frozen=True):
    """What a model wrote. `finish_reason` is `stop` for a usable reply, else `length`, `refusal` or `content_filter`.

    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`. `usage` is the server's own object of token
    counts. `attempts` is how many requests it took, `seconds` the time of the last one. `structured` says that the
    server accepted the JSON schema that was sent along.
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

    @property
    def has_token_counts(self) -> bool:
        """Whether the server reported how many tokens it used; without them the price of the reply is unknown."""
        return bool(self.prompt_tokens or self.completion_tokens)


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


class TeacherStop(DataEngineError):
    """No request can succeed (key refused, model gone, quota used up, server unreachable): send nothing more."""
