"""Steps 0, 1 and 3: a model behind an OpenAI-compatible server, asked over HTTP with bounded retries."""

import asyncio
import email.utils
import random
import re
import time
from typing import Any, Self
from urllib.parse import urlsplit

import openai

from dataengine_lib.models.teacher import NO_KEY, AskFailed, Reply, TeacherStop

LONGEST_WAIT = 120.0  # seconds of Retry-After that are waited for; a server asking for more is asked later
ATTEMPTS_TO_CONNECT = 3  # as long as nobody has ever answered: a wrong URL should not cost a minute
_STOP_CODES = {"insufficient_quota", "billing_hard_limit_reached", "account_deactivated"}
# These reject max_tokens; servers that know only max_tokens never serve these.
_NEW_LIMIT = re.compile(r"(^|/)(gpt-([5-9]|\d\d)|o\d)")

_NO_SCHEMA = {400, 404, 415, 422, 500, 501}  # of these, the errors that name it refuse the schema
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
        port = f":{parts.port}" if parts.port else ""
        self.shown_url = f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
        self.takes_schema: bool | None = None
        self.sent = 0
        self._url, self._key = base_url, key
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
                reason = self._reason(error)
                self._stop_if_hopeless(error, reason, attempt)
                if not _passing(error) or attempt >= self.max_attempts:
                    raise AskFailed(reason, attempt) from error
                await asyncio.sleep(self._pause(error, attempt))

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
        except openai.APIStatusError as error:
            says_so = error.status_code in _NO_SCHEMA and _SCHEMA.search(str(error))
            unknown = self.takes_schema is None
            if not says_so and not (unknown and error.status_code == 400):
                raise
            if says_so and unknown:
                self.takes_schema = False
            completion = await self._send(messages, {})
            if unknown:  # without a word about the schema, only this answer shows that it was at fault
                self.takes_schema = False
            return completion, False
        self.takes_schema = True
        return completion, True

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
        if not choices or choices[0].message is None:
            raise ValueError(f"the reply is no chat completion: {str(completion)[:120]}")
        message, usage = choices[0].message, completion.usage
        details = usage and getattr(usage, "prompt_tokens_details", None)
        refusal = getattr(message, "refusal", None)
        return Reply(
            text=refusal or message.content or "",
            finish_reason="refusal" if refusal else choices[0].finish_reason or "stop",
            model=completion.model or "",
            prompt_tokens=(usage and usage.prompt_tokens) or 0,
            cached_tokens=(details and details.cached_tokens) or 0,
            completion_tokens=(usage and usage.completion_tokens) or 0,
            request_id=completion._request_id or completion.id or "",
            attempts=attempts,
            structured=structured,
        )

    def _reason(self, error: Exception) -> str:
        if isinstance(error, openai.APITimeoutError | TimeoutError):
            return f"no reply within {self.timeout_s:g} s"
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, openai.APIConnectionError) and error.__cause__:
            text = " ".join(f"{type(error.__cause__).__name__} {error.__cause__}".split())
        return text.replace(self._key, "***")[:200] if self._key != NO_KEY else text[:200]

    def _stop_if_hopeless(self, error: Exception, reason: str, attempt: int) -> None:
        where = f"{self.who} at {self.shown_url}"
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            if status in (402,) or {error.code, error.type} & _STOP_CODES:
                raise TeacherStop(
                    f"{where}: quota used up or billing stopped ({status}); top up, then run again"
                ) from error
            if status == 401:
                raise TeacherStop(
                    f"{where}: the key was refused (401); set a valid OPENAI_API_KEY"
                ) from error
            if status == 403:
                raise TeacherStop(
                    f"{where}: this key may not use {self.model} (403); ask for access or name another model"
                ) from error
            if status == 404:
                raise TeacherStop(
                    f"{where}: model {self.model!r} is not served there (404);"
                    " check the URL and the model's name (it may be retired)"
                ) from error
            if (_retry_after(error) or 0) > LONGEST_WAIT:
                raise TeacherStop(
                    f"{where}: asks to wait {_retry_after(error):.0f} s; run again after that"
                ) from error
            return
        tries = self.max_attempts if self._reached else min(ATTEMPTS_TO_CONNECT, self.max_attempts)
        # By name, because the client raises these from whichever HTTP library it was built on.
        if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout") and attempt >= tries:
            raise TeacherStop(
                f"{where}: cannot be reached ({reason}); start it or mend base_url, then run again"
            ) from error

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
    value = error.response.headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        date = email.utils.parsedate_tz(value)
        return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None
