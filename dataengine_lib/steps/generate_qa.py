"""Step 3: the teacher answers every query; replies are kept as they come and never paid for twice."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dataengine_lib.chat.ask_many import ask_each, run
from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.paid_reply import ledger_row
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed, Reply
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.records import Query, Result
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.teachers.batch_state import BatchState, refuse_if_in_progress
from dataengine_lib.teachers.loading import load_teacher
from dataengine_lib.teachers.query_costs import TypeCost, query_costs
from dataengine_lib.teachers.reply_files import (
    MORE_ROOM,
    Failure,
    ReplyFiles,
    UsageFile,
    in_order,
    read_queries,
)
from dataengine_lib.teachers.request import Canon
from dataengine_lib.teachers.spec import check_spec, recorded_name


class GenerateQaConfig(StepConfig, ChatSettings):
    """Parameters of `3_generate_qa`."""

    input: Path
    """queries: gptvqa_prompt.json of step 2."""
    output: Path
    """gptvqa_result.jsonl; ledger, failures and usage.json are written beside it."""
    teacher: str = "playground"
    """openai:MODEL, local, annotations, replay:FILE or playground."""
    image_root: Path | None = None
    """Where the queries' images lie; default: coco_dataset."""
    coco_dataset: Path | None = None
    """Image pool of the queries, for the annotations teacher."""
    max_side: int = Field(1024, ge=32)
    """Pixels of the longer side of a picture sent to the teacher."""
    mode: Literal["live", "batch"] = "live"
    """batch: OpenAI's Batch API, half the price, within a day."""
    batch_poll_s: float = Field(60, gt=0)
    """Seconds between two looks at the batches."""
    batch_requests: int = Field(50_000, ge=1, le=50_000)
    """Most requests in one batch."""
    reply_format: Literal["json", "text"] = "json"
    """json: held to a schema where the server can do that."""
    budget_usd: float | None = Field(None, gt=0)
    """Stop before more than this is spent on this output."""
    prices: Path | None = None
    """Price table; default: the built-in one."""

    _check_teacher = field_validator("teacher")(check_spec)

    @model_validator(mode="after")
    def _batches_need_a_server(self) -> Self:
        if self.mode == "batch" and not self.teacher.startswith(("openai:", "playground")):
            raise ValueError(f"mode batch needs teacher openai:MODEL; {self.teacher} is asked live")
        return self

    @property
    def tier(self) -> str:
        """What the price depends on beside the model."""
        return "batch" if self.mode == "batch" else self.service_tier or ""

    @property
    def canon(self) -> Canon:
        """How this run asks, as far as replies depend on it."""
        return Canon(
            recorded_name(self.teacher),
            self.temperature,
            None if self.temperature is None else self.seed,
            self.max_side,
            self.reply_format == "json",
            self.image_root or self.coco_dataset,
        )


@dataclass
class GenerateQaResult:
    """What notebook 3 shows; `unasked` queries were left when the budget was used up, `stopped` says so."""

    output: Path
    queries: int
    results: list[Result]
    failures: list[Failure]
    earlier: int  # replies that were there already
    unasked: int
    usage: UsageFile
    stopped: str
    notes: list[str]
    image_root: Path | None


def generate_qa(config: GenerateQaConfig) -> GenerateQaResult:
    """Ask the teacher every query of `config.input` that the ledger beside `config.output` does not answer yet.

    Writes `output` (Results in the order of the queries), `gptvqa_ledger.jsonl`, `gptvqa_failed.jsonl` and
    `usage.json`. Raises ParameterError when the budget is too small for one request, DataEngineError when the
    teacher is down or refuses to go on; what was received is kept and the next run goes on from there.
    """
    return _generate(config)


def price_queries(config: GenerateQaConfig) -> list[TypeCost]:
    """What asking all queries of `config.input` will cost, the sum and per question type; asks nobody."""
    price = read_prices(config.prices).of(config.teacher)
    return query_costs(read_queries(config.input), price, config.tier, config.max_output_tokens)


def cancel_batches(config: GenerateQaConfig) -> GenerateQaResult:
    """Cancel the batches of `config.output` that are under way, and keep what they have done; see `generate_qa`."""
    return _generate(config.model_copy(update={"mode": "batch"}), cancel=True)


