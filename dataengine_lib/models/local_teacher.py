"""Step 3: the teacher `local`, asked as any OpenAI-compatible server, no more requests at a time than it has slots."""

import asyncio
from typing import Any, Self

from dataengine_lib.data.records import Query
from dataengine_lib.models.local_llm import SLOTS
from dataengine_lib.models.openai_teacher import OpenAITeacher
from dataengine_lib.models.teacher import AskFailed, Reply


class LocalTeacher(OpenAITeacher):
    """The model that `serve_local` serves. It reads text only."""

    async def __aenter__(self) -> Self:
        self._slots = asyncio.Semaphore(SLOTS)
        return await super().__aenter__()

    async def ask(self, query: Query) -> Reply:
        """As OpenAITeacher; raises AskFailed when a picture is to be sent."""
        if query.attach_image:
            raise AskFailed(
                "teacher local reads no pictures; choose a template without them (v1, v2)",
                teacher_at_fault=False,
            )
        return await super().ask(query)

    async def complete(self, messages: list[dict[str, Any]], **options: Any) -> Reply:
        """As ChatClient; waits here for a free slot, where the time limit of a reply does not count yet."""
        async with self._slots:
            return await super().complete(messages, **options)
