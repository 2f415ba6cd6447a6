"""Step 3, `mode: batch`: the calls of OpenAI's Batch API, each repeated while that can do no harm.

Source of names and limits: OpenAI's guide "Batch API".
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import openai
from pydantic import BaseModel

from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.completion import read_completion
from dataengine_lib.chat.error_body import ErrorBody, ErrorReply, read_error
from dataengine_lib.chat.reply import Reply, TeacherStop
from dataengine_lib.chat.server_errors import fatal_error, is_temporary

BATCH_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
FINAL_STATUSES = ("completed", "failed", "expired", "cancelled")
_NAME_KEY = "dataengine"  # the key in a batch's metadata under which its job's name stands
_ATTEMPTS = 8  # of one call; with the pauses between them about 90 seconds
_LONGEST_PAUSE_S = 30.0
_UPLOAD_S = 600.0  # for a file of up to 200 MB
_LEFT_OUT = ErrorBody(200, "the batch left it out")


class BatchGone(TeacherStop):
    """Status 404: the server does not know this batch or file (any more), or has no Batch API at all."""


class BatchRow(msgspec.Struct, frozen=True):
    """A line of an output or error file: the request's `key`, and its reply or what was wrong.

    `found` is False for a request that stands in neither file. `answered`: the model was asked, so that it is billed
    although the line holds no reply that can be read. `cancelled`: its batch was cancelled before it was sent.
    """

    key: str
    found: bool = False
    answered: bool = False
    reply: Reply | None = None
    error: ErrorBody = _LEFT_OUT
    cancelled: bool = False


class BatchApi:
    """Batches and their files at the server that `client` asks.

    All calls raise TeacherStop when they fail for good, its subclass BatchGone for what is not there. `poll_s`, seconds
    between two looks at the server, also limits the pauses between attempts.
    """

    def __init__(self, client: ChatClient, poll_s: float) -> None:
        self.client, self.poll_s = client, poll_s

    @property
    def _api(self) -> openai.AsyncOpenAI:
        return self.client.client

    async def retrieve(self, batch_id: str) -> Any:
        """The batch with its status."""
        batch = await self._call("look at a batch", partial(self._api.batches.retrieve, batch_id))
        self._id_of(batch)
        return batch

    def faults(self, batch: Any) -> list[ErrorBody]:
        """Why the server refused the whole batch, without secrets; empty where it does not say."""
        found = batch.errors
        # OpenAI: {"object": "list", "data": [{"code", "message"}]} · SiliconFlow: ["text"]
        rows = found if isinstance(found, list) else getattr(found, "data", None) or [found]
        return [self._error_in(row) for row in rows if row]

    async def cancel(self, batch_id: str) -> None:
        """Ask the server to cancel the batch, which it does within minutes."""
        await self._call("cancel a batch", partial(self._api.batches.cancel, batch_id))

    async def find(self, name: str) -> str:
        """The id of the batch that was created with this job name, empty if there is none."""

        async def look() -> str:
            # in pages of 100, the largest that the API gives
            async for batch in self._api.batches.list(limit=100):
                if (batch.metadata or {}).get(_NAME_KEY) == name:
                    return str(batch.id)
            return ""

        found: str = await self._call("list the batches", look)
        return found

    async def upload(self, path: Path) -> str:
        """The id of the uploaded file."""
        files = self._api.with_options(timeout=_UPLOAD_S).files
        uploaded = await self._call("upload a batch", lambda: files.create(file=path, purpose="batch"))
        return self._id_of(uploaded)

    async def create(self, name: str, file_id: str) -> str:
        """The id of a new batch of an uploaded file."""
        attempt = 1
        while True:
            try:
                batch = await self._api.batches.create(
                    input_file_id=file_id,
                    endpoint=BATCH_ENDPOINT,
                    # the only window that the API offers
                    completion_window="24h",
                    metadata={_NAME_KEY: name},
                )
                return self._id_of(batch)
            except openai.APIError as error:
                if attempt == _ATTEMPTS or not is_temporary(error) or self._fatal(error):
                    raise self._stop(error) from None
            await self._pause(attempt)
            # Unlike the other calls this one must not be repeated blindly: it may have worked, with its response lost.
            if found := await self.find(name):
                return found
            attempt += 1

    async def download(self, file_id: str) -> Iterator[BatchRow]:
        """The rows of an output or error file."""
        response = await self._call("download a batch's results", partial(self._api.files.content, file_id))
        return map(self._masked, map(_read_row, response.content.splitlines()))

    def _id_of(self, made: Any) -> str:
        """The id of a file or batch in the server's response; raises TeacherStop when it has none."""
        # The SDK gives a text for what is no JSON, and objects without the fields that a server has left out.
        # SiliconFlow has it one level deeper: {"code": 20000, "data": {"id": "file-1"}}
        inner = _as_dict(getattr(made, "data", None))
        if found := getattr(made, "id", None) or inner.get("id"):
            return str(found)
        body = self._error_in(made)
        known = fatal_error(body, self.client.where, self.client.model)
        raise known or TeacherStop(
            f"{self.client.where}: {body.words or 'the response has no id'}; check that the server has a Batch API"
        )

    def _error_in(self, value: Any) -> ErrorBody:
        """The error that an object of the SDK, or a text, holds; without secrets."""
        body = read_error(200, value.model_dump(mode="json") if isinstance(value, BaseModel) else value)
        return body._replace(words=self.client.without_secrets(body.words))

    def _masked(self, row: BatchRow) -> BatchRow:
        """The row without secrets, as the client masks live replies and errors."""
        reply = row.reply and self.client.server.masked_reply(row.reply)
        error = row.error._replace(words=self.client.without_secrets(row.error.words))
        return msgspec.structs.replace(row, reply=reply, error=error)

    async def _call(self, doing: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """The result of a call that can be repeated without harm."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await call()
            except openai.APIStatusError as error:
                # a page is that of a wrong base_url, and says nothing of the batch
                if error.status_code == 404 and not self.client.read_error(error).is_page:
                    raise BatchGone(
                        f"{self.client.where}: could not {doing}, nothing is found there (404); check that the server"
                        " has a Batch API"
                    ) from None
                # a used-up quota has the status of a rate limit
                if not is_temporary(error) or self._fatal(error):
                    raise self._stop(error) from None
                reason = self.client.error_text(error)
            except openai.APIError as error:
                reason = self.client.error_text(error)
            # Outside of `except`, so that no error with a secret in it is chained to a later one.
            if attempt < _ATTEMPTS:
                await self._pause(attempt)
        raise TeacherStop(f"{self.client.where}: could not {doing} ({reason}); run again to go on")

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(min(_LONGEST_PAUSE_S, 0.5 * 2**attempt, max(self.poll_s, 0.05)))

    def _fatal(self, error: openai.APIError) -> TeacherStop | None:
        """The stop, with its remedy, if this error will meet every call; else None."""
        body = self.client.read_error(error)
        return fatal_error(body, self.client.where, self.client.model) if body else None

    def _stop(self, error: openai.APIError) -> TeacherStop:
        known = self._fatal(error)
        problem = f"{self.client.where}: {self.client.error_text(error)}"
        return known or TeacherStop(f"{problem}; correct what it names, or run again to go on")


def _read_row(line: bytes) -> BatchRow:
    """The row in a line, with an empty key if the line is not valid; values of unexpected types are ignored."""
    # {"custom_id": KEY, "response": {"status_code": 200, "body": {...}}, "error": null}; the body is a chat
    # completion, or {"error": {...}} with another status. A request that expired has no response but an
    # error.
    try:
        row = _as_dict(json.loads(line))
    except (ValueError, RecursionError):
        row = {}
    key, response, error = row.get("custom_id"), _as_dict(row.get("response")), row.get("error")
    status, body = _status(response.get("status_code")), response.get("body")
    reply, fault = None, _LEFT_OUT
    # A body without any status, and without an error beside it, is a reply too.
    answered = bool(body or not error) if status == 200 else status is None and bool(body) and not error
    if answered:
        try:
            reply = read_completion(body.encode() if isinstance(body, str) else _as_dict(body))
        except ErrorReply as found:
            fault = found.body
            # as for live requests: another status in the body is that of a refusal
            answered = fault.status == 200
    elif body or error:
        fault = read_error(200 if status is None else status, body or error)
    cancelled = _as_dict(error).get("code") == "batch_cancelled"
    return BatchRow(key if isinstance(key, str) else "", True, answered, reply, fault, cancelled)


def _status(value: Any) -> int | None:
    """An HTTP status, which some servers write as a text; None where there is none."""
    return int(value) if str(value).isascii() and str(value).isdigit() else None


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
