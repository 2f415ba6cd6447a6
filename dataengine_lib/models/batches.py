"""Step 3, `mode: batch`: queries in files to OpenAI's Batch API, at half the price, within a day.

What was submitted is written down before and after each call, so that a run may end between any two of them: the next
one finds its batches at the server and goes on. Source of names and limits: OpenAI's guide "Batch API".
"""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import openai

from dataengine_lib.data.files import read_json, write_json
from dataengine_lib.data.records import Query
from dataengine_lib.models.completion import read_completion
from dataengine_lib.models.openai_teacher import OpenAITeacher
from dataengine_lib.models.server_errors import stop_for
from dataengine_lib.models.teacher import AskFailed, Reply, TeacherStop

STATE = "gptvqa_batches.json"
MOST_LINES, MOST_BYTES = 50_000, 200_000_000
_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_MARK = "dataengine"  # the metadata's key by which a batch is known again
_OVER = ("completed", "failed", "expired", "cancelled")
_CALL_TRIES = 6  # of a call that may be repeated without harm
_UPLOAD_S = 600.0


class Job(msgspec.Struct):
    """One file of requests: `name` is known to the server too, as metadata; empty ids are not known yet."""

    name: str
    query_ids: list[str]
    room: int
    file_id: str = ""
    batch_id: str = ""


class BatchState(msgspec.Struct):
    """`gptvqa_batches.json`: jobs on their way, and how often each query was sent without an answer of use."""

    jobs: list[Job] = []
    tries: dict[str, int] = {}
    number: int = 0  # of jobs made so far


Keep = Callable[[Query, Reply, int], None]
GiveUp = Callable[[Query, str], None]


