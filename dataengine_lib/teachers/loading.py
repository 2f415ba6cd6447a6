"""Steps 0 and 3: the teacher, whatever answers a query with text (a model, recorded replies, rules)."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from dataengine_lib.core.records import Query
from dataengine_lib.errors import DataEngineError, ParameterError

if TYPE_CHECKING:
    from dataengine_lib.teachers.openai_teacher import OpenAITeacher

NO_KEY = "none"
OPENAI_URL = "https://api.openai.com/v1"
KINDS = "openai:MODEL, annotations, replay:FILE, playground, local, local:FILE.gguf"


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


class Teacher(Protocol):
    """Answers one query; raises AskFailed for that query only, TeacherStop when asking on makes no sense.

    `room` is an output limit in place of the usual one, for those that have one; `again` is asked before another try
    after one that ended without a word, see ChatClient.
    """

    async def ask(self, query: Query, room: int | None = None, again: Again | None = None) -> Reply: ...


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


def endpoint(base_url: str | None) -> tuple[str, str]:
    """URL and key of an OpenAI-compatible server, from `base_url` and the environment.

    Raises ParameterError when OpenAI itself is meant and OPENAI_API_KEY is not set; others need no real key.
    """
    url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
    if not url.startswith(("http://", "https://")):
        given = url.partition("?")[0].rpartition("@")[2]  # a password stands before @, a key behind ?
        raise ParameterError(f"base_url must begin with http:// or https:// (given: {given!r})")
    shown_url(url)  # which sees whether it is one
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and url.startswith("https://api.openai.com"):
        raise ParameterError(
            "OPENAI_API_KEY is not set; export it, or give base_url (or OPENAI_BASE_URL) of another server"
        )
    return url, key or NO_KEY


def on_loopback(url: str) -> bool:
    """Whether a server is on this machine itself: no proxy leads there, and nobody sends a bill."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def shown_url(url: str) -> str:
    """What messages and files may show of a server's URL, which can carry a password.

    Raises ParameterError when its port is no number.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # whose message shows what stands behind the colon, which may be that password
        raise ParameterError("base_url: it is no URL, or its port no number up to 65535; mend it") from None
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


@asynccontextmanager
async def load_teacher(
    spec: str,
    base_url: str | None = None,
    *,
    coco_dataset: Path | None = None,
    image_root: Path | None = None,
    max_side: int = 1024,
    **options: Any,
) -> AsyncIterator[Teacher]:
    """The teacher that `spec` names, open for the length of the block.

    `image_root` and `max_side` are for chat models that are sent pictures, see OpenAITeacher, and so are `options`,
    see load_chat.

    Raises ParameterError when something that it needs is not given.
    """
    check_spec(spec)
    kind, _, rest = spec.partition(":")
    if kind == "replay":
        from dataengine_lib.teachers.replay_teacher import ReplayTeacher

        yield ReplayTeacher(Path(rest), image_root, max_side)
    elif kind == "annotations":
        from dataengine_lib.annotations.teacher import AnnotationsTeacher

        if coco_dataset is None:
            raise ParameterError("teacher 'annotations' reads boxes and captions: give coco_dataset")
        yield AnnotationsTeacher(coco_dataset)
    else:
        chat = load_chat(spec, base_url, image_root=image_root, max_side=max_side, **options)
        async with chat as teacher:
            yield teacher


@asynccontextmanager
async def load_chat(
    spec: str,
    base_url: str | None = None,
    *,
    image_root: Path | None = None,
    max_side: int = 1024,
    temperature: float | None = None,
    max_output_tokens: int = 600,
    timeout_s: float = 60,
    max_attempts: int = 6,
    seed: int = 0,
    json_replies: bool = True,
    concurrency: int = 64,
    rpm: float | None = None,
    tpm: float | None = None,
    service_tier: str | None = None,
) -> AsyncIterator["OpenAITeacher"]:
    """The teacher that `openai:MODEL`, `local` or `playground` names, which can be asked anything, not queries alone.

    Raises ParameterError when the server needs a key and none is set, or `local` is not installed.
    """
    from dataengine_lib.teachers.openai_teacher import OpenAITeacher

    kind, _, model = spec.partition(":")
    asked = OpenAITeacher
    with ExitStack() as stack:
        if kind == "openai":
            url, key = endpoint(base_url)
        elif kind == "local":
            from dataengine_lib.teachers.local_llm import SLOTS, model_file, serve_local
            from dataengine_lib.teachers.local_teacher import LocalTeacher

            asked, concurrency = LocalTeacher, SLOTS
            local = stack.enter_context(serve_local(model_file(model)))
            model, key, url = local.model, NO_KEY, local.base_url
        else:
            from dataengine_lib.playground.server import serve
            from dataengine_lib.playground.teacher import reply, structured_reply

            # A literal key: the user's own must go nowhere but to the server that they named.
            server = stack.enter_context(serve(reply, structured=structured_reply))
            model, key, url = "playground", NO_KEY, server.base_url
        teacher = asked(
            model,
            url,
            key,
            temperature,
            max_output_tokens,
            timeout_s,
            max_attempts,
            seed,
            image_root=image_root,
            max_side=max_side,
            json_replies=json_replies,
            concurrency=concurrency,
            rpm=rpm,
            tpm=tpm,
            service_tier=service_tier,
        )
        async with teacher:
            yield teacher
