"""Step 3: what a teacher is, and the specs that name one, such as `openai:gpt-4o-mini`."""

from pathlib import Path
from typing import Protocol

from dataengine_lib.chat.reply import MayRetry, Reply
from dataengine_lib.core.records import Query

_SPECS = "openai:MODEL, annotations, replay:FILE, playground, local, local:FILE.gguf"


class Teacher(Protocol):
    """Answers one query; raises AskFailed if this query fails, TeacherStop if every other one would fail too.

    `max_output_tokens` overrides the teacher's own output limit, if it has one; `may_retry` is called before the retry
    of an attempt that may be billed, see ChatClient.complete.
    """

    async def ask(
        self, query: Query, max_output_tokens: int | None = None, may_retry: MayRetry | None = None
    ) -> Reply: ...


def check_spec(spec: str) -> str:
    """`spec` itself; raises ValueError if it names no teacher, which a Config reports as a wrong parameter."""
    kind, colon, rest = spec.partition(":")
    with_name, alone = kind in ("openai", "replay"), kind in ("annotations", "playground")
    # A name must follow `openai:` and `replay:`, may follow `local:`, and none follows the other two.
    if (with_name and rest) or (alone and not colon) or (kind == "local" and (rest or not colon)):
        return spec
    raise ValueError(f"not a teacher; choose one of {_SPECS}")


def recorded_name(spec: str) -> str:
    """The name in data files: the model's own for `openai:MODEL`, kind and file name for a teacher with a file."""
    kind, _, rest = spec.partition(":")
    if kind == "openai":
        return rest
    if kind == "local" and not rest:
        from dataengine_lib.teachers.local_llm import DEFAULT_MODEL

        rest = DEFAULT_MODEL
    # Without the folder, so that request keys are the same on every machine.
    return f"{kind}:{Path(rest).name}" if kind in ("replay", "local") else kind
