"""Steps 0, 1 and 3: a model behind an OpenAI-compatible server, asked over HTTP with bounded retries."""

import asyncio
import base64
import random
import re
import time
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import httpx2
import msgspec
import openai

from dataengine_lib.chat.completion import read_completion
from dataengine_lib.chat.endpoint import NO_KEY, on_loopback, shown_url
from dataengine_lib.chat.rate_control import RateControl
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply, TeacherStop
from dataengine_lib.chat.server_errors import (
    FILTER_CODES,
    connection_error,
    fatal_error,
    is_temporary,
    is_unreachable,
    retry_after,
)
from dataengine_lib.chat.settings import ChatSettings

ATTEMPTS_TO_CONNECT = 3  # as long as nobody has ever answered: a wrong URL should not cost a minute
# These reject max_tokens; servers that know only max_tokens never serve these.
_NEW_LIMIT = re.compile(r"(^|/)(gpt-([5-9]|\d\d)|o\d)")
_LIMITS = ("max_tokens", "max_completion_tokens")
_REFUSES = re.compile(r"support|instead|unrecogni|unknown|permitted|allowed|unexpected", re.IGNORECASE)
_PICTURE_TOKENS = 1000  # of a picture, for limits of tokens a minute
_MAY_GO = ("temperature", "seed")  # settings that are left out where the model does not take them

_NO_SCHEMA = {400, 404, 415, 422, 500, 501}  # of these, the errors that name it refuse the schema
_SCHEMA = re.compile(r"response_?format|json_?schema|schema|structured", re.IGNORECASE)


