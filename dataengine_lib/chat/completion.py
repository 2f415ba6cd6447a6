"""Steps 0, 1 and 3: a chat completion's bytes as a Reply, however loosely a server takes the format."""

import json
from typing import Any

import msgspec

from dataengine_lib.chat.reply import Reply

_TEXT_PARTS = ("text", "output_text")


def read_completion(content: bytes | dict[str, Any]) -> Reply:
    """The reply in a chat completion; what was paid for is kept, other types of its fields are passed over.

    Raises ValueError when there is no message in it.
    """
    body = json.loads(content) if isinstance(content, bytes) else content
    choices = body.get("choices") if isinstance(body, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if first is None or not isinstance(message, dict):
        raise ValueError(f"the reply is no chat completion: {body}")
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    refusal = text_of(message.get("refusal"))
    prompt_tokens = count_of(usage.get("prompt_tokens", usage.get("input_tokens")))
    return Reply(
        text=refusal or text_of(message.get("content")),
        finish_reason="refusal" if refusal else text_of(first.get("finish_reason")) or "stop",
        model=text_of(body.get("model")),
        prompt_tokens=prompt_tokens,
        cached_tokens=min(prompt_tokens, count_of(details.get("cached_tokens"))),
        cache_write_tokens=min(prompt_tokens, count_of(details.get("cache_write_tokens"))),
        completion_tokens=count_of(usage.get("completion_tokens", usage.get("output_tokens"))),
        request_id=text_of(body.get("id")),
        usage=msgspec.json.decode(msgspec.json.encode(usage)),  # as a file can hold it, without NaN
    )


def text_of(value: Any) -> str:
    """A text as UTF-8 can hold it; of a list of parts, those that are text, without reasoning and the like."""
    if isinstance(value, list):
        parts = [part for part in value if isinstance(part, dict) and part.get("type") in _TEXT_PARTS]
        value = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    # a surrogate alone is half a character, which no file and no later request can hold
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def count_of(value: Any) -> int:
    """A number of tokens, 0 for what is none."""
    try:
        return max(0, int(float(value)))
    except (TypeError, ValueError, OverflowError):
        return 0
