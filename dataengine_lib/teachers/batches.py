"""Step 3, `mode: batch`: queries in files to OpenAI's Batch API, at half the price, within a day.

A run may end between any two calls: the next one finds its batches at the server and continues.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.paid_requests import MOST_UNUSABLE, PaidRequest
from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop
from dataengine_lib.chat.request_format import breaks_schema
from dataengine_lib.chat.server_errors import fatal_error, is_declined, is_temporary_body
from dataengine_lib.core.records import Query
from dataengine_lib.teachers.batch_api import BATCH_ENDPOINT, FINAL_STATUSES, BatchApi, BatchGone, BatchRow
from dataengine_lib.teachers.batch_state import BatchJob, BatchState, priced
from dataengine_lib.teachers.openai_teacher import OpenAITeacher
from dataengine_lib.teachers.reply_files import LONGER, ReplyFiles

_MOST_LINES, _MOST_BYTES = 50_000, 200_000_000  # of one batch, by OpenAI's guide "Batch API"
_QUEUE_FULL = "token_limit_exceeded"  # the error code when too many tokens are in progress already

_Request = tuple[Query, int]  # a query and its max_output_tokens


class BatchRunner:
    """Sends queries in batches and hands every reply to `keep(query, reply, max_output_tokens)`.

    `by_key` holds this run's queries by request key; replies to requests of earlier runs go into the ledger only.
    `poll_s` is the time in seconds between two looks at the server, `most_lines` the largest number of requests in one
    batch. `progress` is called with a status text after each look.
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
        most_lines: int = _MOST_LINES,
    ) -> None:
        self.teacher, self.state, self.by_key, self.keep = teacher, state, by_key, keep
        self.files, self.budget, self.poll_s = files, budget, poll_s
        self.most_lines = min(most_lines, _MOST_LINES)
        self.progress: Callable[[str], None] = lambda status: None
        self._api = BatchApi(teacher, poll_s)
        self._cancelling = False
        self._stop: TeacherStop | None = None  # why no request can be answered, from a row
        self._over_budget: list[_Request] = []  # wait until requests in progress cost less than was reserved

    async def run(self, requests: list[_Request]) -> None:
        """Submit `requests`, as far as the budget goes, and wait until all batches are collected.

        Raises TeacherStop when the server refuses to go on.
        """
        # Requests that an earlier run submitted may still be billed.
        for job in self.state.jobs:
            for key in job.keys:
                query = self.by_key.get(key)
                if query is not None or self.files.ledger.reservation(key):
                    self.budget.hold(priced(key, query), job.max_output_tokens)
        self._add_jobs(requests)
        while self.state.jobs:
            for job in list(self.state.jobs):
                await self._submit(job)
            for job in list(self.state.jobs):
                await self._check(job)
            # Batches that were collected have released money: some of the waiting requests may fit now.
            if self._over_budget:
                self._add_jobs([])
            if self.state.jobs:
                await asyncio.sleep(self.poll_s)

    async def cancel(self) -> int:
        """Cancel all batches in progress and return their number; `run([])` then collects what was completed."""
        self._cancelling = True
        cancelled = 0
        for job in list(self.state.jobs):
            try:
                await self._find(job)
                # Never submitted: nothing to cancel and nothing to collect.
                if not job.batch_id:
                    self._forget(job)
                    continue
                batch = await self._api.retrieve(job.batch_id)
                if batch.status not in FINAL_STATUSES:
                    await self._api.cancel(job.batch_id)
                    cancelled += 1
            except BatchGone:  # no reply of it can be collected any more
                self.state.jobs.remove(job)
            except TeacherStop as stop:
                # The batch may have ended a moment before. The others are to be cancelled all the same.
                self.progress(str(stop))
        self.state.save()
        return cancelled

    def _add_jobs(self, requests: list[_Request]) -> None:
        """Reserve money for `requests` and those that waited for it; add jobs of at most `most_lines` of them.

        Files that are too large in bytes are split later, when they are written.
        """
        keys_by_limit: dict[int, list[str]] = {}
        requests = [] if self._cancelling else [*requests, *self._over_budget]
        self.budget.stopped = ""
        wanted = [(priced(self.files.keys[query.query_id], query), limit) for query, limit in requests]
        number = self.budget.affordable(wanted)
        self._over_budget = requests[number:]  # also cheaper ones: queries are sent in their order
        for request, limit in wanted[:number]:
            keys_by_limit.setdefault(limit, []).append(request.key)
        # One limit per job: it is saved with the job and holds for all its requests.
        for limit, keys in keys_by_limit.items():
            for begin in range(0, len(keys), self.most_lines):
                self.state.add(keys[begin : begin + self.most_lines], limit, self.files.teacher)
        self.state.save()
        # Behind the jobs: the next run would not know whose reservations these are, were this one killed between the
        # two, but it reserves for jobs without them. The first that is over the budget says so in `budget.stopped`.
        for request, limit in wanted[: number + 1]:
            self.budget.reserve(request, limit)

    async def _find(self, job: BatchJob) -> None:
        """Look for a batch that was created just before a run ended, so that its id was never saved."""
        if not job.file_id or job.batch_id:
            return
        job.batch_id = await self._api.find(job.name)
        if job.batch_id:
            self.state.save()

    async def _submit(self, job: BatchJob) -> None:
        """Upload the job's file and create its batch, as far as that is not done; a waiting job may have to wait on."""
        await self._find(job)
        if job.batch_id or (job.waits and any(other.batch_id for other in self.state.jobs)):
            return
        # Each id is saved as soon as it is known, so that a run that continues does not repeat the call.
        if not job.file_id:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{job.name}.jsonl"
                await asyncio.to_thread(self._write, path, job)
                if not job.keys:  # no request could be written
                    return
                job.file_id = await self._api.upload(path)
            self.state.save()
        job.batch_id = await self._api.create(job.name, job.file_id)
        self.state.save()

    def _write(self, path: Path, job: BatchJob) -> None:
        """Write the job's requests; those beyond the size limit become a job of their own."""
        size, written = 0, list[str]()
        with path.open("wb") as stream:
            for place, key in enumerate(job.keys):
                query = self.by_key.get(key)
                if query is None:  # of an earlier run with other parameters, and never sent
                    self.budget.release(priced(key, None))
                    continue
                try:
                    body = self.teacher.query_body(query, job.max_output_tokens)
                except AskFailed as failure:
                    self._give_up(query, str(failure))
                    continue
                row = {"custom_id": key, "method": "POST", "url": BATCH_ENDPOINT, "body": body}
                line = msgspec.json.encode(row) + b"\n"
                # A job keeps at least one request, or one that is too long would be passed on for ever.
                if size + len(line) > _MOST_BYTES and written:
                    self.state.add(job.keys[place:], job.max_output_tokens, job.teacher)
                    break
                size += stream.write(line)
                written.append(key)
        job.keys = written
        if not written:
            self.state.jobs.remove(job)
        self.state.save()

    async def _check(self, job: BatchJob) -> None:
        """Look at the job's batch, and collect it when it has ended."""
        if not job.batch_id:
            return
        try:
            batch = await self._api.retrieve(job.batch_id)
            counts = batch.request_counts
            self.progress(f"{batch.status} {counts.completed if counts else 0}/{len(job.keys)}")
            if batch.status == "failed":
                self._on_failed(job, batch)
            elif batch.status in FINAL_STATUSES:
                await self._collect(job, batch)
        except BatchGone:
            raise TeacherStop(
                f"{self.teacher.where}: does not know batch {job.batch_id}, or its files, any more;"
                " dataengine cancel-batches forgets it"
            ) from None

    def _on_failed(self, job: BatchJob, batch: Any) -> None:
        """The server refused the whole batch: submit it later if only its queue was full, else stop."""
        faults = self._api.faults(batch)
        others = any(other.batch_id for other in self.state.jobs if other is not job)
        # Refused once more with nothing else in progress, the job alone is too large for the queue.
        if any(_QUEUE_FULL in fault.codes for fault in faults) and (others or not job.waits):
            self.state.rename(job)
            job.waits = True
            return self.state.save()
        self._forget(job)
        self.state.save()
        stops = (fatal_error(fault, self.teacher.where, self.teacher.model) for fault in faults)
        reason = "; ".join(fault.words for fault in faults) or "no reason given"
        raise next(filter(None, stops), None) or TeacherStop(
            f"{self.teacher.where}: refused batch {batch.id} ({reason}); correct that, or lower batch_requests, and"
            " run again"
        )

    async def _collect(self, job: BatchJob, batch: Any) -> None:
        """Keep the replies of a batch that has ended, and add a job of the requests to be sent once more."""
        missing = dict.fromkeys(job.keys)  # a set that keeps the order
        retries: list[_Request] = []
        # Each file twice if rows are missing: a download may be cut short, and its rows were paid for.
        for file_id in (batch.output_file_id, batch.error_file_id) * 2:
            if not file_id or not missing:
                continue
            for row in await self._api.download(file_id):
                if row.key in missing:
                    del missing[row.key]
                    self._on_row(row, job, retries)
        for key in missing:  # neither in the output file nor in the error file
            self._on_row(BatchRow(key), job, retries)
        # Saved together, by _add_jobs: a run that ends before collects the whole batch once more.
        self.state.jobs.remove(job)
        if self._stop is not None:
            self.state.save()
            raise self._stop
        self._add_jobs(retries)

    def _on_row(self, row: BatchRow, job: BatchJob, retries: list[_Request]) -> None:
        """Keep a row's reply, or decide whether a request without one is sent once more."""
        query = self.by_key.get(row.key)
        request = priced(row.key, query)
        if row.reply is not None:
            attempts = self.state.tries.get(row.key, 0) + 1
            self._on_reply(request, row.reply, job)
            again = row.reply.failed and attempts < min(MOST_UNUSABLE, self.teacher.max_attempts)
            more = self.teacher.max_output_tokens * LONGER
            if query is not None and again:
                self.state.tries[row.key] = attempts
                retries.append((query, job.max_output_tokens))
            elif query is not None and row.reply.finish_reason == "length" and job.max_output_tokens < more:
                retries.append((query, more))
            return
        # A row that was answered, or may have been, is paid for whether its line can be read or not.
        answered = row.answered if row.found else not self._cancelling
        (self.budget.lose if answered else self.budget.release)(request)
        # Of an earlier run with other parameters, or cancelled: not sent again now, and no failure either.
        if query is None or row.cancelled:
            return
        adapted = self.teacher.format.adapt(row.error)
        stop = fatal_error(row.error, self.teacher.where, self.teacher.model)
        # what names a field or the schema is no fault of the model or the URL, whatever its status
        if stop is not None and not adapted and not self._cancelling:
            # No other request would be answered either. This one is no failure: the next run sends it.
            self._stop = self._stop or stop
            return
        may_succeed = adapted or is_temporary_body(row.error) or breaks_schema(row.error)
        attempts = self.state.tries[row.key] = self.state.tries.get(row.key, 0) + 1
        if may_succeed and not is_declined(row.error) and attempts < self.teacher.max_attempts:
            retries.append((query, job.max_output_tokens))
        elif not self._cancelling:
            self._give_up(query, str(row.error))

    def _on_reply(self, request: PaidRequest[None], reply: Reply, job: BatchJob) -> None:
        """Keep a reply in the ledger, once: a run may have ended between keeping it and forgetting its job."""
        key, query = request.key, self.by_key.get(request.key)
        reply = msgspec.structs.replace(
            reply,
            # With the batch: some servers give every reply the same id.
            request_id=f"{job.batch_id} {reply.request_id or key[:16]}",
            structured=self.teacher.json_replies and self.teacher.format.takes_schema is not False,
        )
        self.state.tries.pop(key, None)
        before = self.files.ledger.paid.get(key)
        if before is not None and before.request_id == reply.request_id:
            self.budget.release(request)
        elif query is not None:
            self.keep(query, reply, job.max_output_tokens)
        else:  # requested by an earlier run with other parameters: paid for all the same
            self.budget.keep(request, reply, job.max_output_tokens, {"teacher": job.teacher, "tier": "batch"})

    def _forget(self, job: BatchJob) -> None:
        """Remove a job that the server never had, or refused as a whole: nothing of it is billed."""
        self.state.jobs.remove(job)
        for key in job.keys:
            if self.files.ledger.reservation(key):
                self.files.ledger.release(key)

    def _give_up(self, query: Query, reason: str) -> None:
        key = self.files.keys[query.query_id]
        self.state.tries.pop(key, None)
        self.budget.release(priced(key, query))
        self.files.give_up(query, reason)