def _generate(config: GenerateQaConfig, cancel: bool = False) -> GenerateQaResult:
    queries = read_queries(config.input)
    _check_image_root(config, queries)
    prices = read_prices(config.prices)
    price = prices.of(config.teacher)
    note, date = prices.note(config.teacher)
    canon = config.canon
    images = {query.query_id: canon.image(query) for query in queries if query.attach_image}
    keys = {query.query_id: key_of(canon.request(query, images.get(query.query_id, ""))) for query in queries}
    files = ReplyFiles(config.output, canon.teacher, price, queries, keys, config.max_output_tokens)
    try:
        budget = Budget(
            config.budget_usd, price, config.tier, lambda: files.ledger.spent + files.ledger.lost_usd
        )
        if not cancel:
            budget.check(queries, config.max_output_tokens, config.teacher)
            if config.mode == "live":
                refuse_if_in_progress(config.output)
        asking = _Asking(config, canon, files, budget, images)
        earlier = len(files.results)
        pending = files.pending()
        if config.budget_usd is None:
            # Servers cache common beginnings, and a prompt begins with its type's. Under a budget the order
            # of the file decides, which has all types in every block of it, or the last would get nothing.
            pending.sort(key=lambda query: query.question_type)
        settings = asking.settings(queries)
        files.write_usage(settings, date, note)
        try:
            if pending or config.mode == "batch":
                run(asking.in_batches(pending, cancel) if config.mode == "batch" else asking.ask_all(pending))
        finally:
            files.finish()
            usage = files.write_usage(settings, date, note)
    finally:
        files.close()
    failures = in_order(files.failures, queries)
    if failures and not files.results:
        raise DataEngineError(
            f"{files.failed}: none of {len(failures)} queries got a usable reply; first: {failures[0].reason}"
        )
    notes = [*files.notes, *asking.notes, *([note] if note else [])]
    if lost := files.ledger.lost_usd:
        notes.append(
            f"requests without an answer, or whose tokens the server did not tell, may have cost {lost:.2f} US dollars,"
            " which budget_usd counts too"
        )
    return GenerateQaResult(
        output=config.output,
        queries=len(queries),
        results=in_order(files.results, queries),
        failures=failures,
        earlier=earlier,
        unasked=len(queries) - len(files.results) - len(failures),
        usage=usage,
        stopped=budget.stopped,
        notes=[*notes, *([budget.stopped] if budget.stopped else [])],
        image_root=config.image_root or config.coco_dataset,
    )


def _check_image_root(config: GenerateQaConfig, queries: list[Query]) -> None:
    sends = config.teacher == "playground" or config.teacher.startswith("openai:")
    if sends and not (config.image_root or config.coco_dataset) and any(q.attach_image for q in queries):
        raise ParameterError(
            f"{config.input}: its queries send their pictures to the teacher; give image_root"
        )


