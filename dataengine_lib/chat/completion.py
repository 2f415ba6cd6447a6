"""The body of a chat completion, read as a Reply however loosely a server follows the format (steps 0, 1, 3 and 4)."""

import json
import math
from contextlib import suppress
from typing import Any, TypeGuard

import msgspec

from dataengine_lib.chat.error_body import ErrorBody, ErrorReply, read_error
from dataengine_lib.chat.reply import TOOL_ENDS, Reply, reply_end
from dataengine_lib.core.reasoning import after_reasoning

_MOST_TOKENS = 1_000_000_000  # of one reply; a larger number is a fault of the server
_TEXT_PARTS = ("text", "output_text")  # types of content parts; the second one is that of the Responses API
# Where servers put thoughts beside `content`: DeepSeek and SGLang · vLLM, OpenRouter and Groq · others.
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "reasoning_details")


def read_completion(content: bytes | dict[str, Any], *, of_prompt: bool = False) -> Reply:
    """The reply in a chat completion. Fields of an unexpected type are ignored: the reply was paid for and is kept.

    With `of_prompt`, log-probabilities in the form of text completions are those of a prompt that is repeated.
    Raises ErrorReply when it is an error, or holds no reply. Source of the fields: OpenAI's API reference, "Chat
    completions"; `input_tokens` and `output_tokens` are the names of its Responses API, which some servers use here.
    """
    body = _body(content) if isinstance(content, bytes) else content
    error = body.get("error") if isinstance(body, dict) else None
    choices = body.get("choices") if isinstance(body, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not (first.keys() & {"message", "text", "finish_reason"}):
        raise ErrorReply(_no_completion(body))
    message = first.get("message")
    message = message if isinstance(message, dict) else {"content": first.get("text")}
    refusal = _text(message.get("refusal"))
    text = refusal or _text(message.get("content"))
    # Under a JSON schema OpenAI's models put a refusal into a field of its own, with finish_reason `stop`.
    reason = "refusal" if refusal else _text(first.get("finish_reason"))
    # OpenRouter sends the error of a provider that failed half-way inside the choice.
    failure = first.get("error") or message.get("error") or error
    end = "error" if failure else reply_end(reason, text)
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    prompt_tokens = _token_count(usage, "prompt_tokens", "input_tokens")
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    # The second name is DeepSeek's; the third stands in Moonshot's `usage` itself, the last is Anthropic's.
    cached = _token_count(details, "cached_tokens") or _token_count(
        usage, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"
    )
    return Reply(
        text=text,
        finish_reason=end,
        model=_text(body.get("model")),
        prompt_tokens=prompt_tokens,
        # Parts of prompt_tokens: no larger than the whole, whatever the server reports.
        cached_tokens=min(prompt_tokens, cached),
        cache_write_tokens=min(prompt_tokens, _token_count(details, "cache_write_tokens")),
        # Gemini and Grok leave thoughts out of completion_tokens, but bill them: they are in the total.
        completion_tokens=max(
            _token_count(usage, "completion_tokens", "output_tokens"),
            _token_count(usage, "total_tokens") - prompt_tokens,
        ),
        request_id=_text(body.get("id")),
        service_tier=_text(body.get("service_tier")),
        # Through msgspec and back: NaN, which JSON files cannot hold, becomes null.
        usage=msgspec.json.decode(msgspec.json.encode(usage)),
        problem=_problem(end, reason, text, message, failure, _thought_tokens(usage)),
        top_logprobs=[] if of_prompt else _top_logprobs(first.get("logprobs")),
        prompt_logprobs=_prompt_logprobs(body, first) if of_prompt else [],
    )


def _body(content: bytes) -> Any:
    """The JSON of a response; of a stream of events, which some proxies send unasked, the completion they add up to."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ErrorReply(ErrorBody(200, "the reply is nested too deeply")) from None
    except ValueError:
        if content.lstrip().startswith((b"data:", b"event:", b":")):
            return _joined_events(content.decode("utf-8", "replace"))
        error = read_error(200, content)
        if not error.is_page:
            error = error._replace(words=f"the reply is no chat completion: {error.words}")
        raise ErrorReply(error) from None


def _joined_events(text: str) -> dict[str, Any]:
    """One completion of the chunks in `data: {"choices": [{"delta": {"content": "A"}}]}` lines."""
    joined: dict[str, Any] = {}
    message: dict[str, Any] = {"content": ""}
    finish: Any = None
    failure: Any = None
    for line in text.splitlines():
        chunk: Any = None
        if line.startswith("data:"):
            with suppress(ValueError, RecursionError):
                chunk = json.loads(line.removeprefix("data:"))
        if not isinstance(chunk, dict):
            continue
        joined |= {name: chunk[name] for name in ("id", "model", "usage", "error") if chunk.get(name)}
        choices = chunk.get("choices")
        # chunks without a choice hold the token counts, or the error of a request that failed at once
        first = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(first, dict):
            delta = first.get("delta") or first.get("message")
            for name, part in (delta if isinstance(delta, dict) else {}).items():
                if isinstance(part, str) and name in ("content", "refusal", *_THOUGHTS):
                    message[name] = message.get(name, "") + part
            finish = first.get("finish_reason") or finish
            failure = first.get("error") or failure
            joined["choices"] = [{"message": message, "finish_reason": finish, "error": failure}]
    # A stream that ends without its last chunk was cut off on the way.
    if "choices" in joined and finish is None:
        joined["choices"][0]["error"] = failure or joined.get("error") or "the stream ended early"
    return joined


def _no_completion(body: Any) -> ErrorBody:
    error = read_error(200, body)
    known = isinstance(body, dict | list) and error.words and not error.words.startswith(("{", "["))
    return error if known else error._replace(words=f"the reply is no chat completion: {error.words or body}")


def _thought_tokens(usage: dict[str, Any]) -> int:
    """The tokens of a reply's thoughts, where the server counts them: OpenAI and most others · Moonshot and others."""
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    inner = _token_count(details, "reasoning_tokens") if isinstance(details, dict) else 0
    return inner or _token_count(usage, "reasoning_tokens")


def _problem(
    end: str, reason: str, text: str, message: dict[str, Any], failure: Any, thought_tokens: int
) -> str:
    """Why a reply that ended by `end` is no answer, in words for messages; empty where it may be one."""
    thoughts = next((name for name in _THOUGHTS if message.get(name)), "")
    if end == "error":
        return str(read_error(200, failure)) if failure else f"the reply ended by {reason!r}"
    if end == "length" and thoughts and not text.strip():
        return f"cut off within its thoughts ({thoughts})"
    if end == "length" and after_reasoning(text)[1]:
        return "cut off within its thoughts"
    if end == "length" and thought_tokens and not text.strip():
        return f"cut off within its thoughts ({thought_tokens:,} reasoning tokens)"
    if end != "empty":
        return ""
    if thoughts and not text.strip():
        return (
            f"the reply is empty, its text is in {thoughts}; check the server's reasoning parser, or raise"
            " max_output_tokens"
        )
    if text.strip():
        return "the reply holds thoughts and no answer; raise max_output_tokens"
    if message.get("tool_calls") or reason.lower().replace("-", "_") in TOOL_ENDS:
        return "the reply is a tool call, without text"
    after = f" after {thought_tokens:,} reasoning tokens; raise max_output_tokens" if thought_tokens else ""
    return f"the reply is empty{after}"


def _text(value: Any) -> str:
    """A text, or the text parts of a list of parts (reasoning and other parts are left out); else an empty text."""
    if isinstance(value, list):
        parts = [part for part in value if isinstance(part, dict) and part.get("type") in _TEXT_PARTS]
        value = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    # A lone surrogate (half of a character) cannot be written to a file or sent in a request; it becomes "?".
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _top_logprobs(value: Any) -> list[tuple[str, float]]:
    """The most probable first tokens, each once, the most probable one first; empty where the server lists none.

    OpenAI, vLLM, SGLang, llama.cpp: {"content": [{"token": " A", "logprob": -0.1, "top_logprobs": [{"token": …}]}]}.
    Servers that answer in the form of text completions: {"top_logprobs": [{" A": -0.1, …}]}.
    """
    places = value.get("content") or value.get("top_logprobs") if isinstance(value, dict) else None
    first = places[0] if isinstance(places, list) and places else None
    if not isinstance(first, dict):
        return []
    if "top_logprobs" in first or "logprob" in first:
        listed = first.get("top_logprobs")
        # the token itself may not be among the most probable ones
        rows = [*(listed if isinstance(listed, list) else []), first]
        pairs = [(row.get("token"), row.get("logprob")) for row in rows if isinstance(row, dict)]
    else:
        pairs = list(first.items())
    found: dict[str, float] = {}
    for token, logprob in pairs:
        if isinstance(token, str) and _is_number(logprob):
            found.setdefault(_text(token), _bounded(logprob))
    return sorted(found.items(), key=lambda pair: -pair[1])


def _prompt_logprobs(body: dict[str, Any], choice: dict[str, Any]) -> list[tuple[str, float]]:
    """The tokens of the prompt, then those that were generated where they are listed too; empty without a list.

    vLLM: {"prompt_logprobs": [null, {"315": {"logprob": -1.2, "rank": 3, "decoded_token": " of"}}]}, one token at a
    place where no others are asked for. `echo` of text completions: {"tokens": ["The", " cat"], "token_logprobs":
    [null, -1.2]}. The first token has no probability and is left out; so is a list that lacks one of another token.
    """
    listed = body.get("prompt_logprobs") or choice.get("prompt_logprobs")
    pairs: list[tuple[Any, Any]] = []
    if isinstance(listed, list):
        for place in listed[1:]:
            entry = next(iter(place.values()), None) if isinstance(place, dict) else None
            entry = entry if isinstance(entry, dict) else {}
            pairs.append((entry.get("decoded_token"), entry.get("logprob")))
    else:
        echoed = choice.get("logprobs")
        echoed = echoed if isinstance(echoed, dict) else {}
        tokens, logprobs = echoed.get("tokens"), echoed.get("token_logprobs")
        if isinstance(tokens, list) and isinstance(logprobs, list) and len(tokens) == len(logprobs):
            # a list without a place for the first token is one of generated tokens
            pairs = [*zip(tokens, logprobs, strict=True)][1:] if logprobs[:1] == [None] else []
    if not all(isinstance(token, str) and _is_number(logprob) for token, logprob in pairs):
        return []
    return [(_text(token), _bounded(logprob)) for token, logprob in pairs]


def _is_number(logprob: Any) -> TypeGuard[float]:
    return isinstance(logprob, int | float) and not math.isnan(logprob)


def _bounded(logprob: float) -> float:
    # a sum of rounded probabilities may be above 1, and -inf is no JSON
    return max(-9999.0, min(0.0, float(logprob)))


def _token_count(usage: dict[str, Any], *names: str) -> int:
    """A number of tokens, under the first of `names` that is there; 0 for anything that is not a number."""
    value = next((usage[name] for name in names if usage.get(name) is not None), None)
    try:
        # Reads 12, 12.0 and "12"; NaN raises ValueError, infinity OverflowError.
        count = 0 if isinstance(value, bool) else int(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0
    return count if 0 <= count < _MOST_TOKENS else 0
