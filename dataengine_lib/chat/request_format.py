"""The body of a chat request in the form that one server accepts, which its errors teach (steps 0, 1, 3 and 4)."""

import re
from typing import Any
from urllib.parse import urlsplit

from dataengine_lib.chat.settings import ChatSettings

# Names of the output limit: OpenAI replaced the first by the second, other servers may know one of them only.
_LIMITS = ("max_tokens", "max_completion_tokens")
# Models that reject max_tokens, as OpenAI names them: matches "gpt-5-mini", "openai/gpt-12" and "o3", not "gpt-4o".
_NEW_LIMIT_MODEL = re.compile(r"(^|/)(gpt-([5-9]|\d\d)|o\d)")
_OPTIONAL = ("temperature", "seed")  # settings that are left out for a model that does not accept them

# Matches "Unsupported parameter: 'temperature'", "Unrecognized request argument", "Use 'max_completion_tokens' instead".
_REFUSES = re.compile(r"support|instead|unrecogni|unknown|permitted|allowed|unexpected", re.IGNORECASE)
# Matches "response_format json_schema is not supported", "Invalid schema for structured output".
_NAMES_SCHEMA = re.compile(r"response_?format|json_?schema|schema|structured", re.IGNORECASE)
_SCHEMA_STATUSES = {400, 404, 415, 422, 500, 501}  # with which servers without JSON schemas answer one

_PICTURE_TOKENS = 1000  # of one image; only limits of tokens per minute are kept with it


class RequestFormat:
    """Builds request bodies for `model`; what the server refuses is left out of all later ones.

    `settings` are the fields that go along with every request. `takes_schema` is None until the server has accepted or
    refused a JSON schema, `refused` names the settings that the model does not accept.
    """

    def __init__(self, model: str, base_url: str, settings: ChatSettings) -> None:
        self.model = model
        self.takes_schema: bool | None = None
        self.refused: list[str] = []
        new_limit = urlsplit(base_url).hostname == "api.openai.com" or _NEW_LIMIT_MODEL.search(model)
        self.settings: dict[str, Any] = {_LIMITS[bool(new_limit)]: settings.max_output_tokens}
        if settings.temperature is not None:
            # The seed goes along only when sampling was asked for: some servers reject it.
            self.settings |= {"temperature": settings.temperature, "seed": settings.seed}
        if settings.service_tier is not None:
            self.settings["service_tier"] = settings.service_tier

    def body(
        self,
        messages: list[dict[str, Any]],
        schema: dict[str, Any] | None = None,
        max_output_tokens: int | None = None,
    ) -> dict[str, Any]:
        """The request's body as JSON; `max_output_tokens` overrides the limit in the settings."""
        settings = dict(self.settings)
        if max_output_tokens is not None:
            settings |= {name: max_output_tokens for name in _LIMITS if name in settings}
        body = {"model": self.model, "messages": messages, **settings}
        if schema is not None:
            named = {"name": "answer", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def names_setting(self, message: str) -> bool:
        """Whether an error's message names a setting that could be left out."""
        return any(_has_word(message, name) for name in self.settings if name in _OPTIONAL + _LIMITS)

    def adapt(self, param: str, message: str) -> bool:
        """Leave out what an error refuses, a setting or the schema; False if there is nothing to leave out.

        `param` is the field that the error names, empty when it names none; then the message is searched.
        """
        # Before the wording is looked at: "Invalid schema for structured output" has no word of _REFUSES.
        if self.takes_schema is not False and _names_schema(f"{param} {message}"):
            self.takes_schema = False
            return True
        if not _REFUSES.search(message):  # "max_tokens is too large" does not refuse the setting itself
            return False
        # The output limit is never dropped, only sent under its other name, and not under one that was
        # refused.
        for limit, other in (_LIMITS, _LIMITS[::-1]):
            named = param == limit or (not param and _has_word(message, limit))
            if named and limit in self.settings and other not in self.refused:
                self.settings[other] = self.settings.pop(limit)
                self.refused.append(limit)
                return True
        for name in _OPTIONAL:
            named = param == name or (not param and _has_word(message, name))
            if named and self.settings.pop(name, None) is not None:
                self.refused.append(name)
                return True
        return False


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", text) is not None


def _names_schema(message: str) -> bool:
    """Whether an error's message is about the JSON schema."""
    return _NAMES_SCHEMA.search(message) is not None


def refuses_schema(status: int, message: str) -> bool:
    """Whether a response with this status and message says that the server takes no JSON schema."""
    return status in _SCHEMA_STATUSES and _names_schema(message)


def estimated_tokens(body: dict[str, Any]) -> int:
    """Tokens of a request as rate limiters count them: a quarter of its characters and its whole output limit."""
    tokens = sum(int(body.get(name, 0)) for name in _LIMITS)
    for message in body["messages"]:
        content = message["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        tokens += sum(len(part["text"]) // 4 if "text" in part else _PICTURE_TOKENS for part in parts)
    return tokens