def _without_user(url: str) -> tuple[str, dict[str, str]]:
    """A URL without user and password, and the header that says them in place of the key (RFC 7617)."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    said = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    header = {"Authorization": f"Basic {base64.b64encode(said).decode()}"}
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), header


class ChatClient:
    """Asks one model, which messages call `who`; `async with` it: its connections are shared by all requests.

    `takes_schema` is None until the server has taken or refused a JSON schema, `refuses` names settings that the
    model does not take, `sent` counts requests, tries and refused ones included; all outlast the connections. At
    most `concurrency` requests are on their way at the same time, and `rpm` of them and `tpm` tokens go out a minute,
    see RateControl.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        key: str,
        settings: ChatSettings | None = None,
        who: str = "teacher",
    ) -> None:
        settings = settings or ChatSettings()
        self.model, self.who = model, who
        self.timeout_s, self.max_attempts = settings.timeout_s, settings.max_attempts
        self.shown_url, parts = shown_url(base_url), urlsplit(base_url)
        self.takes_schema: bool | None = None
        self.refuses: list[str] = []
        self.max_output_tokens = settings.max_output_tokens
        self.rate_control = RateControl(settings.concurrency, settings.rpm, settings.tpm)
        self._url, self._key = base_url, key
        self._secrets = [secret for secret in (key, parts.password) if secret and secret != NO_KEY]
        self._reached = False
        new_limit = parts.hostname == "api.openai.com" or _NEW_LIMIT.search(model)
        self.settings: dict[str, Any] = {_LIMITS[bool(new_limit)]: settings.max_output_tokens}
        if settings.temperature is not None:
            # The seed goes along only when sampling was asked for: some servers reject it.
            self.settings |= {"temperature": settings.temperature, "seed": settings.seed}
        if settings.service_tier is not None:
            self.settings["service_tier"] = settings.service_tier

    @property
    def sent(self) -> int:
        """Requests sent so far, tries included."""
        return self.rate_control.sent

    async def __aenter__(self) -> Self:
        # The SDK's default connections look at every idle one for each request. No proxy to this machine itself,
        # whatever HTTP_PROXY says, and without https no certificates to load.
        http = openai.DefaultAioHttpClient(
            trust_env=not on_loopback(self._url), verify=self._url.startswith("https:")
        )
        base_url, basic = _without_user(self._url)
        self.client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=self._key,
            default_headers=basic,
            max_retries=0,
            timeout=openai.Timeout(self.timeout_s, connect=min(10, self.timeout_s)),
            http_client=http,
        )
        self.rate_control.reopen()
        self._first = asyncio.Lock()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.client.close()

    def body(
        self,
        messages: list[dict[str, Any]],
        schema: dict[str, Any] | None = None,
        max_output_tokens: int | None = None,
    ) -> dict[str, Any]:
        """The request's body as this server takes it; `max_output_tokens` in place of max_output_tokens."""
        settings = dict(self.settings)
        if max_output_tokens is not None:
            settings |= {name: max_output_tokens for name in _LIMITS if name in settings}
        body = {"model": self.model, "messages": messages, **settings}
        if schema is not None:
            named = {"name": "answer", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    async def complete(
        self,
        messages: list[dict[str, Any]],
        *,
        schema: dict[str, Any] | None = None,
        max_output_tokens: int | None = None,
        may_retry: MayRetry | None = None,
    ) -> Reply:
        """The model's reply to `messages`, held to a strict JSON `schema` where the server can do that.

        Retries after connection errors, 408, 409, 429, 5xx and responses that are no chat completion, after a random
        pause that grows or the time of the server's Retry-After. A server that refuses the schema or a setting is
        asked at once without it; `Reply.structured` says whether the schema was used. `max_output_tokens` overrides
        the client's own limit. `may_retry` is called before the retry of an attempt that got no response at all, which
        may be billed.

        Raises AskFailed for this request, TeacherStop when asking on makes no sense.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                reply, structured = await self._completion(messages, schema, max_output_tokens)
                return msgspec.structs.replace(reply, attempts=attempt, structured=structured)
            except (openai.APIError, TimeoutError, ValueError) as error:
                # Never chained, and nothing is awaited in here: servers repeat the key in what they complain of,
                # and a traceback, which a notebook keeps, would show it.
                reason = self.reason(error)
                unanswered = not isinstance(error, openai.APIStatusError) and not is_unreachable(error)
                self._stop_if_hopeless(error, reason, attempt)
                if getattr(error, "code", None) in FILTER_CODES:
                    raise AskFailed(reason, attempt, teacher_at_fault=False, declined=True) from None
                if not is_temporary(error) or attempt >= self.max_attempts:
                    # One request that is at fault itself says nothing about a server that has answered others.
                    at_fault = is_temporary(error) or not self._reached
                    raise AskFailed(
                        reason, attempt, teacher_at_fault=at_fault, unanswered=unanswered
                    ) from None
                pause = self._pause(error, attempt)
            if unanswered and may_retry is not None and not may_retry():
                raise AskFailed(f"{reason}; no money is left for another try", attempt)
            await self.rate_control.pause(pause)

    async def _completion(
        self, messages: list[dict[str, Any]], schema: dict[str, Any] | None, max_output_tokens: int | None
    ) -> tuple[Reply, bool]:
        """What the server sends, and whether it took `schema`; the first request finds that out for all."""
        if schema is not None and self.takes_schema is None:
            async with self._first:
                if self.takes_schema is None:
                    return await self._structured(messages, schema, max_output_tokens)
        if schema is not None and self.takes_schema:
            return await self._structured(messages, schema, max_output_tokens)
        return await self._send(messages, None, max_output_tokens), False

    async def _structured(
        self, messages: list[dict[str, Any]], schema: dict[str, Any], max_output_tokens: int | None
    ) -> tuple[Reply, bool]:
        try:
            reply = await self._send(messages, schema, max_output_tokens)
            self.takes_schema = True
            return reply, True
        except openai.APIStatusError as error:
            says_so = error.status_code in _NO_SCHEMA and _SCHEMA.search(str(error))
            unknown = self.takes_schema is None
            if error.code in FILTER_CODES or not (says_so or (unknown and error.status_code == 400)):
                raise
        if says_so and unknown:
            self.takes_schema = False
        reply = await self._send(messages, None, max_output_tokens)
        if unknown:  # without a word about the schema, only this answer shows that it was at fault
            self.takes_schema = False
        return reply, False

    async def _send(
        self, messages: list[dict[str, Any]], schema: dict[str, Any] | None, max_output_tokens: int | None
    ) -> Reply:
        """One answer of the server; what it does not take of the settings is left out from then on."""
        while True:
            settings = dict(self.settings)
            try:
                return await self._post(self.body(messages, schema, max_output_tokens))
            except openai.BadRequestError as error:
                # Others on their way may have found it out meanwhile.
                said = str(error)
                if self.settings == settings and not (
                    self._names_setting(said) and self.do_without(error.param or "", said)
                ):
                    raise

    async def _post(self, body: dict[str, Any]) -> Reply:
        tokens = self._guess(body) if self.rate_control.tokens.cap else 0
        entered = await self.rate_control.enter(tokens)
        try:
            # The client's own time limit is per chunk; this one is for the whole reply.
            async with asyncio.timeout(self.timeout_s):
                answer = await self.client.post(
                    "/chat/completions", content=msgspec.json.encode(body), cast_to=httpx2.Response
                )
            reply = read_completion(answer.content)
        except openai.APIStatusError as error:
            self.rate_control.read_limits(error.response.headers)
            if error.status_code == 429:
                self.rate_control.on_rate_limited(entered, retry_after(error.response.headers))
            elif error.status_code >= 500:
                self.rate_control.on_failure(entered, retry_after(error.response.headers))
            else:
                self.rate_control.on_cancelled()
            raise
        except (openai.APIError, TimeoutError, ValueError):
            self.rate_control.on_failure(entered)
            raise
        except BaseException:
            self.rate_control.on_cancelled()
            raise
        self._reached = True
        self.rate_control.read_limits(answer.headers)
        self.rate_control.on_success(entered, self.timeout_s)
        now = time.monotonic()
        if tokens and (used := reply.prompt_tokens + reply.completion_tokens):
            self.rate_control.tokens.give_back(tokens - used, now)
        request_id = answer.headers.get("x-request-id") or reply.request_id
        return msgspec.structs.replace(reply, request_id=request_id, seconds=round(now - entered, 3))

    def _guess(self, body: dict[str, Any]) -> int:
        """Tokens of a request as rate limiters count them: a quarter of its characters, and all of its output limit."""
        tokens = sum(int(body.get(name, 0)) for name in _LIMITS)
        for message in body["messages"]:
            content = message["content"]
            parts = [{"text": content}] if isinstance(content, str) else content
            tokens += sum(len(part["text"]) // 4 if "text" in part else _PICTURE_TOKENS for part in parts)
        return tokens

    def _names_setting(self, said: str) -> bool:
        return any(re.search(rf"\b{name}\b", said) for name in self.settings if name in _MAY_GO + _LIMITS)

    def do_without(self, param: str, said: str) -> bool:
        """Leave out what an error refuses of the settings or the schema; whether there was something to leave out."""
        if self.takes_schema is not False and _SCHEMA.search(f"{param} {said}"):
            self.takes_schema = False
            return True
        if not _REFUSES.search(said):  # a limit that is too large for this prompt is no refusal of limits
            return False
        for limit, other in (_LIMITS, _LIMITS[::-1]):
            named = param == limit or (not param and re.search(rf"\b{limit}\b", said))
            if named and limit in self.settings and other not in self.refuses:
                self.settings[other] = self.settings.pop(limit)
                self.refuses.append(limit)
                return True
        for name in _MAY_GO:
            named = param == name or (not param and re.search(rf"\b{name}\b", said))
            if named and self.settings.pop(name, None) is not None:
                self.refuses.append(name)
                return True
        return False

    def reason(self, error: Exception) -> str:
        """What went wrong in one line, without a secret in it."""
        lost = connection_error(error)
        if isinstance(lost or error, TimeoutError) and not is_unreachable(error):
            return f"no reply within {self.timeout_s:g} s"
        text = f"{type(lost).__name__} {lost}" if lost else str(error) or type(error).__name__
        return self.shown(" ".join(text.split()))

    def shown(self, text: str) -> str:
        """A server's words, shortened and without a secret in them."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:200]

    def _stop_if_hopeless(self, error: Exception, reason: str, attempt: int) -> None:
        where = f"{self.who} at {self.shown_url}"
        if stop := fatal_error(error, where, self.model):
            self.rate_control.close(str(stop))
            raise stop from None
        tries = self.max_attempts if self._reached else min(ATTEMPTS_TO_CONNECT, self.max_attempts)
        if is_unreachable(error) and attempt >= tries:
            says = f"{where}: cannot be reached ({reason}); start it or mend base_url, then run again"
            self.rate_control.close(says)
            raise TeacherStop(says) from None

    def _pause(self, error: Exception, attempt: int) -> float:
        jitter = random.uniform(0.5, 1.0)
        asked = retry_after(error.response.headers) if isinstance(error, openai.APIStatusError) else None
        if asked is not None:
            return asked + jitter * min(asked, 1.0)
        return jitter * min(30.0, 0.5 * 2 ** (attempt - 1))
