"""Steps 0, 1 and 3: a model behind an OpenAI-compatible server, asked over HTTP with bounded retries."""

import asyncio
import email.utils
import random
import re
import time
from math import nan
from typing import Any, Self
from urllib.parse import urlsplit

import openai

from dataengine_lib.errors import ParameterError
from dataengine_lib.models.teacher import NO_KEY, AskFailed, Reply, TeacherStop

LONGEST_WAIT = 120.0  # seconds of Retry-After that are waited for; a server asking for more is asked later
ATTEMPTS_TO_CONNECT = 3  # as long as nobody has ever answered: a wrong URL should not cost a minute
_STOP_CODES = {"insufficient_quota", "billing_hard_limit_reached", "account_deactivated"}
# These reject max_tokens; servers that know only max_tokens never serve these.
_NEW_LIMIT = re.compile(r"(^|/)(gpt-([5-9]|\d\d)|o\d)")

_NO_SCHEMA = {400, 404, 415, 422, 500, 501}  # of these, the errors that name it refuse the schema
_FILTERED = {"content_filter", "content_policy_violation"}  # as Azure and OpenAI say it of one request
_LONGEST_SENSIBLE = 30 * 24 * 3600.0  # seconds; a Retry-After beyond is a fault of the server's clock
_TEXT_PARTS = ("text", "output_text")
_SCHEMA = re.compile(r"response_?format|json_?schema|schema|structured", re.IGNORECASE)


