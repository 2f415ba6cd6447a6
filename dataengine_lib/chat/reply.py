"""reply."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from dataengine_lib.errors import DataEngineError

if TYPE_CHECKING:
    pass


class Reply(msgspec.Struct, frozen=True):
    """What a model wrote; `finish_reason` is `stop`, or `length`, `refusal`, `content_filter`: no use.

    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`, `usage` is what the server said of tokens,
    `seconds` what the last of `attempts` took. `structured` says that the server took the JSON schema that it was given.
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
    def counted(self) -> bool:
        """Whether the server said how many tokens the reply took; where it does not, nobody knows the price."""
        return bool(self.prompt_tokens or self.completion_tokens)


class AskFailed(DataEngineError):
    """This query got no reply of use.

    `teacher_at_fault`: many of these in a row mean that the teacher is down. `declined`: it was there, and would
    not answer. `unanswered`: its last try ended without a word, and may be billed all the same.
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
        self.attempts, self.unanswered = attempts, unanswered
        self.teacher_at_fault = teacher_at_fault
        self.declined = declined


class TeacherStop(DataEngineError):
    """No query can be answered (key refused, model gone, quota used up, server away): send nothing more."""


Again = Callable[[], bool]
