"""Step 3: a teacher's reply as the ledger keeps it."""

from typing import Any

from dataengine_lib.chat.ledger_data import LedgerRow
from dataengine_lib.chat.reply import Reply


def ledger_row(key: str, reply: Reply, teacher: str, room: int, tier: str, **asked: Any) -> LedgerRow:
    """The row of a paid reply; `asked` are the request and its query's id, where they are known."""
    return LedgerRow(
        key=key,
        teacher=teacher,
        text=reply.text,
        finish_reason=reply.finish_reason,
        structured=reply.structured,
        model=reply.model,
        request_id=reply.request_id,
        attempts=reply.attempts,
        seconds=reply.seconds,
        room=room,
        tier=tier,
        prompt_tokens=reply.prompt_tokens,
        cached_tokens=reply.cached_tokens,
        cache_write_tokens=reply.cache_write_tokens,
        completion_tokens=reply.completion_tokens,
        usage=reply.usage,
        **asked,
    )