class ChatClient:
    """Asks one model, which messages call `who`; `async with` it: its connections are shared by all requests.

    `takes_schema` is None until the server has taken or refused a JSON schema, `sent` counts requests, tries and
    refused ones included; both outlast the connections.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        key: str,
        temperature: float | None = None,
        max_output_tokens: int = 600,
        timeout_s: float = 60,
        max_attempts: int = 6,
        seed: int = 0,
        who: str = "teacher",
    ) -> None:
        self.model, self.timeout_s, self.max_attempts, self.who = model, timeout_s, max_attempts, who
        parts = urlsplit(base_url)
        # What messages and files may show: a URL can carry a password.
        try:
            port = f":{parts.port}" if parts.port else ""
        except ValueError:  # whose message shows what stands behind the colon, which may be that password
            raise ParameterError("base_url: its port is no number up to 65535; mend it") from None
        self.shown_url = f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
        self.takes_schema: bool | None = None
        self.sent = 0
        self._url, self._key = base_url, key
        self._secrets = [secret for secret in (key, parts.password) if secret and secret != NO_KEY]
        self._reached = False
        new_limit = parts.hostname == "api.openai.com" or _NEW_LIMIT.search(model)
        self.settings: dict[str, Any] = {
            "max_completion_tokens" if new_limit else "max_tokens": max_output_tokens
        }
        if temperature is not None:
            # The seed goes along only when sampling was asked for: some servers reject it.
            self.settings |= {"temperature": temperature, "seed": seed}

    async def __aenter__(self) -> Self:
        parts = urlsplit(self._url)
        loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
        # No proxy to this machine itself, whatever HTTP_PROXY says.
        http = (
            openai.DefaultAsyncHttpxClient(trust_env=False, verify=parts.scheme == "https")
            if loopback
            else None
        )
        self._client = openai.AsyncOpenAI(
            base_url=self._url,
            api_key=self._key,
            max_retries=0,
            timeout=openai.Timeout(self.timeout_s, connect=min(10, self.timeout_s)),
            http_client=http,
        )
        self._first = asyncio.Lock()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.close()

    async def complete(
        self, messages: list[dict[str, Any]], *, schema: dict[str, Any] | None = None
    ) -> Reply:
        """The model's reply to `messages`, held to a strict JSON `schema` where the server can do that.

        Tries again, with growing random pauses or the server's own Retry-After, after connection errors, 408,
        409, 429, 5xx and replies that are no chat completion. A server that refuses the schema is asked again at
        once without; `Reply.structured` says how it was. Raises AskFailed for this request, TeacherStop when
        asking on makes no sense.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                completion, structured = await self._completion(messages, schema)
                return self._reply(completion, attempt, structured)
            except (openai.APIError, TimeoutError, ValueError) as error:
                # Never chained, and nothing is awaited in here: servers repeat the key in what they complain of,
                # and a traceback, which a notebook keeps, would show it.
                reason = self._reason(error)
                self._stop_if_hopeless(error, reason, attempt)
                if getattr(error, "code", None) in _FILTERED:
                    raise AskFailed(reason, attempt, teacher_at_fault=False, declined=True) from None
                if not _passing(error) or attempt >= self.max_attempts:
                    raise AskFailed(reason, attempt) from None
                pause = self._pause(error, attempt)
            await asyncio.sleep(pause)

    async def _completion(
        self, messages: list[dict[str, Any]], schema: dict[str, Any] | None
    ) -> tuple[Any, bool]:
        """What the server sends, and whether it took `schema`; the first request finds that out for all."""
        if schema is not None and self.takes_schema is None:
            async with self._first:
                if self.takes_schema is None:
                    return await self._structured(messages, schema)
        if schema is not None and self.takes_schema:
            return await self._structured(messages, schema)
        return await self._send(messages, {}), False

    async def _structured(self, messages: list[dict[str, Any]], schema: dict[str, Any]) -> tuple[Any, bool]:
        named = {"name": "answer", "strict": True, "schema": schema}
        try:
            completion = await self._send(
                messages, {"response_format": {"type": "json_schema", "json_schema": named}}
            )
            self.takes_schema = True
            return completion, True
        except openai.APIStatusError as error:
            says_so = error.status_code in _NO_SCHEMA and _SCHEMA.search(str(error))
            unknown = self.takes_schema is None
            if error.code in _FILTERED or not (says_so or (unknown and error.status_code == 400)):
                raise
        if says_so and unknown:
            self.takes_schema = False
        completion = await self._send(messages, {})
        if unknown:  # without a word about the schema, only this answer shows that it was at fault
            self.takes_schema = False
        return completion, False

    async def _send(self, messages: list[dict[str, Any]], more: dict[str, Any]) -> Any:
        self.sent += 1
        # The client's own time limit is per chunk; this one is for the whole reply.
        async with asyncio.timeout(self.timeout_s):
            return await self._client.chat.completions.create(
                model=self.model,
                messages=messages,  # type: ignore[arg-type]
                **self.settings,
                **more,
            )

    def _reply(self, completion: Any, attempts: int, structured: bool) -> Reply:
        self._reached = True
        choices = getattr(completion, "choices", None)
        first = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(first, "message", None)
        if message is None:
            raise ValueError(f"the reply is no chat completion: {completion}")
        # What was paid for is kept, however loosely a server takes the format: the client checks no types.
        usage = getattr(completion, "usage", None)
        details = getattr(usage, "prompt_tokens_details", None)
        refusal = _text(getattr(message, "refusal", None))
        finish = _text(getattr(first, "finish_reason", None)) or "stop"
        return Reply(
            text=refusal or _text(getattr(message, "content", None)),
            finish_reason="refusal" if refusal else finish,
            model=_text(getattr(completion, "model", None)),
            prompt_tokens=_count(getattr(usage, "prompt_tokens", None)),
            cached_tokens=_count(getattr(details, "cached_tokens", None)),
            completion_tokens=_count(getattr(usage, "completion_tokens", None)),
            request_id=completion._request_id or _text(getattr(completion, "id", None)),
            attempts=attempts,
            structured=structured,
        )

    def _reason(self, error: Exception) -> str:
        if isinstance(error, openai.APITimeoutError | TimeoutError):
            return f"no reply within {self.timeout_s:g} s"
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, openai.APIConnectionError) and error.__cause__:
            text = " ".join(f"{type(error.__cause__).__name__} {error.__cause__}".split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:200]

    def _stop_if_hopeless(self, error: Exception, reason: str, attempt: int) -> None:
        where = f"{self.who} at {self.shown_url}"
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            if status in (402,) or {error.code, error.type} & _STOP_CODES:
                raise TeacherStop(
                    f"{where}: quota used up or billing stopped ({status}); top up, then run again"
                ) from None
            if status == 401:
                raise TeacherStop(f"{where}: the key was refused (401); set a valid OPENAI_API_KEY") from None
            if status == 403:
                raise TeacherStop(
                    f"{where}: this key may not use {self.model} (403); ask for access or name another model"
                ) from None
            if status == 404:
                raise TeacherStop(
                    f"{where}: model {self.model!r} is not served there (404);"
                    " check the URL and the model's name (it may be retired)"
                ) from None
            if (_retry_after(error) or 0) > LONGEST_WAIT:
                raise TeacherStop(
                    f"{where}: asks to wait {_retry_after(error):.0f} s; run again after that"
                ) from None
            return
        tries = self.max_attempts if self._reached else min(ATTEMPTS_TO_CONNECT, self.max_attempts)
        # By name, because the client raises these from whichever HTTP library it was built on.
        if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout") and attempt >= tries:
            raise TeacherStop(
                f"{where}: cannot be reached ({reason}); start it or mend base_url, then run again"
            ) from None

    def _pause(self, error: Exception, attempt: int) -> float:
        jitter = random.uniform(0.5, 1.0)
        asked = _retry_after(error) if isinstance(error, openai.APIStatusError) else None
        if asked is not None:
            return asked + jitter * min(asked, 1.0)
        return jitter * min(30.0, 0.5 * 2 ** (attempt - 1))


def _passing(error: Exception) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 429) or error.status_code >= 500
    return not isinstance(error, openai.APIError) or isinstance(
        error, openai.APIConnectionError | openai.APIResponseValidationError
    )


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds that the server asks to wait (RFC 9110: a number or a date), None when it does not say."""
    value = error.response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = email.utils.parsedate_tz(value)
            seconds = email.utils.mktime_tz(date) - time.time() if date else nan
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if seconds < _LONGEST_SENSIBLE else None


def _text(value: Any) -> str:
    """A text as UTF-8 can hold it; of a list of parts, those that are text, without reasoning and the like."""
    if isinstance(value, list):
        parts = [part for part in value if isinstance(part, dict) and part.get("type") in _TEXT_PARTS]
        value = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    # a surrogate alone is half a character, which no file and no later request can hold
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _count(value: Any) -> int:
    """A number of tokens, 0 for what is none."""
    try:
        return max(0, int(float(value)))
    except (TypeError, ValueError, OverflowError):
        return 0
