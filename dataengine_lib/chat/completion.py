"""The body of a chat completion, read as a Reply however loosely a server follows the format (steps 0, 1, 3 and 4)."""

import json
from typing import Any

import msgspec

from dataengine_lib.chat.reply import Reply

_TEXT_PARTS = ("text", "output_text")  # types of content parts; the second one is that of the Responses API


def read_completion(content: bytes | dict[str, Any]) -> Reply:
    """The reply in a chat completion. Fields of an unexpected type are ignored: the reply was paid for and is kept.

    Raises ValueError when there is no message in it. Source of the fields: OpenAI's API reference, "Chat
    completions"; `input_tokens` and `output_tokens` are the names of its Responses API, which some servers use here.
    """
    # Rows of the Batch API hold the body as an object in their JSON, responses as bytes.
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
    refusal = _text(message.get("refusal"))
    prompt_tokens = _token_count(usage.get("prompt_tokens", usage.get("input_tokens")))
    return Reply(
        text=refusal or _text(message.get("content")),
        # Under a JSON schema OpenAI's models put a refusal into a field of its own, with finish_reason
        # `stop`.
        finish_reason="refusal" if refusal else _text(first.get("finish_reason")) or "stop",
        model=_text(body.get("model")),
        prompt_tokens=prompt_tokens,
        # Parts of prompt_tokens: no larger than the whole, whatever the server reports.
        cached_tokens=min(prompt_tokens, _token_count(details.get("cached_tokens"))),
        cache_write_tokens=min(prompt_tokens, _token_count(details.get("cache_write_tokens"))),
        completion_tokens=_token_count(usage.get("completion_tokens", usage.get("output_tokens"))),
        request_id=_text(body.get("id")),
        # Through msgspec and back: NaN, which JSON files cannot hold, becomes null.
        usage=msgspec.json.decode(msgspec.json.encode(usage)),
    )


def _text(value: Any) -> str:
    """A text, or the text parts of a list of parts (reasoning and other parts are left out); else an empty text."""
    if isinstance(value, list):
        parts = [part for part in value if isinstance(part, dict) and part.get("type") in _TEXT_PARTS]
        value = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    # A lone surrogate (half of a character) cannot be written to a file or sent in a request; it becomes "?".
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _token_count(value: Any) -> int:
    """A number of tokens, 0 for anything that is not a number."""
    try:
        # Reads 12, 12.0 and "12"; NaN raises ValueError, infinity OverflowError.
        return max(0, int(float(value)))
    except (TypeError, ValueError, OverflowError):
        return 0
