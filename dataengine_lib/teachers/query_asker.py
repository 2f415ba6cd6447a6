"""Step 3: sends queries to the teacher, one by one or in batches, and has every reply in the files of the output."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply, TeacherStop, UnusableReply
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.records import Query
from dataengine_lib.teachers.batch_state import BatchState, priced
from dataengine_lib.teachers.loading import load_teacher
from dataengine_lib.teachers.reply_files import LONGER, ReplyFiles
from dataengine_lib.teachers.request import CanonicalRequests

NextWave = Callable[[], list[Query]]
_Request = PaidRequest[Query]
_MOST_CUT_OFF = 0.5  # of the replies, once there are some: the rest is not asked for
_LEAST_REPLIES = 20


@dataclass(frozen=True)
class BatchOptions:
    """How batches are sent: seconds between two looks at them, and the most requests in one."""

    poll_s: float
    most_requests: int


class QueryAsker:
    """Asks the teacher `spec` the queries of `files`, within `budget`.

    `canonical` makes their canonical requests; `images` are its names for the queries' pictures, by query id.
    `coco_dataset` is for the annotations teacher. `notes` are for the user.
    """

    def __init__(
        self,
        spec: str,
        settings: ChatSettings,
        canonical: CanonicalRequests,
        files: ReplyFiles,
        budget: Budget,
        images: dict[str, str],
        coco_dataset: Path | None = None,
    ) -> None:
        self.spec, self.settings, self.canonical = spec, settings, canonical
        self.files, self.budget, self.images, self.coco_dataset = files, budget, images, coco_dataset
        self.notes: list[str] = []
        self._replies = self._cut_off = 0  # of this run

    async def ask_all(self, pending: list[Query], next_wave: NextWave = list) -> None:
        """Ask `pending`; each of them ends in the files, except those not sent because of a budget or a stop.

        Then what `next_wave` gives, until that is nothing.
        """
        total = len(self.files.queries)
        with progress_bar(total=total, initial=total - len(pending), desc="asking the teacher") as bar:

            async def send(request: _Request, max_output_tokens: int, may_retry: MayRetry) -> Reply:
                reply: Reply = await teacher.ask(request.subject, max_output_tokens, may_retry)
                return reply

            def on_reply(request: _Request, reply: Reply) -> None:
                self.files.settle(request.subject)
                advance()
                self._check_cut_off(reply)

            def on_failure(request: _Request, failure: AskFailed) -> None:
                if isinstance(failure, UnusableReply):  # it is in the ledger, and the failure shows it
                    self.files.settle(request.subject)
                else:
                    self.files.give_up(request.subject, str(failure))
                advance()

            def advance() -> None:
                bar.update()
                if self.files.ledger.cost_usd:
                    bar.set_postfix_str(self._money(bar.n, bar.total), refresh=False)

            async with self._load() as teacher:
                paid = PaidRequests(
                    self.budget,
                    self.settings,
                    send,
                    lambda request: self._row_fields(request.subject),
                    longer_output_tokens=self.settings.max_output_tokens * LONGER,
                    # Teachers that are no chat model answer at once.
                    stop_sending=getattr(teacher, "stop_sending", lambda: None),
                )
                try:
                    while pending:
                        requests = map(self._request, self._sending_order(pending))
                        await paid.ask_all(requests, on_reply, on_failure)
                        pending = next_wave()
                        bar.total = len(self.files.queries)
                finally:
                    # Teachers that are no chat model have no settings to refuse.
                    for name in getattr(teacher, "refused_settings", ()):
                        self.notes.append(f"{self.spec} does not take {name}; it was asked without")

    async def ask_in_batches(
        self,
        pending: list[Query],
        options: BatchOptions,
        cancel: bool = False,
        next_wave: NextWave = list,
    ) -> None:
        """Ask `pending` through the Batch API, as far as the budget goes, and collect what is under way.

        Then what `next_wave` gives, until that is nothing, each time in batches of its own. With `cancel` nothing is sent,
        and what is under way is cancelled.
        """
        from dataengine_lib.teachers.batches import BatchRunner

        files = self.files
        with progress_bar(total=len(files.queries), desc="asking in batches") as bar:
            async with self._load() as teacher:
                runner = BatchRunner(
                    teacher,
                    BatchState(files.output),
                    self._first_by_key(),
                    self._keep_batched,
                    files,
                    self.budget,
                    options.poll_s,
                    options.most_requests,
                )

                def progress(status: str) -> None:
                    bar.n = len(files.results) + len(files.failures)
                    bar.set_postfix_str(f"{status} {self._money(bar.n, bar.total)}")

                runner.progress = progress
                if cancel:
                    self.notes.append(f"{await runner.cancel()} batches cancelled")
                sent = runner.state.keys()  # by an earlier run that ended before it had collected them
                wanted = [query for query in pending if files.keys[query.query_id] not in sent and not cancel]
                while True:
                    wanted = self._sending_order(wanted)
                    try:
                        await runner.run([(query, self._max_output_tokens(query)) for query in wanted])
                    finally:
                        for query in files.pending():  # cut off, and the longer reply did not come
                            files.settle_if_paid(query)
                    wanted = [] if cancel else next_wave()
                    if not wanted:
                        break
                    runner.by_key, bar.total = self._first_by_key(), len(files.queries)

    def _sending_order(self, queries: list[Query]) -> list[Query]:
        """Servers cache common beginnings of prompts, and those of one type begin alike.

        With a budget the order of the file stays: it mixes the types, so that the last one gets its share too.
        """
        if self.budget.limit is not None:
            return queries
        return sorted(queries, key=lambda query: query.question_type)

    def _first_by_key(self) -> dict[str, Query]:
        """Of several queries with the same request the first, which `files.pending` names too."""
        return {self.files.keys[query.query_id]: query for query in reversed(self.files.queries)}

    def _check_cut_off(self, reply: Reply) -> None:
        """Raise TeacherStop when most replies are cut off: the rest would be paid for in vain."""
        self._replies += 1
        self._cut_off += reply.finish_reason == "length"
        if self._replies >= _LEAST_REPLIES and self._cut_off > _MOST_CUT_OFF * self._replies:
            limit = self.settings.max_output_tokens * LONGER
            raise TeacherStop(
                f"{self._cut_off} of {self._replies} replies were cut off at {limit} tokens; raise"
                " max_output_tokens and run again"
            )

    def _load(self) -> AbstractAsyncContextManager[Any]:
        return load_teacher(
            self.spec,
            self.settings,
            coco_dataset=self.coco_dataset,
            image_root=self.canonical.image_root,
            max_side=self.canonical.max_side,
            json_replies=self.canonical.json_replies,
        )

    def _request(self, query: Query) -> _Request:
        key = self.files.keys[query.query_id]
        return PaidRequest(key, query.prompt, query, query.attach_image, self._max_output_tokens(query))

    def _max_output_tokens(self, query: Query) -> int:
        """The output limit, raised where the reply to an earlier run was cut off at this one."""
        limit = self.settings.max_output_tokens
        before = self.files.ledger.paid.get(self.files.keys[query.query_id])
        cut_off = (
            before is not None and before.finish_reason == "length" and before.max_output_tokens >= limit
        )
        return limit * LONGER if cut_off else limit

    def _keep_batched(self, query: Query, reply: Reply, max_output_tokens: int) -> None:
        request = priced(self.files.keys[query.query_id], query)
        self.budget.keep(request, reply, max_output_tokens, self._row_fields(query))
        # The batch runner sends a reply that was cut off once more, with a higher limit.
        if reply.finish_reason != "length" or max_output_tokens > self.settings.max_output_tokens:
            self.files.settle(query)

    def _row_fields(self, query: Query) -> dict[str, Any]:
        return {
            "teacher": self.canonical.teacher,
            "tier": self.budget.tier,
            "query_id": query.query_id,
            "request": self.canonical.of(query, self.images.get(query.query_id, "")),
        }

    def _money(self, done: int, total: int) -> str:
        spent = self.files.ledger.cost_usd
        # As if the queries that are left cost as much as those before them.
        return f"${spent:.2f} of about ${spent * total / max(1, done):.2f}"
