"""Steps 0, 3 and 4: opens the teacher that a spec names, with the local server that some of them need."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dataengine_lib.chat.endpoint import NO_KEY, endpoint
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import ParameterError
from dataengine_lib.teachers.spec import Teacher, check_spec

if TYPE_CHECKING:
    from dataengine_lib.teachers.openai_teacher import OpenAITeacher

# Each teacher is imported where it is opened: its imports are slow, or not installed, for users of another one.


@asynccontextmanager
async def load_teacher(
    spec: str,
    settings: ChatSettings | None = None,
    *,
    coco_dataset: Path | None = None,
    image_root: Path | None = None,
    max_side: int = 1024,
    json_replies: bool = True,
) -> AsyncIterator[Teacher]:
    """The teacher that `spec` names, open for the length of the `async with` block.

    `coco_dataset` is the image pool that teacher `annotations` reads; the other parameters are for chat models, see
    OpenAITeacher. Raises ParameterError when something that the teacher needs is not given.
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
        chat = load_chat(spec, settings, image_root=image_root, max_side=max_side, json_replies=json_replies)
        async with chat as teacher:
            yield teacher


@asynccontextmanager
async def load_chat(
    spec: str,
    settings: ChatSettings | None = None,
    *,
    image_root: Path | None = None,
    max_side: int = 1024,
    json_replies: bool = True,
) -> AsyncIterator["OpenAITeacher"]:
    """The chat model that `openai:MODEL`, `local` or `playground` names; it takes any messages, not only queries.

    Raises ParameterError when the server needs a key and none is set, or what `local` needs is not installed.
    """
    from dataengine_lib.teachers.openai_teacher import LocalTeacher, OpenAITeacher

    settings = settings or ChatSettings()
    kind, _, model = spec.partition(":")
    teacher_class = OpenAITeacher
    with ExitStack() as stack:
        if kind == "openai":
            url, key = endpoint(settings.base_url)
        elif kind == "local":
            from dataengine_lib.teachers.local_llm import SLOTS, model_file, serve_local

            # More requests at a time would only wait in the server, and may time out there.
            teacher_class, settings = LocalTeacher, settings.model_copy(update={"concurrency": SLOTS})
            local = stack.enter_context(serve_local(model_file(model)))
            model, key, url = local.model, NO_KEY, local.base_url
        else:
            from dataengine_lib.playground.server import serve
            from dataengine_lib.playground.teacher import reply, structured_reply

            # No key here and for `local`: the user's own must only go to the server that they named.
            server = stack.enter_context(serve(reply, structured=structured_reply))
            model, key, url = "playground", NO_KEY, server.base_url
        teacher = teacher_class(
            model, url, key, settings, image_root=image_root, max_side=max_side, json_replies=json_replies
        )
        async with teacher:
            yield teacher
