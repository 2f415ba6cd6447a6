"""Step 3: a teacher behind an OpenAI-compatible server."""

from dataengine_lib.data.records import Query
from dataengine_lib.models.chat_client import ChatClient
from dataengine_lib.models.teacher import Reply


class OpenAITeacher(ChatClient):
    """A chat model that is asked queries."""

    async def ask(self, query: Query) -> Reply:
        """The model's reply to `query.prompt`, sent as one user message; raises what `complete` raises."""
        return await self.complete([{"role": "user", "content": query.prompt}])
