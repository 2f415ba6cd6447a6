"""What a server's error response says, whatever its form (steps 0, 1, 3 and 4).

Forms, by the servers' documentation and public reports: {"error": {"message", "type", "code", "param"}} of OpenAI,
Azure, Groq, vLLM and llama.cpp; {"error": "text"} of Ollama, TGI and LM Studio; {"object": "error", "message"} of
older vLLM and SGLang; {"detail": [{"loc", "msg", "type"}]} of FastAPI servers and Mistral; [{"error": {…}}] of
Gemini; {"code": 20012, "message"} of SiliconFlow; an error inside the text of another one (OpenRouter's
`metadata.raw`, LiteLLM); plain text; a web page.
"""

import ast
import json
import re
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

from dataengine_lib.core.text import one_line

_LONGEST_BODY = 200_000  # bytes that are looked at
_MOST_DEPTH = 8
_MOST_WORDS = 6  # parts of one message: a request can have many faults
# Keys behind which words stand, the most telling first.
_WORDS = (
    "message", "msg", "error", "errors", "detail", "details", "error_message", "error_msg", "errormessage",
    "description", "error_description", "status_msg", "base_resp", "title", "raw", "metadata", "innererror",
    "inner_error", "body", "promptfeedback", "blockreasonmessage",
)  # fmt: skip
# The last one is Gemini's own, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}.
_CODES = (
    "code", "status_code", "type", "status", "error_type", "error_code", "errorcode", "reason", "blockreason",
)  # fmt: skip
_FIELDS = ("param", "parameter", "field")
# Keys of OpenRouter's errors about a request that was moderated.
_FLAGGED = {"flagged_input", "moderation"}
_PAGE = re.compile(
    r"\A\s*(?:<!doctype html|<html|<head|<\?xml[^>]{0,200}>\s*<(?:!doctype )?html)", re.IGNORECASE
)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]+)", re.IGNORECASE)


class ErrorBody(NamedTuple):
    """What a server says about a request that failed.

    `status` is the HTTP status, or that which stands in a body with status 200; 200 if none does. `words` are the
    server's own, on one line. `codes` are its error codes and types in lower case, `fields` the request's fields that it
    names apart from its words. `flagged`: the request was moderated. `is_page`: a web page came instead.
    """

    status: int
    words: str
    codes: frozenset[str] = frozenset()
    fields: tuple[str, ...] = ()
    flagged: bool = False
    is_page: bool = False

    def __str__(self) -> str:
        if self.status == 200:
            return self.words
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "error"
        return f"status {self.status}: {self.words or phrase}"


class ErrorReply(ValueError):
    """A response with status 200 that is an error, or no chat completion at all."""

    def __init__(self, body: ErrorBody) -> None:
        super().__init__(str(body))
        self.body = body


def read_error(status: int, content: bytes | str | Any) -> ErrorBody:
    """The error in a response's body, which is bytes, a text, or JSON that was read already."""
    if isinstance(content, bytes):
        content = content[:_LONGEST_BODY].decode("utf-8", "replace")
    if isinstance(content, str):
        if _PAGE.match(content):
            return _page_error(status, content)
        content = content.strip() if (value := _json_in(content)) is None else value
    found = _Found()
    found.walk(content, 0)
    if status == 200 and found.statuses:
        status = found.statuses[0]
    words = found.joined()
    # {"code": 502} says no more than its status
    if not words and content and not (found.statuses and isinstance(content, dict) and len(content) == 1):
        words = one_line(json.dumps(content, default=str))
    return ErrorBody(status, words, frozenset(found.codes), tuple(found.fields), found.flagged)


def _page_error(status: int, text: str) -> ErrorBody:
    title = _TITLE.search(text)
    # Whole, since a key in it must be found before anything is shortened.
    named = f" ({one_line(title[1])})" if title else ""
    # a gateway in front of the right server sends pages with 502, 503 and 504
    advice = ": check base_url" if status < 500 else ""
    return ErrorBody(status, f"the server answered with a web page{advice}{named}", is_page=True)


def _json_in(text: str) -> Any:
    """The object or list that a text is, or None."""
    text = text.strip()
    if text[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    return None


def _embedded(text: str) -> tuple[str, Any]:
    """The words of a text before an error inside it, and that error; (the text, None) where it holds none."""
    # LiteLLM: "MistralException - {"detail": …}"; Python: "Error code: 400 - {'error': {'message': …}}"
    # pydantic's errors in vLLM and SGLang: "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), …}]"
    start = re.search(r"\[?\{", text)
    if start is None or len(text) > _LONGEST_BODY:
        return text, None
    begin, end = start.start(), "]" if text[start.start()] == "[" else "}"
    inner = text[begin:]
    with suppress(ValueError, RecursionError):
        value, _ = json.JSONDecoder().raw_decode(inner)
        return (text[:begin], value) if value else (text, None)
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        value = ast.literal_eval(inner[: inner.rfind(end) + 1])
        return (text[:begin], value) if isinstance(value, dict | list) and value else (text, None)
    return text, None


class _Found:
    """Collects what stands in an error body, the outer parts first."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.codes: set[str] = set()
        self.fields: list[str] = []
        self.statuses: list[int] = []
        self.flagged = False

    def walk(self, value: Any, depth: int) -> None:
        if depth > _MOST_DEPTH:
            return
        if isinstance(value, str):
            self._text(value, depth)
        elif isinstance(value, list):
            for one in value[:_MOST_WORDS]:
                self.walk(one, depth + 1)
        elif isinstance(value, dict):
            self._object({str(key).lower(): one for key, one in value.items()}, depth)

    def _text(self, text: str, depth: int) -> None:
        whole = _json_in(text)
        before, inner = _embedded(text) if whole is None else ("", whole)
        if words := one_line(before).strip(" -:"):
            self.words.append(words)
        if inner is not None:
            found = len(self.words)
            self.walk(inner, depth + 1)
            if before and len(self.words) == found:
                # no error is inside: "x does not support parameters: {'seed': 0}, for model=y"
                self.words.append(one_line(text))

    def _object(self, value: dict[str, Any], depth: int) -> None:
        self.flagged |= bool(value.keys() & _FLAGGED)
        for key in _CODES:
            self._code(key, value.get(key))
        self.fields += [value[key] for key in _FIELDS if isinstance(value.get(key), str) and value[key]]
        where = value.get("loc")
        if isinstance(where, list | tuple) and isinstance(value.get("msg"), str):
            # pydantic: {"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
            names = [str(name) for name in where]
            self.fields += names
            self.words.append(f"{'.'.join(names)}: {one_line(value['msg'])}")
            return
        for key in _WORDS:
            if key in value:
                self.walk(value[key], depth + 1)

    def _code(self, key: str, value: Any) -> None:
        if isinstance(value, str) and value:
            self.codes.add(value.lower())
        elif isinstance(value, int) and not isinstance(value, bool):
            self.codes.add(str(value))
        digits = str(value)
        if key != "type" and digits.isascii() and digits.isdigit() and 400 <= int(digits[:4]) < 600:
            self.statuses.append(int(digits[:4]))

    def joined(self) -> str:
        """The parts of the message, without those that another one repeats."""
        kept: list[str] = []
        for words in self.words:
            if not any(words in other for other in kept):
                kept = [other for other in kept if other not in words] + [words]
        return "; ".join(kept[:_MOST_WORDS])