class BatchRunner:
    """Sends queries in batches and hands every reply to `keep(query, reply, room)`.

    `give_up(query, reason)` is called for those that will get none, `request_id_of` says what is kept already of a
    query, `poll_s` are seconds between two looks at the server.
    """

    def __init__(
        self,
        teacher: OpenAITeacher,
        output: Path,
        keys: dict[str, str],
        keep: Keep,
        give_up: GiveUp,
        request_id_of: Callable[[str], str],
        poll_s: float = 60.0,
        most_lines: int = MOST_LINES,
    ) -> None:
        self.teacher, self.keys, self.keep, self.give_up = teacher, keys, keep, give_up
        self.request_id_of, self.poll_s = request_id_of, poll_s
        self.most_lines = min(most_lines, MOST_LINES)
        self.file = output.with_name(STATE)
        self.state: BatchState = read_json(self.file, BatchState) if self.file.exists() else BatchState()
        self.progress: Callable[[str], None] = lambda says: None

    @property
    def under_way(self) -> set[str]:
        """Ids of the queries that were submitted and not collected."""
        return {query_id for job in self.state.jobs for query_id in job.query_ids}

    async def run(self, queries: list[Query], wanted: list[tuple[Query, int]]) -> None:
        """Submit `wanted` queries with their room, then wait until all that is under way is collected.

        `queries` are all that a job may hold. Raises TeacherStop when the server refuses to go on.
        """
        by_id = {query.query_id: query for query in queries}
        self._submit_later(wanted)
        while self.state.jobs:
            for job in list(self.state.jobs):
                await self._advance(job, by_id)
            if self.state.jobs:
                await asyncio.sleep(self.poll_s)

    async def cancel(self) -> int:
        """Cancel every batch under way and return how many there were; `run` then collects what was done."""
        for job in list(self.state.jobs):
            await self._find(job)
            if job.batch_id:
                await self._call("cancel", partial(self._api.batches.cancel, job.batch_id))
            else:
                self.state.jobs.remove(job)
        self._save()
        return len(self.state.jobs)

    @property
    def _api(self) -> openai.AsyncOpenAI:
        return self.teacher.client

    def _save(self) -> None:
        write_json(self.file, self.state)

    def _submit_later(self, wanted: Iterable[tuple[Query, int]]) -> None:
        """Write down jobs of at most `most_lines` queries; sizes in bytes are seen when they are sent."""
        rooms: dict[int, list[str]] = {}
        for query, room in wanted:
            rooms.setdefault(room, []).append(query.query_id)
        for room, ids in rooms.items():
            for begin in range(0, len(ids), self.most_lines):
                self._new_job(ids[begin : begin + self.most_lines], room)
        self._save()

    def _new_job(self, ids: list[str], room: int) -> None:
        self.state.number += 1
        content = f"{self.state.number} {room} {' '.join(self.keys[query_id] for query_id in ids)}"
        name = hashlib.sha256(content.encode()).hexdigest()[:32]
        self.state.jobs.append(Job(name, ids, room))

    async def _advance(self, job: Job, by_id: dict[str, Query]) -> None:
        if not job.batch_id:
            await self._find(job)
        if not job.batch_id:
            await self._submit(job, by_id)
        batch = await self._call("look at", partial(self._api.batches.retrieve, job.batch_id))
        counts = batch.request_counts
        self.progress(f"{batch.status} {counts.completed if counts else 0}/{len(job.query_ids)}")
        if batch.status in _OVER:
            await self._collect(job, batch, by_id)

    async def _find(self, job: Job) -> None:
        """A batch that was made just before a run ended: its id was never written down."""
        if not job.file_id or job.batch_id:
            return
        async for batch in self._api.with_options(max_retries=_CALL_TRIES).batches.list(limit=100):
            if (batch.metadata or {}).get(_MARK) == job.name:
                job.batch_id = batch.id
                self._save()
                break

    async def _submit(self, job: Job, by_id: dict[str, Query]) -> None:
        if not job.file_id:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{job.name}.jsonl"
                await asyncio.to_thread(self._write, path, job, by_id)
                if not job.query_ids:  # all of them are given up
                    return
                uploaded = await self._call("upload to", lambda: self._upload(path))
            job.file_id = uploaded.id
            self._save()
        try:
            # Once: where the answer is lost, the batch is looked for before another one is made.
            batch = await self._api.batches.create(
                input_file_id=job.file_id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={_MARK: job.name},
            )
        except openai.APIConnectionError as error:
            raise TeacherStop(f"{self._where}: {self.teacher.reason(error)}; run again to go on") from None
        except openai.APIError as error:
            raise self._stop(error) from None
        job.batch_id = batch.id
        self._save()

    def _upload(self, path: Path) -> Any:
        return self._api.with_options(timeout=_UPLOAD_S).files.create(file=path, purpose="batch")

    def _write(self, path: Path, job: Job, by_id: dict[str, Query]) -> None:
        """The job's file; what does not fit into its bytes becomes a job of its own."""
        size, done = 0, list[str]()
        with path.open("wb") as stream:
            for place, query_id in enumerate(job.query_ids):
                try:
                    body = self.teacher.query_body(by_id[query_id], job.room)
                except AskFailed as failure:
                    self.give_up(by_id[query_id], str(failure))
                    continue
                row = {"custom_id": self.keys[query_id], "method": "POST", "url": _ENDPOINT, "body": body}
                line = msgspec.json.encode(row) + b"\n"
                if size + len(line) > MOST_BYTES and done:
                    self._new_job(job.query_ids[place:], job.room)
                    break
                size += stream.write(line)
                done.append(query_id)
        job.query_ids = done
        if not done:
            self.state.jobs.remove(job)
        self._save()

    async def _collect(self, job: Job, batch: Any, by_id: dict[str, Query]) -> None:
        """Keep what came, and write down a new job of what has to be sent again."""
        if batch.status == "failed":
            self.state.jobs.remove(job)
            self._save()
            said = (
                "; ".join(str(error.message) for error in (batch.errors.data or [])) if batch.errors else ""
            )
            raise TeacherStop(
                f"{self._where}: refused batch {batch.id} ({said or 'no reason given'}); mend that and run again"
            )
        ids = {self.keys[query_id]: query_id for query_id in job.query_ids}
        again: list[tuple[Query, int]] = []
        for file_id in (batch.output_file_id, batch.error_file_id):
            if not file_id:
                continue
            answer = await self._call("download from", partial(self._api.files.content, file_id))
            for line in answer.content.splitlines():
                row = json.loads(line)
                query_id = ids.pop(row.get("custom_id"), None)
                if query_id is not None and (room := self._settle(by_id[query_id], row, job.room)):
                    again.append((by_id[query_id], room))
        cancelled = batch.status == "cancelled"
        for query_id in ids.values():  # in neither file
            if room := self._once_more(by_id[query_id], "the batch left it out", job.room):
                again.append((by_id[query_id], room))
        self.state.jobs.remove(job)
        self._submit_later([] if cancelled else again)

    def _settle(self, query: Query, row: dict[str, Any], room: int) -> int:
        """Keep a line's reply, or see why there is none; the room to send it again with, 0 for not at all."""
        response, error = row.get("response") or {}, row.get("error") or {}
        body = response.get("body") or {}
        if response.get("status_code") == 200:
            try:
                reply = read_completion(body)
            except ValueError as fault:
                return self._once_more(query, str(fault), room)
            if self.request_id_of(query.query_id) != reply.request_id:  # else kept before a run ended
                structured = self.teacher.json_replies
                self.keep(query, msgspec.structs.replace(reply, structured=structured), room)
            self.state.tries.pop(query.query_id, None)
            more = self.teacher.max_output_tokens * 2
            return more if reply.finish_reason == "length" and room < more else 0
        said = body.get("error") or error
        message = self.teacher.shown(f"{response.get('status_code', '')} {said.get('message', said)}")
        if error.get("code") == "batch_cancelled":
            return 0
        passing = not response or response["status_code"] in (408, 409, 429) or response["status_code"] >= 500
        if not passing and not self.teacher.do_without(str(said.get("param") or ""), message):
            self.give_up(query, message)
            return 0
        return self._once_more(query, message, room)

    def _once_more(self, query: Query, reason: str, room: int) -> int:
        tries = self.state.tries[query.query_id] = self.state.tries.get(query.query_id, 0) + 1
        if tries < self.teacher.max_attempts:
            return room
        del self.state.tries[query.query_id]
        self.give_up(query, reason)
        return 0

    @property
    def _where(self) -> str:
        return f"{self.teacher.who} at {self.teacher.shown_url}"

    async def _call(self, doing: str, call: Callable[[], Any]) -> Any:
        """A call that may be repeated without harm."""
        for attempt in range(1, _CALL_TRIES + 1):
            try:
                return await call()
            except openai.APIStatusError as error:
                if error.status_code < 500 and error.status_code not in (408, 409, 429):
                    raise self._stop(error) from None
                reason = self.teacher.reason(error)
            except openai.APIError as error:
                reason = self.teacher.reason(error)
            if attempt < _CALL_TRIES:
                await asyncio.sleep(min(30.0, 0.5 * 2**attempt, max(self.poll_s, 0.05)))
        raise TeacherStop(f"{self._where}: could not {doing} it ({reason}); run again to go on")

    def _stop(self, error: openai.APIError) -> TeacherStop:
        reason = self.teacher.reason(error)
        known = stop_for(error, self._where, self.teacher.model)
        return known or TeacherStop(f"{self._where}: {reason}; mend that and run again")
