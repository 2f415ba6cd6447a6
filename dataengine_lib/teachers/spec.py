"""spec."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dataengine_lib.chat.reply import MayRetry, Reply
from dataengine_lib.core.records import Query

if TYPE_CHECKING:
    pass


KINDS = "openai:MODEL, annotations, replay:FILE, playground, local, local:FILE.gguf"


class Teacher(Protocol):
    """Answers one query; raises AskFailed for that query only, TeacherStop when asking on makes no sense.

    `max_output_tokens` overrides the teacher's own output limit, if it has one; `may_retry` is called before the retry
    of an attempt that may be billed, see ChatClient.complete.
    """

    async def ask(
        self, query: Query, max_output_tokens: int | None = None, may_retry: MayRetry | None = None
    ) -> Reply: ...


def check_spec(spec: str) -> str:
    """`spec` itself when it names a teacher.

    Raises ValueError (a wrong parameter when a Config calls this).
    """
    kind, colon, rest = spec.partition(":")
    named, unnamed = kind in ("openai", "replay"), kind in ("annotations", "playground")
    if (named and rest) or (unnamed and not colon) or (kind == "local" and (rest or not colon)):
        return spec
    raise ValueError(f"not a teacher; choose one of {KINDS}")


def recorded_name(spec: str) -> str:
    """The name that rows of this teacher carry: the model's own, or the kind and file name of the others."""
    kind, _, rest = spec.partition(":")
    if kind == "local":
        from dataengine_lib.teachers.local_llm import FILE

        rest = rest or FILE
    return rest if kind == "openai" else f"{kind}:{Path(rest).name}" if kind in ("replay", "local") else kind
