"""Step 3: the teacher answers every query; replies are kept as they come and never asked for twice."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from dataengine_lib.data.prices import Price, PriceTable, estimate_tokens, read_prices
from dataengine_lib.data.records import Query, Result
from dataengine_lib.data.reply_files import (
    ERROR,
    Failure,
    ReplyFiles,
    UsageFile,
    in_order,
    read_queries,
)
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.models.asking import ask_all, run
from dataengine_lib.models.teacher import (
    AskFailed,
    Reply,
    check_spec,
    load_teacher,
    recorded_name,
)
from dataengine_lib.steps.config import StepConfig

_UNUSABLE = {
    "length": "cut off at max_output_tokens={limit}; raise it and run again",
    "refusal": "the teacher refused",
    "content_filter": "stopped by the teacher's content filter",
    "empty": "the reply is empty",
}


class GenerateQaConfig(StepConfig):
    """Parameters of `3_generate_qa`."""

    input: Path  # queries: gptvqa_prompt.json of step 2
    output: Path  # gptvqa_result.jsonl; failures, log and usage.json are written beside it
    teacher: str = "playground"  # openai:MODEL, annotations, replay:FILE or playground
    base_url: str | None = None  # OpenAI-compatible server; default OPENAI_BASE_URL, then OpenAI itself
    image_root: Path | None = None  # where the queries' images lie; default: coco_dataset
    coco_dataset: Path | None = None  # COCO folder, for the annotations teacher
    max_side: int = Field(1024, ge=32)  # pixels of the longer side of a picture sent to the teacher
    concurrency: int = Field(16, ge=1)  # requests at the same time
    temperature: float | None = Field(None, ge=0)  # left to the model when not given; some models reject it
    max_output_tokens: int = Field(600, ge=1)  # of one reply; models that reason need more
    timeout_s: float = Field(60, gt=0)  # for one reply
    max_attempts: int = Field(6, ge=1)  # tries of one query when the server is busy or away
    budget_usd: float | None = Field(None, gt=0)  # stop before more than this is spent on this output
    prices: Path | None = None  # price table; default params/prices.yaml
    seed: int = 0  # sent with temperature to servers that sample

    _check_teacher = field_validator("teacher")(check_spec)


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


class _Budget:
    """Money spent and reserved: a request is let through only when the worst it can cost is still there."""

    def __init__(self, limit: float | None, price: Price | None, max_output_tokens: int) -> None:
        self.limit, self.price, self.max_output_tokens = limit, price, max_output_tokens
        self.spent = 0.0
        self.reserved: dict[str, float] = {}
        self.stopped = ""
        self._changed = asyncio.Event()

    def worst(self, query: Query) -> float:
        if self.price is None:
            return 0.0
        tokens = estimate_tokens(query.prompt) + query.attach_image * self.price.image_tokens
        return self.price.cost(tokens, 0, self.max_output_tokens)

    async def admit(self, query: Query) -> bool:
        cost = self.worst(query)
        while self.limit is not None and self.spent + sum(self.reserved.values()) + cost > self.limit:
            if not self.reserved:
                self.stopped = (
                    f"budget_usd {self.limit:g}: {self.spent:.4f} spent, one more may cost {cost:.4f};"
                    " stopped with what is done, raise budget_usd to go on"
                )
                return False
            self._changed.clear()
            await self._changed.wait()
        self.reserved[query.query_id] = cost
        return True

    def settle(self, query_id: str, cost: float) -> None:
        self.reserved.pop(query_id, None)
        self.spent += cost
        self._changed.set()


def generate_qa(config: GenerateQaConfig) -> GenerateQaResult:
    """Ask the teacher every query of `config.input` that `config.output` does not answer yet.

    Writes `output` (Results in the order of the queries), `gptvqa_failed.jsonl`, `gptvqa_log.jsonl` and
    `usage.json`. Raises ParameterError when the budget is too small for one request, DataEngineError when the
    teacher is down or refuses to go on; what was received is kept and the next run goes on from there.
    """
    queries = read_queries(config.input)
    _check_image_root(config, queries)
    prices = read_prices(config.prices)
    price = prices.of(config.teacher)
    settings = {
        "temperature": config.temperature,
        "seed": None if config.temperature is None else config.seed,
    }
    if any(query.attach_image for query in queries):
        settings["max_side"] = config.max_side
    files = ReplyFiles(config.output, recorded_name(config.teacher), settings, config.max_output_tokens)
    budget = _Budget(config.budget_usd, price, config.max_output_tokens)
    _check_budget(budget, config, queries)
    try:
        files.open(queries)
        note, date = _price_note(config, price, prices)
        before = files.write_usage(price, date, note)
        budget.spent = before.cost_usd or 0.0
        earlier = len(files.results)
        known = files.results.keys() | files.failures.keys()
        pending = [query for query in queries if query.query_id not in known]
        if config.budget_usd is None:
            # Servers cache common beginnings, and a prompt begins with its type's. Under a budget the order
            # of the file decides, which has all types in every block of it, or the last would get nothing.
            pending.sort(key=lambda query: query.question_type)
        try:
            if pending:
                run(_ask(config, files, budget, pending, len(queries)))
        finally:
            files.finish(queries)
            usage = files.write_usage(price, date, note)
    finally:
        files.close()
    failures = in_order(files.failures, queries)
    if failures and not files.results:
        raise DataEngineError(
            f"{files.failed}: none of {len(failures)} queries got a usable reply; first: {failures[0].reason}"
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
        notes=[*files.notes, *([note] if note else []), *([budget.stopped] if budget.stopped else [])],
        image_root=config.image_root or config.coco_dataset,
    )


def _check_image_root(config: GenerateQaConfig, queries: list[Query]) -> None:
    sends = config.teacher == "playground" or config.teacher.startswith("openai:")
    if sends and not (config.image_root or config.coco_dataset) and any(q.attach_image for q in queries):
        raise ParameterError(
            f"{config.input}: its queries send their pictures to the teacher; give image_root"
        )


def _check_budget(budget: _Budget, config: GenerateQaConfig, queries: list[Query]) -> None:
    if config.budget_usd is None or not queries:
        return
    if budget.price is None:
        raise ParameterError(
            f"budget_usd: no price is known for {config.teacher}; add it to params/prices.yaml"
        )
    dearest = max(budget.worst(query) for query in queries)
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


async def _ask(
    config: GenerateQaConfig, files: ReplyFiles, budget: _Budget, pending: list[Query], total: int
) -> None:
    from tqdm.auto import tqdm

    def on_reply(query: Query, reply: Reply) -> None:
        row = _row(query, reply, files.teacher, config.max_output_tokens)
        log = {"request_id": reply.request_id, "attempts": reply.attempts, "model": reply.model}
        files.add(row, **log, outcome="kept" if isinstance(row, Result) else row.kind)
        price = budget.price
        cost = price.cost(reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) if price else 0.0
        budget.settle(query.query_id, cost)
        bar.update()

    def on_failure(query: Query, failure: AskFailed) -> None:
        files.add(
            Failure(
                query_id=query.query_id,
                image_id=query.image_id,
                question_type=query.question_type,
                kind=ERROR,
                reason=str(failure),
                model=files.teacher,
            ),
            attempts=failure.attempts,
            outcome=ERROR,
        )
        budget.settle(query.query_id, 0.0)
        bar.update()

    teacher_for = load_teacher(
        config.teacher,
        config.base_url,
        coco_dataset=config.coco_dataset,
        image_root=config.image_root or config.coco_dataset,
        max_side=config.max_side,
        temperature=config.temperature,
        max_output_tokens=config.max_output_tokens,
        timeout_s=config.timeout_s,
        max_attempts=config.max_attempts,
        seed=config.seed,
    )
    with tqdm(total=total, initial=total - len(pending), desc="asking the teacher", disable=None) as bar:
        async with teacher_for as teacher:
            await ask_all(teacher, pending, config.concurrency, on_reply, on_failure, budget.admit)


def _row(query: Query, reply: Reply, teacher: str, max_output_tokens: int) -> Result | Failure:
    """A reply as a result, or as a failure when it is no use: cut off, refused, filtered, empty."""
    kind = reply.finish_reason if reply.finish_reason in _UNUSABLE else "" if reply.text.strip() else "empty"
    # The teacher's asked-for name, not the one it answers with: servers change that between two runs.
    shared: dict[str, Any] = {
        "query_id": query.query_id,
        "image_id": query.image_id,
        "question_type": query.question_type,
        "raw_instructions": reply.text,
        "model": teacher,
        "prompt_tokens": reply.prompt_tokens,
        "cached_tokens": reply.cached_tokens,
        "completion_tokens": reply.completion_tokens,
    }
    if kind:
        reason = _UNUSABLE[kind].format(limit=max_output_tokens)
        return Failure(kind=kind, reason=reason, max_output_tokens=max_output_tokens, **shared)
    return Result(image_path=query.image_path, finish_reason=reply.finish_reason, **shared)
