"""Step 3: the teacher answers every query; replies are kept as they come and never paid for twice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from dataengine_lib.data.ledger import LedgerRow
from dataengine_lib.data.prices import Price, PriceTable, read_prices
from dataengine_lib.data.records import Query, Result
from dataengine_lib.data.reply_files import (
    MORE_ROOM,
    Failure,
    ReplyFiles,
    UsageFile,
    in_order,
    read_queries,
)
from dataengine_lib.data.request_key import Canon, key_of
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.models.asking import ask_each, run
from dataengine_lib.models.budget import Budget
from dataengine_lib.models.teacher import AskFailed, Reply, check_spec, load_teacher, recorded_name
from dataengine_lib.steps.config import StepConfig


class GenerateQaConfig(StepConfig):
    """Parameters of `3_generate_qa`."""

    input: Path  # queries: gptvqa_prompt.json of step 2
    output: Path  # gptvqa_result.jsonl; ledger, failures and usage.json are written beside it
    teacher: str = "playground"  # openai:MODEL, annotations, replay:FILE or playground
    base_url: str | None = None  # OpenAI-compatible server; default OPENAI_BASE_URL, then OpenAI itself
    image_root: Path | None = None  # where the queries' images lie; default: coco_dataset
    coco_dataset: Path | None = None  # image pool of the queries, for the annotations teacher
    max_side: int = Field(1024, ge=32)  # pixels of the longer side of a picture sent to the teacher
    reply_format: Literal["json", "text"] = "json"  # json: held to a schema where the server can do that
    concurrency: int = Field(64, ge=1)  # most requests at the same time; fewer while the server is busy
    rpm: float | None = Field(
        None, gt=0
    )  # most requests a minute; limits that the server names are kept anyway
    tpm: float | None = Field(None, gt=0)  # most tokens a minute, prompts and replies together
    service_tier: str | None = None  # passed to OpenAI: flex is slower, at half the price
    temperature: float | None = Field(None, ge=0)  # left to the model when not given; some models reject it
    max_output_tokens: int = Field(600, ge=1)  # of one reply; models that reason need more
    timeout_s: float = Field(60, gt=0)  # for one reply
    max_attempts: int = Field(6, ge=1)  # tries of one query when the server is busy or away
    budget_usd: float | None = Field(None, gt=0)  # stop before more than this is spent on this output
    prices: Path | None = None  # price table; default params/prices.yaml
    seed: int = 0  # sent with temperature to servers that sample

    _check_teacher = field_validator("teacher")(check_spec)

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
    queries = read_queries(config.input)
    _check_image_root(config, queries)
    prices = read_prices(config.prices)
    price = prices.of(config.teacher)
    note, date = _price_note(config, price, prices)
    canon = config.canon
    _check_budget(config, price, queries)
    keys = {query.query_id: key_of(canon.request(query)) for query in queries}
    files = ReplyFiles(config.output, canon.teacher, price, queries, keys, config.max_output_tokens)
    try:
        budget = Budget(config.budget_usd, price, config.service_tier or "", lambda: files.ledger.spent)
        asking = _Asking(config, canon, files, budget)
        earlier = len(files.results)
        pending = files.pending()
        if config.budget_usd is None:
            # Servers cache common beginnings, and a prompt begins with its type's. Under a budget the order
            # of the file decides, which has all types in every block of it, or the last would get nothing.
            pending.sort(key=lambda query: query.question_type)
        settings = asking.settings(queries)
        files.write_usage(settings, date, note)
        try:
            if pending:
                run(asking.ask_all(pending))
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


def _check_budget(config: GenerateQaConfig, price: Price | None, queries: list[Query]) -> None:
    if config.budget_usd is None or not queries:
        return
    if price is None:
        raise ParameterError(
            f"budget_usd: no price is known for {config.teacher}; add it to params/prices.yaml"
        )
    budget = Budget(config.budget_usd, price, config.service_tier or "", lambda: 0.0)
    dearest = max(budget.worst(query, config.max_output_tokens) for query in queries)
    if dearest > config.budget_usd:
        raise ParameterError(
            f"budget_usd {config.budget_usd:g} is less than one request may cost ({dearest:.4f});"
            " raise it, or lower max_output_tokens"
        )


def _price_note(config: GenerateQaConfig, price: Price | None, prices: PriceTable) -> tuple[str, str]:
    if price is None:
        note = f"no price is known for {config.teacher}, so cost_usd is null; add it to params/prices.yaml"
        return note, ""
    return "", prices.date.isoformat() if config.teacher.startswith("openai:") else ""


class _Asking:
    """Asks queries one by one, each reply into the ledger before anything else is done with it."""

    def __init__(self, config: GenerateQaConfig, canon: Canon, files: ReplyFiles, budget: Budget) -> None:
        self.config, self.canon, self.files, self.budget = config, canon, files, budget
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

    async def ask_all(self, pending: list[Query]) -> None:
        """Ask `pending`; every one of them ends in the files, but for what a budget or a stop leaves unasked."""
        from tqdm.auto import tqdm

        config, total = self.config, len(self.files.queries)
        teacher_for = load_teacher(
            config.teacher,
            config.base_url,
            coco_dataset=config.coco_dataset,
            image_root=self.canon.image_root,
            max_side=config.max_side,
            temperature=config.temperature,
            max_output_tokens=config.max_output_tokens,
            timeout_s=config.timeout_s,
            max_attempts=config.max_attempts,
            seed=config.seed,
            json_replies=self.canon.json_replies,
            concurrency=config.concurrency,
            rpm=config.rpm,
            tpm=config.tpm,
            service_tier=config.service_tier,
        )
        done = total - len(pending)
        with tqdm(total=total, initial=done, desc="asking the teacher", disable=None) as bar:

            async def ask(query: Query) -> Reply:
                return await self._ask(teacher, query)

            def on_reply(query: Query, reply: Reply) -> None:
                self.files.settle(query)
                step()

            def on_failure(query: Query, failure: AskFailed) -> None:
                self.files.give_up(query, str(failure))
                self.budget.settle(query, failure.unanswered)
                step()

            def step() -> None:
                bar.update()
                if self.files.ledger.spent:
                    bar.set_postfix_str(self._money(bar.n, total), refresh=False)

            async def admit(query: Query) -> bool:
                return await self.budget.admit(query, config.max_output_tokens)

            async with teacher_for as teacher:
                try:
                    await ask_each(ask, pending, config.concurrency, on_reply, on_failure, admit)
                finally:
                    for name in getattr(teacher, "refuses", ()):
                        self.notes.append(f"{config.teacher} does not take {name}; it was asked without")

    def _money(self, done: int, total: int) -> str:
        spent = self.files.ledger.spent
        return f"${spent:.2f} of about ${spent * total / max(1, done):.2f}"

    async def _ask(self, teacher: Any, query: Query) -> Reply:
        """The query's reply, in the ledger; a reply that was cut off is asked for once more with more room."""
        room, more = self.config.max_output_tokens, self.config.max_output_tokens * MORE_ROOM
        before = self.files.ledger.paid.get(self.files.keys[query.query_id])
        if before is None or before.finish_reason != "length" or not room <= before.room < more:
            reply = await self._ask_once(teacher, query, room)
            if reply.finish_reason != "length" or not await self.budget.admit(query, more):
                return reply
        return await self._ask_once(teacher, query, more)

    async def _ask_once(self, teacher: Any, query: Query, room: int) -> Reply:
        reply: Reply = await teacher.ask(query, room)
        self._keep(query, reply, room)
        self.budget.settle(query, reply.unanswered)
        return reply

    def _keep(self, query: Query, reply: Reply, room: int) -> None:
        self.files.paid(
            LedgerRow(
                key=self.files.keys[query.query_id],
                query_id=query.query_id,
                teacher=self.canon.teacher,
                request=self.canon.request(query),
                text=reply.text,
                finish_reason=reply.finish_reason,
                structured=reply.structured,
                model=reply.model,
                request_id=reply.request_id,
                attempts=reply.attempts,
                seconds=reply.seconds,
                room=room,
                tier=self.config.service_tier or "",
                prompt_tokens=reply.prompt_tokens,
                cached_tokens=reply.cached_tokens,
                cache_write_tokens=reply.cache_write_tokens,
                completion_tokens=reply.completion_tokens,
                usage=reply.usage,
            )
        )
