"""The body of a chat request in the form that one server accepts, which its errors teach (steps 0, 1, 3 and 4)."""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from dataengine_lib.chat.error_body import ErrorBody
from dataengine_lib.chat.settings import ChatSettings

# Names of the output limit: OpenAI replaced the first by the second, other servers may know one of them only.
_LIMITS = ("max_tokens", "max_completion_tokens")
# Models that reject max_tokens, as OpenAI names them: matches "gpt-5-mini", "openai/gpt-12" and "o3", not "gpt-4o".
_NEW_LIMIT_MODEL = re.compile(r"(^|/)(gpt-([5-9]|\d\d)|o\d)")
# Settings that are left out for a server or model that does not accept them.
_OPTIONAL = ("temperature", "seed", "random_seed", "service_tier")
_SEED_NAMES = {"api.mistral.ai": "random_seed"}  # by host; https://docs.mistral.ai/api
_FORMAT_FIELD = "response_format"

# Statuses with which servers refuse a field: 422 of FastAPI servers, 415 and 501 of those without JSON schemas, 404 of
# OpenRouter without a provider for it, 500 where the field was unexpected; 200 for an error in the body.
_REFUSAL_STATUSES = {200, 400, 404, 415, 422, 500, 501}
_PLAIN_STATUSES = {400, 415, 422, 501}  # which may be due to the schema although they do not name it
# Error types of pydantic 2 and 1, and codes of OpenAI.
_REFUSAL_CODES = {
    "extra_forbidden", "value_error.extra", "unsupported_parameter", "unsupported_value", "unknown_parameter",
}  # fmt: skip
# Matches "Unsupported parameter: 'temperature'", "Unrecognized request argument", "Use 'max_completion_tokens' instead".
_REFUSES = re.compile(
    r"support|instead|unrecogni|unknown|permitted|allowed|unexpected|not (?:implemented|enabled)|deprecated",
    re.IGNORECASE,
)
# Fields with one value that could be sent: any complaint refuses them, "Invalid service_tier argument".
_REFUSES_VALUE = re.compile(rf"{_REFUSES.pattern}|invalid|must|should|only|cannot|not valid", re.IGNORECASE)
# Matches "max_tokens is too large: 9999. This model supports at most 4096": the value is wrong, not the field.
_WRONG_VALUE = re.compile(
    r"at most|maximum|exceed|too (?:large|high|long|big|small)|(?:greater|less|larger|smaller|higher) than|between"
    r"|context length",
    re.IGNORECASE,
)
# Matches "response_format json_schema is not supported", "Invalid schema for structured output", "grammar is too large",
# and OpenRouter's "No endpoints found that can handle the requested parameters".
_NAMES_SCHEMA = re.compile(
    r"response[ _]?format|json[ _]?(?:schema|object|mode)|schema|structured|\bgrammar|guided|requested parameters",
    re.IGNORECASE,
)
_NO_JSON = "json_validate_failed"  # Groq's code where the model's own reply breaks the schema

# Numbers of tokens to list: most of OpenAI, SGLang and llama.cpp, and less for servers that allow less.
_TOP_LOGPROBS = (20, 10, 5)
_LOGPROBS = re.compile(r"logprob", re.IGNORECASE)  # matches "top_logprobs" and "sample logprobs of 20"

LogprobsOf = Literal["", "first_token", "chat_prompt", "text_prompt"]
"""Of which tokens log-probabilities are asked for: none, the reply's first one, those of the prompt.

`chat_prompt`: the last message is the beginning of an answer, which the model continues (vLLM: `prompt_logprobs`).
`text_prompt`: text completions, whose reply repeats the prompt (`echo`). Sources: vLLM's and OpenAI's API references.
"""
_OF_PROMPT: dict[LogprobsOf, dict[str, Any]] = {
    # 0: of the prompt's own tokens alone
    "chat_prompt": {"prompt_logprobs": 0, "continue_final_message": True, "add_generation_prompt": False},
    "text_prompt": {"echo": True, "logprobs": 1},
}
# Matches "Unrecognized request argument supplied: prompt_logprobs", "Only no echo is supported", and OpenAI's "This is
# not a chat model and thus not supported in the v1/chat/completions endpoint".
_NAMES_CALL = re.compile(
    r"logprob|\becho\b|continue_final|generation_prompt|chat model\b|chat/completions", re.IGNORECASE
)

_PICTURE_TOKENS = 1000  # of one image; only limits of tokens per minute are kept with it


