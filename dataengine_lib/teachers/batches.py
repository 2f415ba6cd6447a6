"""Step 3, `mode: batch`: queries in files to OpenAI's Batch API, at half the price, within a day.

A run may end between any two calls: the next one finds its batches at the server and goes on.
Source of names and limits: OpenAI's guide "Batch API".
"""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import openai

from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.completion import read_completion
from dataengine_lib.chat.paid_reply import ledger_row
from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop
from dataengine_lib.chat.server_errors import fatal_error, is_temporary, is_temporary_status
from dataengine_lib.core.records import Query
from dataengine_lib.teachers.batch_state import BatchState, Job
from dataengine_lib.teachers.openai_teacher import OpenAITeacher
from dataengine_lib.teachers.reply_files import MORE_ROOM, ReplyFiles

MOST_LINES, MOST_BYTES = 50_000, 200_000_000
_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_MARK = "dataengine"  # the metadata's key by which a batch is known again
_OVER = ("completed", "failed", "expired", "cancelled")
_FULL = "token_limit_exceeded"  # too much is under way; there will be room when that is done
_CALL_TRIES = 8  # of a call that may be repeated without harm; two minutes
_UPLOAD_S = 600.0


class _Gone(Exception):
    """The server does not know this batch or file."""


class BatchRunner:
    """Sends queries in batches and hands every reply to `keep(query, reply, room)`.

    `by_key` holds this run's queries by request key; replies to others are kept in the ledger alone. `poll_s` are
    seconds between two looks at the server.
    """

    def __init__(
        self,
        teacher: OpenAITeacher,
        state: BatchState,
        by_key: dict[str, Query],
        keep: Callable[[Query, Reply, int], None],
        files: ReplyFiles,
        budget: Budget,
        poll_s: float = 60.0,
        most_lines: int = MOST_LINES,
    ) -> None:
        self.teacher, self.state, self.by_key, self.keep = teacher, state, by_key, keep
        self.files, self.budget, self.poll_s = files, budget, poll_s
        self.most_lines = min(most_lines, MOST_LINES)
        self.progress: Callable[[str], None] = lambda says: None
        self._cancelling = False
        # for which there is no money as long as others are under way
        self._unasked: list[tuple[Query, int]] = []

    async def run(self, wanted: list[tuple[Query, int]]) -> None:
        """Submit `wanted` queries with their room, as far as the budget goes; wait until all is collected.

        Raises TeacherStop when the server refuses to go on.
        """
        for job in self.state.jobs:
            for key in job.keys:
                if key in self.by_key:
                    self.budget.hold(self.by_key[key], job.room)
        self._submit_later(wanted)
        while self.state.jobs:
            for job in list(self.state.jobs):
                await self._submit(job)
            for job in list(self.state.jobs):
                await self._look(job)
            if self._unasked:
                self._submit_later([])
            if self.state.jobs:
                await asyncio.sleep(self.poll_s)

    async def cancel(self) -> int:
        """Cancel every batch under way and return how many there were; `run([])` then collects what was done."""
        self._cancelling = True
        cancelled = 0
        for job in list(self.state.jobs):
            try:
                await self._find(job)
                if not job.batch_id:
                    self.state.jobs.remove(job)
                    continue
                batch = await self._call("look at", partial(self._api.batches.retrieve, job.batch_id))
                if batch.status not in _OVER:
                    await self._call("cancel", partial(self._api.batches.cancel, job.batch_id))
                    cancelled += 1
            except _Gone:
                self.state.jobs.remove(job)
            except TeacherStop as stop:
                # It may have ended a moment before; the others are to be cancelled too.
                self.progress(str(stop))
        self.state.save()
        return cancelled

    @property
    def _api(self) -> openai.AsyncOpenAI:
        return self.teacher.client

    def _submit_later(self, wanted: list[tuple[Query, int]]) -> None:
        """Write down jobs of at most `most_lines` queries; sizes in bytes are seen when they are sent."""
        rooms: dict[int, list[str]] = {}
        wanted = [] if self._cancelling else [*wanted, *self._unasked]
        self._unasked, self.budget.stopped = [], ""
        for place, (query, room) in enumerate(wanted):
            if not self.budget.reserve(query, room):
                self._unasked = wanted[place:]
                break
            rooms.setdefault(room, []).append(self.files.keys[query.query_id])
        for room, keys in rooms.items():
            for begin in range(0, len(keys), self.most_lines):
                self.state.add(keys[begin : begin + self.most_lines], room, self.files.teacher)
        self.state.save()

    async def _look(self, job: Job) -> None:
        """Where the job stands; what is over is collected."""
        if not job.batch_id:
            return
        try:
            batch = await self._call("look at", partial(self._api.batches.retrieve, job.batch_id))
            counts = batch.request_counts
            self.progress(f"{batch.status} {counts.completed if counts else 0}/{len(job.keys)}")
            if batch.status == "failed":
                self._failed(job, batch)
            elif batch.status in _OVER:
                await self._collect(job, batch)
        except _Gone:
            raise TeacherStop(
                f"{self._where}: does not know batch {job.batch_id}, or its files, any more;"
                " dataengine cancel-batches forgets it"
            ) from None

    async def _find(self, job: Job) -> None:
        """A batch that was made just before a run ended: its id was never written down."""
        if not job.file_id or job.batch_id:
            return

        async def look() -> str:
            async for batch in self._api.batches.list(limit=100):
                if (batch.metadata or {}).get(_MARK) == job.name:
                    return str(batch.id)
            return ""

        job.batch_id = await self._call("list the batches of", look)
        if job.batch_id:
            self.state.save()

    async def _submit(self, job: Job) -> None:
        """See to it that the job is under way, unless it has to wait for others."""
        await self._find(job)
        if job.batch_id or (job.waits and any(other.batch_id for other in self.state.jobs)):
            return
        if not job.file_id:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{job.name}.jsonl"
                await asyncio.to_thread(self._write, path, job)
                if not job.keys:  # all of them are given up
                    return
                uploaded = await self._call("upload to", lambda: self._upload(path))
            job.file_id = uploaded.id
            self.state.save()
        for attempt in range(1, _CALL_TRIES + 1):
            try:
                batch = await self._api.batches.create(
                    input_file_id=job.file_id,
                    endpoint=_ENDPOINT,
                    completion_window="24h",
                    metadata={_MARK: job.name},
                )
            except openai.APIError as error:
                if attempt == _CALL_TRIES or not is_temporary(error):
                    raise self._stop(error) from None
            else:
                job.batch_id = batch.id
                self.state.save()
                return
            await self._pause(attempt)
            await self._find(job)  # before another one is made: only the answer may have been lost
            if job.batch_id:
                return

    def _upload(self, path: Path) -> Awaitable[Any]:
        return self._api.with_options(timeout=_UPLOAD_S).files.create(file=path, purpose="batch")

    def _write(self, path: Path, job: Job) -> None:
        """The job's file; what does not fit into its bytes becomes a job of its own."""
        size, done = 0, list[str]()
        with path.open("wb") as stream:
            for place, key in enumerate(job.keys):
                query = self.by_key.get(key)
                if query is None:  # it was never sent, and is not asked any more
                    continue
                try:
                    body = self.teacher.query_body(query, job.room)
                except AskFailed as failure:
                    self._give_up(query, str(failure))
                    continue
                row = {"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": body}
                line = msgspec.json.encode(row) + b"\n"
                if size + len(line) > MOST_BYTES and done:
                    self.state.add(job.keys[place:], job.room, job.teacher)
                    break
                size += stream.write(line)
                done.append(key)
        job.keys = done
        if not done:
            self.state.jobs.remove(job)
        self.state.save()

    def _failed(self, job: Job, batch: Any) -> None:
        errors = (batch.errors.data or []) if batch.errors else []
        others = any(other.batch_id for other in self.state.jobs if other is not job)
        if any(error.code == _FULL for error in errors) and (others or not job.waits):
            self.state.rename(job)
            job.waits = True
            return self.state.save()
        self.state.jobs.remove(job)
        self.state.save()
        said = self.teacher.shown("; ".join(str(error.message) for error in errors)) or "no reason given"
        raise TeacherStop(
            f"{self._where}: refused batch {batch.id} ({said}); mend that, or lower batch_requests, and run again"
        )

    async def _collect(self, job: Job, batch: Any) -> None:
        """Keep what came, and write down a new job of what has to be sent again."""
        left = dict.fromkeys(job.keys)
        again: list[tuple[Query, int]] = []
        # Twice where rows are missing: a file may have come cut short, and its rows were paid for.
        for file_id in (batch.output_file_id, batch.error_file_id) * 2:
            if not file_id or not left:
                continue
            answer = await self._call("download from", partial(self._api.files.content, file_id))
            for line in answer.content.splitlines():
                row = _row(line)
                key = row.get("custom_id")
                if isinstance(key, str) and key in left:
                    del left[key]
                    self._line(key, row, job, again)
        for key in left:  # in neither file
            self._line(key, {}, job, again)
        self.state.jobs.remove(job)
        self._submit_later(again)

    def _line(self, key: str, row: dict[str, Any], job: Job, again: list[tuple[Query, int]]) -> None:
        """Keep a line's reply, or see why there is none and whether it is to be sent again."""
        query = self.by_key.get(key)
        response, error = _object(row.get("response")), _object(row.get("error"))
        body, status = _object(response.get("body")), response.get("status_code")
        try:
            reply = read_completion(body) if status == 200 else None
        except ValueError as fault:
            reply, error = None, {"message": str(fault)}
        # A row that was answered, or may have been, is paid for whether its line can be read or not.
        answered = status == 200 if row else not self._cancelling
        untold = answered and not (reply and reply.has_token_counts)
        if query is not None and (lost := self.budget.settle(query, untold)):
            self.files.ledger.lost(key, lost)
        if reply is not None:
            request_id = reply.request_id or f"{job.batch_id} {key[:16]}"
            structured = self.teacher.json_replies and self.teacher.takes_schema is not False
            reply = msgspec.structs.replace(reply, request_id=request_id, structured=structured)
            self._keep(key, query, reply, job)
            more = self.teacher.max_output_tokens * MORE_ROOM
            if query is not None and reply.finish_reason == "length" and job.room < more:
                again.append((query, more))
            return
        if query is None or error.get("code") == "batch_cancelled":
            return
        said = _object(body.get("error")) or error or {"message": "the batch left it out"}
        message = self.teacher.shown(" ".join(f"{status or ''} {said.get('message') or said}".split()))
        passing = not isinstance(status, int) or status == 200 or is_temporary_status(status)
        mended = not passing and self._do_without(str(said.get("param") or ""), message)
        tries = self.state.tries[key] = self.state.tries.get(key, 0) + 1
        if (passing or mended) and tries < self.teacher.max_attempts:
            again.append((query, job.room))
        elif not self._cancelling:
            self._give_up(query, message)

    def _keep(self, key: str, query: Query | None, reply: Reply, job: Job) -> None:
        self.state.tries.pop(key, None)
        before = self.files.ledger.paid.get(key)
        if before is not None and before.request_id == reply.request_id:
            return  # kept before a run ended
        if query is not None:
            self.keep(query, reply, job.room)
            return
        # asked with other parameters, and paid for all the same
        self.files.paid(ledger_row(key, reply, job.teacher, job.room, "batch"))

    def _do_without(self, param: str, said: str) -> bool:
        """Whether the row will go through without what is refused, found out by it or by one before it."""
        known = any(name in f"{param} {said}" for name in self.teacher.refuses)
        return self.teacher.do_without(param, said) or known or self.teacher.takes_schema is False

    def _give_up(self, query: Query, reason: str) -> None:
        self.state.tries.pop(self.files.keys[query.query_id], None)
        self.budget.settle(query)
        self.files.give_up(query, reason)

    @property
    def _where(self) -> str:
        return f"{self.teacher.who} at {self.teacher.shown_url}"

    async def _call(self, doing: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """A call that may be repeated without harm."""
        for attempt in range(1, _CALL_TRIES + 1):
            try:
                return await call()
            except openai.APIStatusError as error:
                if error.status_code == 404:
                    raise _Gone from None
                if not is_temporary_status(error.status_code):
                    raise self._stop(error) from None
                reason = self.teacher.reason(error)
            except openai.APIError as error:
                reason = self.teacher.reason(error)
            if attempt < _CALL_TRIES:
                await self._pause(attempt)
        raise TeacherStop(f"{self._where}: could not {doing} it ({reason}); run again to go on")

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(min(30.0, 0.5 * 2**attempt, max(self.poll_s, 0.05)))

    def _stop(self, error: openai.APIError) -> TeacherStop:
        reason = self.teacher.reason(error)
        known = fatal_error(error, self._where, self.teacher.model)
        return known or TeacherStop(f"{self._where}: {reason}; run again to go on, or mend what it says")


def _row(line: bytes) -> dict[str, Any]:
    """A line of a batch's file, empty where it is none."""
    try:
        return _object(json.loads(line))
    except (ValueError, RecursionError):
        return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
