"""One model behind an OpenAI-compatible server, asked over HTTP with bounded retries (steps 0, 1, 3 and 4)."""

import asyncio
import time
from typing import Any, NoReturn, Self, overload

import httpx2
import msgspec
import openai

from dataengine_lib.chat.completion import read_completion
from dataengine_lib.chat.endpoint import Server, key_variable, on_loopback
from dataengine_lib.chat.error_body import ErrorBody, ErrorReply
from dataengine_lib.chat.rate_control import RateControl
from dataengine_lib.chat.reply import AskFailed, MayRetry, NotOffered, Reply, TeacherStop
from dataengine_lib.chat.request_format import (
    LogprobsOf,
    RequestFormat,
    breaks_schema,
    estimated_tokens,
    is_about_logprobs,
    is_not_offered,
    may_refuse_schema,
    refuses_schema,
)
from dataengine_lib.chat.server_errors import (
    asked_wait,
    body_of,
    connection_error,
    fatal_error,
    is_declined,
    is_temporary,
    is_unreachable,
    is_without_quota,
    pause_before_retry,
)
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.text import one_line

_ATTEMPTS_TO_CONNECT = 3  # until the server has ever answered: a wrong URL should not cost a minute
_CONNECT_S = 10.0  # to open a connection


class ChatClient:
    """Asks one model; use it in an `async with` block, whose connections all requests share.

    `role` is what messages call the model ("teacher", "student"). `format` is what the server accepts and `rate_control`
    how fast it is asked; both keep what they learned when the connections are closed and opened again.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        key: str,
        settings: ChatSettings | None = None,
        role: str = "teacher",
    ) -> None:
        settings = settings or ChatSettings()
        self.server = Server.of(base_url, key)
        self.model, self.role, self.shown_url = model, role, self.server.url
        self.timeout_s, self.max_attempts = settings.timeout_s, settings.max_attempts
        self.max_output_tokens = settings.max_output_tokens
        self.format = RequestFormat(model, base_url, settings)
        self.rate_control = RateControl(settings.concurrency, settings.rpm, settings.tpm)
        self._reached = False  # whether the server has ever answered

    @property
    def where(self) -> str:
        """The model's role and server, for messages."""
        return f"{self.role} at {self.shown_url}"

    @property
    def sent(self) -> int:
        """Requests sent so far, with retries and refused ones."""
        return self.rate_control.sent

    @property
    def refused_settings(self) -> list[str]:
        """Names of the settings that the model does not accept and is asked without."""
        return self.format.refused

    async def __aenter__(self) -> Self:
        # Not the SDK's default connections, which check every idle one for each request. No proxy for a server on
        # this machine, whatever HTTP_PROXY says. Without https no certificates are loaded, which takes a while.
        server = self.server
        http = openai.DefaultAioHttpClient(
            trust_env=not on_loopback(server.url), verify=server.url.startswith("https:")
        )
        self.client = openai.AsyncOpenAI(
            base_url=server.url,
            api_key=server.key,
            default_headers=server.headers,
            default_query=server.query,
            max_retries=0,  # `complete` retries, within the rate control
            timeout=openai.Timeout(self.timeout_s, connect=min(_CONNECT_S, self.timeout_s)),
            http_client=http,
        )
        self.rate_control.reopen()
        # A new one for each `async with` block, since a lock belongs to one event loop.
        self._schema_trial = asyncio.Lock()
        return self

    def stop_sending(self) -> None:
        """Send nothing more, retries and waiting requests included; those under way go on."""
        self.rate_control.close(f"{self.where}: the run was stopped")

    async def __aexit__(self, *error: object) -> None:
        await self.client.close()

    async def complete(
        self,
        messages: list[dict[str, Any]],
        *,
        schema: dict[str, Any] | None = None,
        max_output_tokens: int | None = None,
        may_retry: MayRetry | None = None,
        logprobs_of: LogprobsOf = "",
    ) -> Reply:
        """The model's reply to `messages`, held to a strict JSON `schema` where the server can do that.

        Retries after connection errors, 408, 409, 429, 5xx and responses that are no chat completion, after a random
        pause that grows or the time of the server's Retry-After. A server that refuses the schema or a setting is
        asked at once without it; `Reply.structured` says whether the schema was used. `max_output_tokens` overrides
        the client's own limit. With `logprobs_of`, and no schema, the reply lists these tokens; a server that refuses
        so many first tokens is asked for fewer, and one that gives none of the prompt raises NotOffered. `may_retry` is
        called before the retry of an attempt that got no response at all, which may be billed.

        Raises AskFailed if this request fails, TeacherStop if every other one would fail too.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                if logprobs_of:
                    reply = await self._send(messages, None, max_output_tokens, logprobs_of)
                    structured = False
                else:
                    reply, structured = await self._with_schema(messages, schema, max_output_tokens)
                return msgspec.structs.replace(reply, attempts=attempt, structured=structured)
            except (openai.APIError, TimeoutError, ValueError) as error:
                # Servers repeat the key in error messages, and a notebook keeps tracebacks. So nothing is chained to
                # this error, and nothing is awaited in here: a cancellation would be chained to it.
                reason = self.error_text(error)
                body = self.read_error(error)
                # Neither refused with a status nor stopped before it was sent: it may be billed.
                unanswered = (body is None or body.status == 200) and not is_unreachable(error)
                self._stop_if_fatal(error, body, reason, attempt)
                if body is not None and is_declined(body):
                    raise AskFailed(reason, attempt, teacher_at_fault=False, declined=True) from None
                if not is_temporary(error) or attempt >= self.max_attempts:
                    # A server that answered others is fine: this request itself is wrong.
                    at_fault = is_temporary(error) or not self._reached
                    raise AskFailed(
                        reason, attempt, teacher_at_fault=at_fault, unanswered=unanswered
                    ) from None
                pause = pause_before_retry(error, attempt)
            if unanswered and may_retry is not None and not may_retry():
                raise AskFailed(f"{reason}; the budget allows no further attempt", attempt)
            await self.rate_control.pause(pause)

    async def _with_schema(
        self, messages: list[dict[str, Any]], schema: dict[str, Any] | None, max_output_tokens: int | None
    ) -> tuple[Reply, bool]:
        """The reply, and whether the server accepted `schema`; the first request with one finds out for all."""
        if schema is not None and self.format.takes_schema is None:
            async with self._schema_trial:
                # Checked again: the request that held the lock may have found out.
                if self.format.takes_schema is None:
                    return await self._try_schema(messages, schema, max_output_tokens)
        if schema is not None and self.format.takes_schema:
            return await self._try_schema(messages, schema, max_output_tokens)
        return await self._send(messages, None, max_output_tokens), False

    async def _try_schema(
        self, messages: list[dict[str, Any]], schema: dict[str, Any], max_output_tokens: int | None
    ) -> tuple[Reply, bool]:
        """As `_with_schema`, for a server that takes schemas or may do so: a refusal is followed by one try without."""
        first_try = self.format.takes_schema is None
        try:
            reply = await self._send(messages, schema, max_output_tokens)
            self.format.takes_schema = True
            return reply, True
        except (openai.APIStatusError, ErrorReply) as error:
            body = self.read_error(error)
            refused = refuses_schema(body)
            alone = refused or breaks_schema(body) or (first_try and may_refuse_schema(body))
            # What names the schema is no fault of the model or the URL, whatever its status: OpenRouter's is 404.
            if not alone or is_declined(body) or (not refused and fatal_error(body, self.where, self.model)):
                raise
        if refused and first_try:
            self.format.takes_schema = False
        reply = await self._send(messages, None, max_output_tokens)
        # The same request went through without the schema, so the schema was at fault.
        if first_try and not breaks_schema(body):
            self.format.takes_schema = False
        return reply, False

    async def _send(
        self,
        messages: list[dict[str, Any]],
        schema: dict[str, Any] | None,
        max_output_tokens: int | None,
        logprobs_of: LogprobsOf = "",
    ) -> Reply:
        """The server's reply; settings that it refuses are left out, now and in all later requests."""
        # The loop ends, since each refusal drops, renames or lowers a setting for good.
        while True:
            settings = {**self.format.settings, "top_logprobs": self.format.top_logprobs}
            try:
                body = self.format.body(messages, schema, max_output_tokens, logprobs_of=logprobs_of)
                return await self._post(body)
            except (openai.APIStatusError, ErrorReply) as error:
                # Another request may have learned of the refusal meanwhile: then the settings have changed already.
                if {**self.format.settings, "top_logprobs": self.format.top_logprobs} != settings:
                    continue
                read = self.read_error(error)
                if logprobs_of == "first_token" and is_about_logprobs(read):
                    if not self.format.list_fewer(read):
                        self._stop(f"{self.where}: gives no log-probabilities ({read}); set rank to generate")
                elif not self.format.leave_out(read):
                    if is_not_offered(read, logprobs_of) and not self._is_fatal(read):
                        raise NotOffered(str(read), teacher_at_fault=False) from None
                    raise

    def _is_fatal(self, error: ErrorBody) -> bool:
        """Whether the error meets every request, or is a content filter's; a call that is missing meets this kind alone."""
        if is_declined(error):
            return True
        return error.status not in (404, 405, 410) and fatal_error(error, self.where, self.model) is not None

    def _stop(self, problem: str) -> NoReturn:
        """Let no other request through, and raise TeacherStop."""
        self.rate_control.close(problem)
        raise TeacherStop(problem) from None

    async def _post(self, body: dict[str, Any]) -> Reply:
        """Send one request when its turn has come; the rate control learns how it ended."""
        rate_control = self.rate_control
        tokens = estimated_tokens(body) if rate_control.tokens.cap else 0
        entered = await rate_control.enter(tokens)
        try:
            # The SDK's timeout is for each chunk of the response, this one for the whole of it.
            async with asyncio.timeout(self.timeout_s):
                response = await self.client.post(
                    "/completions" if "prompt" in body else "/chat/completions",
                    content=msgspec.json.encode(body),
                    cast_to=httpx2.Response,
                )
            reply = read_completion(
                response.content, of_prompt=bool(body.keys() & {"echo", "prompt_logprobs"})
            )
        except openai.APIStatusError as error:
            rate_control.read_limits(error.response.headers)
            self._on_refused(error.status_code, entered, asked_wait(error))
            raise
        except ErrorReply as error:
            self._on_refused(error.body.status, entered, None)
            raise
        except (openai.APIError, TimeoutError, ValueError):
            rate_control.on_failure(entered)
            raise
        except BaseException:  # a cancelled task frees its slot too
            rate_control.on_cancelled()
            raise
        self._reached = True
        rate_control.read_limits(response.headers)
        rate_control.on_success(entered, self.timeout_s)
        now = time.monotonic()
        # The estimate counted the whole output limit; the rate limit is corrected by what was really used.
        if tokens and (used := reply.prompt_tokens + reply.completion_tokens):
            rate_control.tokens.give_back(tokens - used, now)
        # The header names the request, the body only the completion; some servers send the second one alone.
        request_id = response.headers.get("x-request-id") or reply.request_id
        # A tier that the server does not take is left out, and the full price is paid.
        tier = reply.service_tier or ("default" if "service_tier" in self.format.refused else "")
        reply = msgspec.structs.replace(
            reply, request_id=request_id, seconds=round(now - entered, 3), service_tier=tier
        )
        return self.server.masked_reply(reply)

    def _on_refused(self, status: int, entered: float, wait_s: float | None) -> None:
        """The rate control learns of a response that is an error."""
        if status == 429:
            self.rate_control.on_rate_limited(entered, wait_s)
        elif status >= 500 or status == 200:
            self.rate_control.on_failure(entered, wait_s)
        else:  # another 4xx says nothing about the load
            self.rate_control.on_cancelled()

    @overload
    def read_error(self, error: openai.APIStatusError | ErrorReply) -> ErrorBody: ...
    @overload
    def read_error(self, error: Exception) -> ErrorBody | None: ...
    def read_error(self, error: Exception) -> ErrorBody | None:
        """What the server says about a request that failed, without secrets; None where no response came."""
        body = body_of(error)
        return None if body is None else body._replace(words=self.without_secrets(body.words))

    def error_text(self, error: Exception) -> str:
        """What went wrong in one line, without secrets."""
        lost = connection_error(error)
        # Timeouts of aiohttp are TimeoutErrors too; one while connecting gets the text below.
        if isinstance(lost or error, TimeoutError) and not is_unreachable(error):
            return f"no reply within {self.timeout_s:g} s"
        if body := self.read_error(error):
            return str(body)
        text = f"{type(lost).__name__} {lost}" if lost else str(error) or type(error).__name__
        return self.without_secrets(one_line(text))

    def without_secrets(self, text: str) -> str:
        """A server's message with all secrets masked, shortened."""
        return self.server.shown(text)

    def _stop_if_fatal(self, error: Exception, body: ErrorBody | None, reason: str, attempt: int) -> None:
        """Raise TeacherStop, and let no other request through, if this error will meet every request."""
        if body is not None:
            wait = asked_wait(error)
            stop = fatal_error(body, self.where, self.model, wait, key_variable(self.server.url))
            if stop is None and is_without_quota(error):
                stop = TeacherStop(
                    f"{self.where}: allows no requests to {self.model} ({body}); name another model, or another plan"
                )
            # Instead of the first reply: the address is that of a web site.
            if stop is None and body.is_page and body.status == 200 and not self._reached:
                stop = TeacherStop(f"{self.where}: {body.words}")
            if stop is not None:
                self.rate_control.close(str(stop))
                raise stop from None
        attempts = self.max_attempts if self._reached else min(_ATTEMPTS_TO_CONNECT, self.max_attempts)
        if is_unreachable(error) and attempt >= attempts:
            problem = (
                f"{self.where}: cannot be reached ({reason}); start it or correct base_url, then run again"
            )
            self._stop(problem)