class RequestFormat:
    """Builds request bodies for `model`; what the server refuses is left out of all later ones.

    `settings` are the fields that go along with every request. `takes_schema` is None until the server has accepted or
    refused a JSON schema, `refused` names the settings that the model does not accept. `top_logprobs` is how many tokens
    are listed where log-probabilities are asked for.
    """

    def __init__(self, model: str, base_url: str, settings: ChatSettings) -> None:
        self.model = model
        self.takes_schema: bool | None = None
        self.refused: list[str] = []
        self.top_logprobs = _TOP_LOGPROBS[0]
        new_limit = urlsplit(base_url).hostname == "api.openai.com" or _NEW_LIMIT_MODEL.search(model)
        self.settings: dict[str, Any] = {_LIMITS[bool(new_limit)]: settings.max_output_tokens}
        if settings.temperature is not None:
            # The seed goes along only when sampling was asked for: some servers reject it.
            seed = _SEED_NAMES.get(urlsplit(base_url).hostname or "", "seed")
            self.settings |= {"temperature": settings.temperature, seed: settings.seed}
        if settings.service_tier is not None:
            self.settings["service_tier"] = settings.service_tier

    def body(
        self,
        messages: list[dict[str, Any]],
        schema: dict[str, Any] | None = None,
        max_output_tokens: int | None = None,
        *,
        logprobs_of: LogprobsOf = "",
    ) -> dict[str, Any]:
        """The request's body as JSON; `max_output_tokens` overrides the limit in the settings.

        For `text_prompt` it is that of a text completion, of a single message that is a text.
        """
        settings = dict(self.settings)
        if max_output_tokens is not None:
            settings |= {name: max_output_tokens for name in _LIMITS if name in settings}
        body = {"model": self.model, "messages": messages, **settings}
        if logprobs_of == "text_prompt":
            limit = next(settings.pop(name) for name in _LIMITS if name in settings)
            # text completions know the older name of the limit alone
            body = {"model": self.model, "prompt": messages[0]["content"], **settings, "max_tokens": limit}
        body |= _OF_PROMPT.get(logprobs_of, {})
        if logprobs_of == "first_token":
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        if schema is not None:
            named = {"name": "answer", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def leave_out(self, error: ErrorBody) -> bool:
        """Leave out the setting that an error refuses, in all later requests; False if there is none to leave out."""
        for name in list(self.settings):
            if self._refuses(error, name):
                if name not in _LIMITS:
                    del self.settings[name]
                elif (other := _LIMITS[name == _LIMITS[0]]) not in self.refused:
                    # The output limit is never dropped, only sent under its other name, and not under one that was
                    # refused.
                    self.settings[other] = self.settings.pop(name)
                else:
                    continue
                self.refused.append(name)
                return True
        return False

    def list_fewer(self, error: ErrorBody) -> bool:
        """List fewer tokens from now on, where an error says that so many are not allowed; False where it cannot help."""
        fewer = [number for number in _TOP_LOGPROBS if number < self.top_logprobs]
        refused = error.codes & _REFUSAL_CODES or (
            _REFUSES.search(error.words) and not _WRONG_VALUE.search(error.words)
        )
        if refused or not fewer:
            return False
        self.top_logprobs = fewer[0]
        return True

    def adapt(self, error: ErrorBody) -> bool:
        """Leave out the setting or the schema that an error refuses; True also where it was left out meanwhile."""
        if refuses_schema(error):
            self.takes_schema = False
            return True
        known = any(name in f"{' '.join(error.fields)} {error.words}" for name in self.refused)
        return self.leave_out(error) or known

    def _refuses(self, error: ErrorBody, name: str) -> bool:
        """Whether an error says that the server does not take the setting `name`."""
        if error.status not in _REFUSAL_STATUSES or name not in _OPTIONAL + _LIMITS:
            return False
        # Fields that the error names apart from its words are exact: its words may name others as well.
        known = [field for field in error.fields if field in (*self.settings, _FORMAT_FIELD)]
        if name not in known and (known or not _has_word(error.words, name)):
            return False
        if error.codes & _REFUSAL_CODES:
            return True
        if name in ("seed", "random_seed", "service_tier"):
            return bool(known) or _REFUSES_VALUE.search(error.words) is not None
        return _REFUSES.search(error.words) is not None and not _WRONG_VALUE.search(error.words)


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", text) is not None


def refuses_schema(error: ErrorBody) -> bool:
    """Whether an error says that the server takes no JSON schema."""
    if error.status not in _REFUSAL_STATUSES or _NO_JSON in error.codes:
        return False
    return _FORMAT_FIELD in error.fields or _NAMES_SCHEMA.search(error.words) is not None


def is_not_offered(error: ErrorBody, logprobs_of: LogprobsOf) -> bool:
    """Whether an error says that the server gives no log-probabilities of prompts by this call."""
    if logprobs_of not in _OF_PROMPT:
        return False
    if error.status in (404, 405, 410) and logprobs_of == "text_prompt":
        return True  # for chats, it would be a wrong address or a model that is not there
    named = _NAMES_CALL.search(f"{' '.join(error.fields)} {error.words}")
    return error.status in _REFUSAL_STATUSES and named is not None


def is_about_logprobs(error: ErrorBody) -> bool:
    """Whether an error is about the log-probabilities that were asked for."""
    return error.status in _REFUSAL_STATUSES and bool(
        _LOGPROBS.search(f"{' '.join(error.fields)} {error.words}")
    )


def may_refuse_schema(error: ErrorBody) -> bool:
    """Whether an error that names nothing may be due to the JSON schema."""
    return error.status in _PLAIN_STATUSES


def breaks_schema(error: ErrorBody) -> bool:
    """Whether the model wrote a reply that breaks the schema: another request may succeed with it."""
    return _NO_JSON in error.codes


def estimated_tokens(body: dict[str, Any]) -> int:
    """Tokens of a request as rate limiters count them: a quarter of its characters and its whole output limit."""
    tokens = sum(int(body.get(name, 0)) for name in _LIMITS) + len(body.get("prompt", "")) // 4
    for message in body.get("messages", []):
        content = message["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        tokens += sum(len(part["text"]) // 4 if "text" in part else _PICTURE_TOKENS for part in parts)
    return tokens
