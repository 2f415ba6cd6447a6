"""Step 3: a model behind an OpenAI-compatible server as the teacher."""

import asyncio
from pathlib import Path
from typing import Any

from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.messages import data_url, jpeg_bytes
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.records import QaForm, Query
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.images.references import image_file
from dataengine_lib.replies.qa_json import qa_schema
from dataengine_lib.teachers.request import messages


class OpenAITeacher(ChatClient):
    """A chat model that answers queries, and is sent the image of a query with `attach_image`.

    Images are found under `image_root` and sent with a longer side of at most `max_side` pixels. With `json_replies`
    the reply is held to the JSON schema of a QA where the server can do that. The other parameters are those of
    ChatClient.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        key: str,
        settings: ChatSettings | None = None,
        *,
        image_root: Path | None = None,
        max_side: int = 1024,
        json_replies: bool = True,
    ) -> None:
        super().__init__(model, base_url, key, settings)
        self.image_root, self.max_side, self.json_replies = image_root, max_side, json_replies

    async def ask(
        self, query: Query, max_output_tokens: int | None = None, may_retry: MayRetry | None = None
    ) -> Reply:
        """The model's reply to `query.prompt`, sent as one user message; raises what `complete` raises.

        Raises AskFailed as well when the image is to be sent and cannot be read.
        """
        # In a thread: decoding takes long, and would hold up the replies that come in meanwhile.
        image = await asyncio.to_thread(self._image_url, query) if query.attach_image else ""
        return await self.complete(
            messages(query, image),
            schema=self._schema(query),
            max_output_tokens=max_output_tokens,
            may_retry=may_retry,
        )

    def query_body(self, query: Query, max_output_tokens: int) -> dict[str, Any]:
        """The request's body as `ask` sends it first; raises AskFailed when the image cannot be read."""
        image = self._image_url(query) if query.attach_image else ""
        return self.format.body(messages(query, image), self._schema(query), max_output_tokens)

    def _schema(self, query: Query) -> dict[str, Any] | None:
        return (
            qa_schema(query.prompt, QaForm.of(query))
            if self.json_replies and self.format.takes_schema is not False
            else None
        )

    def _image_url(self, query: Query) -> str:
        """The query's image as a data URL."""
        if self.image_root is None:
            raise AskFailed("the query's image is to be sent: give image_root", teacher_at_fault=False)
        try:
            image = read_image(image_file(self.image_root, query.image_path))
        except DataEngineError as error:
            raise AskFailed(str(error), teacher_at_fault=False) from error
        if isinstance(image, str):
            raise AskFailed(image, teacher_at_fault=False)
        return data_url(jpeg_bytes(image, self.max_side))


class LocalTeacher(OpenAITeacher):
    """The model of teacher `local`, which reads text only."""

    async def ask(
        self, query: Query, max_output_tokens: int | None = None, may_retry: MayRetry | None = None
    ) -> Reply:
        """As OpenAITeacher; raises AskFailed when an image is to be sent."""
        if query.attach_image:
            raise AskFailed(
                "teacher local reads no images; choose a template without them (v1, v2)",
                teacher_at_fault=False,
            )
        return await super().ask(query, max_output_tokens, may_retry)
