"""Step 3: the teacher `local`, asked as any OpenAI-compatible server."""

from dataengine_lib.core.records import Query
from dataengine_lib.teachers.loading import Again, AskFailed, Reply
from dataengine_lib.teachers.openai_teacher import OpenAITeacher


class LocalTeacher(OpenAITeacher):
    """The model that `serve_local` serves. It reads text only."""

    async def ask(self, query: Query, room: int | None = None, again: Again | None = None) -> Reply:
        """As OpenAITeacher; raises AskFailed when a picture is to be sent."""
        if query.attach_image:
            raise AskFailed(
                "teacher local reads no pictures; choose a template without them (v1, v2)",
                teacher_at_fault=False,
            )
        return await super().ask(query, room, again)
