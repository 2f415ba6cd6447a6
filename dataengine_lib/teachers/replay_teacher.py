"""Step 3: a teacher that repeats the replies in a ledger or a results file, without network or cost."""

from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply, reply_end
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.core.files import read_jsonl
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId, Query, image_id_of
from dataengine_lib.teachers.request import CanonicalRequests


class _Row(msgspec.Struct):
    """The fields used here of a LedgerRow, which has a `request`, or of a Result, which has `raw_instructions`."""

    request: dict[str, Any] | None = None
    text: str = ""
    raw_instructions: str | None = None
    reply_json: str = ""
    query_id: str = ""
    image_id: ImageId = UNKNOWN_IMAGE
    question_type: str = ""
    finish_reason: str = "stop"
    model: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0


class ReplayTeacher:
    """Gives the replies in `file`: those of a ledger by the messages asked, those of a results file by query id.

    The model and settings that a ledger's messages were sent with do not matter; of several replies the last one is
    given. Rows of results without a query id (files of the original DataEngine) are found by image id and question
    type. Raises DataEngineError naming the line if the file cannot be read.
    """

    def __init__(self, file: Path, image_root: Path | None = None, max_side: int = 1024) -> None:
        self.file = file
        self._canonical = CanonicalRequests("", max_side=max_side, json_replies=False, image_root=image_root)
        # By a hash of the messages, a query id, or (image id, question type): these three cannot be mixed up.
        self._replies: dict[str | tuple[ImageId, str], Reply] = {}
        rows: list[_Row] = read_jsonl(file, _Row, torn_tail=True)
        for row in rows:
            if row.request is not None:
                self._keep(_messages_key(row.request), _reply(row, row.text))
            elif row.raw_instructions is not None:
                key = row.query_id or (image_id_of(row.image_id), row.question_type)
                self._keep(key, _reply(row, row.reply_json or row.raw_instructions))

    def _keep(self, key: str | tuple[ImageId, str], reply: Reply) -> None:
        # the last one, but none that is unusable in place of one that is usable, as in the ledger
        before = self._replies.get(key)
        if before is None or reply.finish_reason == "stop" or before.finish_reason != "stop":
            self._replies[key] = reply

    async def ask(
        self, query: Query, max_output_tokens: int | None = None, may_retry: MayRetry | None = None
    ) -> Reply:
        """The recorded reply; raises AskFailed when there is none, or it is empty or ended by an error."""
        # The rows of a ledger are found by the first key, those of a results file by one of the others.
        ids = (query.query_id, (query.image_id, query.question_type))
        for key in (_messages_key(self._canonical.of(query)), *ids):
            if (reply := self._replies.get(key)) is not None:
                if reply.failed:
                    how = "is empty" if reply.finish_reason == "empty" else "ended by an error"
                    raise AskFailed(f"the reply in {self.file} {how}", teacher_at_fault=False)
                return reply
        raise AskFailed(f"{self.file} holds no reply to this query", teacher_at_fault=False)


def _messages_key(request: dict[str, Any]) -> str:
    """A key of the messages alone, without model and settings."""
    return key_of(request.get("messages"))


def _reply(row: _Row, text: str) -> Reply:
    return Reply(
        text,
        reply_end(row.finish_reason, text),
        row.model,
        row.prompt_tokens,
        row.cached_tokens,
        row.cache_write_tokens,
        row.completion_tokens,
    )