class _Asking:
    """Asks queries one by one, each reply into the ledger before anything else is done with it."""

    def __init__(
        self,
        config: GenerateQaConfig,
        canon: Canon,
        files: ReplyFiles,
        budget: Budget,
        images: dict[str, str],
    ) -> None:
        self.config, self.canon, self.files, self.budget, self.images = config, canon, files, budget, images
        self.notes: list[str] = []

    def settings(self, queries: list[Query]) -> dict[str, Any]:
        """What `usage.json` says of how replies were asked for."""
        settings: dict[str, Any] = {
            "temperature": self.canon.temperature,
            "seed": self.canon.seed,
            "reply_format": self.config.reply_format,
        }
        if any(query.attach_image for query in queries):
            settings["max_side"] = self.config.max_side
        return settings

    def _load(self) -> AbstractAsyncContextManager[Any]:
        config = self.config
        return load_teacher(
            config.teacher,
            config,
            coco_dataset=config.coco_dataset,
            image_root=self.canon.image_root,
            max_side=config.max_side,
            json_replies=self.canon.json_replies,
        )

    async def ask_all(self, pending: list[Query]) -> None:
        """Ask `pending`; every one of them ends in the files, but for what a budget or a stop leaves unasked."""
        from tqdm.auto import tqdm

        config, total = self.config, len(self.files.queries)
        teacher_for = self._load()
        done = total - len(pending)
        with tqdm(total=total, initial=done, desc="asking the teacher", disable=None) as bar:

            async def ask(query: Query) -> Reply:
                return await self._ask(teacher, query)

            def on_reply(query: Query, reply: Reply) -> None:
                self.files.settle(query)
                step()

            def on_failure(query: Query, failure: AskFailed) -> None:
                self.files.give_up(query, str(failure))
                self._settle(query, failure.unanswered)
                step()

            def step() -> None:
                bar.update()
                if self.files.ledger.spent:
                    bar.set_postfix_str(self._money(bar.n, total), refresh=False)

            async def admit(query: Query) -> bool:
                return await self.budget.admit(query, self._room(query))

            async with teacher_for as teacher:
                try:
                    await ask_each(
                        ask, pending, config.concurrency, on_reply, on_failure, admit, config.timeout_s
                    )
                finally:
                    for name in getattr(teacher, "refused_settings", ()):
                        self.notes.append(f"{config.teacher} does not take {name}; it was asked without")

    async def in_batches(self, pending: list[Query], cancel: bool) -> None:
        """Ask `pending` through the Batch API, as far as the budget goes, and collect what is under way.

        With `cancel` nothing more is asked, and what is under way is called off.
        """
        from tqdm.auto import tqdm

        from dataengine_lib.teachers.batches import BatchRunner

        files, total = self.files, len(self.files.queries)
        with tqdm(total=total, desc="asking in batches", disable=None) as bar:
            async with self._load() as teacher:
                runner = BatchRunner(
                    teacher,
                    BatchState(self.config.output),
                    {files.keys[query.query_id]: query for query in reversed(files.queries)},
                    self._keep_batched,
                    files,
                    self.budget,
                    self.config.batch_poll_s,
                    self.config.batch_requests,
                )

                def progress(says: str) -> None:
                    bar.n = len(files.results) + len(files.failures)
                    bar.set_postfix_str(f"{says} {self._money(bar.n, total)}")

                runner.progress = progress
                if cancel:
                    self.notes.append(f"{await runner.cancel()} batches cancelled")
                sent = runner.state.keys()
                wanted = [query for query in pending if files.keys[query.query_id] not in sent and not cancel]
                try:
                    await runner.run([(query, self._room(query)) for query in wanted])
                finally:
                    for query in files.pending():  # of the roomier reply that did not come
                        files.settle_if_paid(query)

    def _keep_batched(self, query: Query, reply: Reply, room: int) -> None:
        self._keep(query, reply, room)
        if reply.finish_reason != "length" or room > self.config.max_output_tokens:
            self.files.settle(query)

    def _money(self, done: int, total: int) -> str:
        spent = self.files.ledger.spent
        return f"${spent:.2f} of about ${spent * total / max(1, done):.2f}"

    async def _ask(self, teacher: Any, query: Query) -> Reply:
        """The query's reply, in the ledger; a reply that was cut off is asked for once more with more room."""
        room, more = self._room(query), self.config.max_output_tokens * MORE_ROOM
        reply = await self._ask_once(teacher, query, room)
        if reply.finish_reason == "length" and room < more and await self.budget.admit(query, more):
            reply = await self._ask_once(teacher, query, more)
        return reply

    def _room(self, query: Query) -> int:
        """The output limit, or more of it where an earlier run got a reply that was cut off and was ended there."""
        room = self.config.max_output_tokens
        before = self.files.ledger.paid.get(self.files.keys[query.query_id])
        cut_off = before is not None and before.finish_reason == "length" and before.room >= room
        return room * MORE_ROOM if cut_off else room

    async def _ask_once(self, teacher: Any, query: Query, room: int) -> Reply:
        def may_retry() -> bool:
            self._settle(query, unanswered=True)
            return self.budget.reserve(query, room)

        reply: Reply = await teacher.ask(query, room, may_retry)
        self._keep(query, reply, room)
        self._settle(query, not reply.has_token_counts)
        return reply

    def _settle(self, query: Query, unanswered: bool = False) -> None:
        if lost := self.budget.settle(query, unanswered):
            self.files.ledger.lost(self.files.keys[query.query_id], lost)

    def _keep(self, query: Query, reply: Reply, room: int) -> None:
        key, request = (
            self.files.keys[query.query_id],
            self.canon.request(query, self.images.get(query.query_id, "")),
        )
        asked = {"query_id": query.query_id, "request": request}
        self.files.paid(ledger_row(key, reply, self.canon.teacher, room, self.config.tier, **asked))
