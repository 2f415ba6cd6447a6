"""Step 3: the teacher answers every query; replies are kept as they arrive and never paid for twice."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import PaidChatSettings
from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.records import Query, Result
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import ParameterError
from dataengine_lib.teachers.batch_state import BatchState, refuse_if_in_progress
from dataengine_lib.teachers.query_asker import BatchOptions, QueryAsker
from dataengine_lib.teachers.query_costs import TypeCost, query_costs
from dataengine_lib.teachers.reply_files import Failure, ReplyFiles, UsageFile, in_order
from dataengine_lib.teachers.request import CanonicalRequests, read_queries, read_spares
from dataengine_lib.teachers.spares import SpareWaves
from dataengine_lib.teachers.spec import check_spec, recorded_name
from dataengine_lib.teachers.warnings import check_answered, reply_warnings

if TYPE_CHECKING:
    import pandas as pd


class GenerateQaConfig(StepConfig, PaidChatSettings):
    """Parameters of `3_generate_qa`."""

    input: Path
    """queries: gptvqa_prompt.json of step 2."""
    spares: Path | None = None
    """gptvqa_spare.json of step 2: further queries, of which one is asked for each reply that skips."""
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
    """Seconds between two requests for the state of the batches."""
    batch_requests: int = Field(50_000, ge=1, le=50_000)
    """Most requests in one batch."""
    reply_format: Literal["json", "text"] = "json"
    """json: under a JSON schema where the server supports that."""
    max_failed_share: float = Field(0.5, ge=0, le=1)
    """Stop when a larger share of the queries gets no usable reply; replies that came are kept."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of the queries cannot be asked."""

    _check_teacher = field_validator("teacher")(check_spec)

    @model_validator(mode="after")
    def _batches_need_a_server(self) -> Self:
        if self.mode == "batch" and not self.teacher.startswith(("openai:", "playground")):
            raise ValueError(f"mode batch needs teacher openai:MODEL; {self.teacher} is asked live")
        return self

    @property
    def tier(self) -> str:
        """The service tier or `batch`: what the price depends on beside the model."""
        return "batch" if self.mode == "batch" else self.service_tier or ""

    @property
    def canonical(self) -> CanonicalRequests:
        """Makes the canonical requests, by which the ledger knows replies."""
        return CanonicalRequests(
            recorded_name(self.teacher),
            self.temperature,
            None if self.temperature is None else self.seed,
            self.max_side,
            self.reply_format == "json",
            self.image_root or self.coco_dataset,
        )


@dataclass
class GenerateQaResult:
    """What notebook 3 shows; `unasked` queries were not sent because the budget was used up, `stopped` says so.

    `queries` are those of step 2 and the spares that were asked; of the spares not asked only a note speaks.
    """

    output: Path
    queries: int
    results: list[Result]
    failures: list[Failure]
    earlier: int  # results from the replies of earlier runs
    unasked: int
    usage: UsageFile
    stopped: str
    notes: list[str]
    image_root: Path | None
    warnings: list[str] = field(default_factory=list)
    image_paths: dict[str, str] = field(default_factory=dict)  # of the queries' images, by query_id

    @property
    def replies_frame(self) -> "pd.DataFrame":
        """The replies as a frame, as in `load_run(…).replies`."""
        from dataengine_lib.frames.queries import step_replies_frame

        return step_replies_frame(self.output, self.results, self.failures, self.image_paths)


def generate_qa(config: GenerateQaConfig) -> GenerateQaResult:
    """Send the teacher every query of `config.input` that has no reply in the ledger beside `config.output`.

    With `spares`, further queries are asked in place of those whose reply skips, until every type has as many other replies
    as queries, or no spare is left. Writes `output` (Results in the order of the queries, then of the spares),
    `gptvqa_ledger.jsonl`, `gptvqa_failed.jsonl`, `usage.json` and, with the spares that were asked,
    `gptvqa_spare_asked.json`. Raises ParameterError when the budget is too small for one request, DataEngineError when the
    teacher is down or refuses all requests; what was received is kept and the next run goes on from there.
    """
    return _generate(config)


def price_queries(config: GenerateQaConfig) -> list[TypeCost]:
    """What all queries of `config.input` will cost, the sum and per question type; nothing is sent."""
    price = read_prices(config.prices).of(config.teacher)
    return query_costs(_read(config).queries, price, config.tier, config.max_output_tokens)


def cancel_batches(config: GenerateQaConfig) -> GenerateQaResult:
    """Cancel the running batches of `config.output`, and keep the replies that they have; see `generate_qa`."""
    return _generate(config.model_copy(update={"mode": "batch"}), cancel=True)


def unanswered_queries(config: GenerateQaConfig) -> list[Query]:
    """The queries that `generate_qa` would send next, since the ledger has no reply to them; nothing is sent."""
    queries = _read(config).queries
    _check_image_root(config, queries)
    files = _reply_files(config, queries, queries)[0]
    try:
        return files.pending()
    finally:
        files.close()


def _reply_files(
    config: GenerateQaConfig, queries: list[Query], to_ask: list[Query]
) -> tuple[ReplyFiles, dict[str, str]]:
    """The open files of the output, and the names of the images of `to_ask` by query id."""
    canonical = config.canonical
    # Hashed once per query: the name is part of its key and, later, of its row in the ledger.
    images = {query.query_id: canonical.image_name(query) for query in to_ask if query.attach_image}
    keys = {query.query_id: key_of(canonical.of(query, images.get(query.query_id, ""))) for query in to_ask}
    price = read_prices(config.prices).of(config.teacher)
    files = ReplyFiles(config.output, canonical.teacher, price, queries, keys, config.max_output_tokens)
    return files, images


def _generate(config: GenerateQaConfig, cancel: bool = False) -> GenerateQaResult:
    read = _read(config)
    queries, spares = read.queries, read.spares
    to_ask = [*queries, *spares]
    _check_image_root(config, to_ask)
    prices = read_prices(config.prices)
    price = prices.of(config.teacher)
    note, date = prices.note(config.teacher)
    files, images = _reply_files(config, queries, to_ask)
    try:
        budget = Budget(config.budget_usd, price, config.tier, files.ledger)
        if not cancel:
            # replies that the ledger holds cost nothing
            budget.check(files.pending(), config.max_output_tokens, config.teacher)
            if config.mode == "live":
                refuse_if_in_progress(config.output)
        asker = QueryAsker(
            config.teacher, config, config.canonical, files, budget, images, config.coco_dataset
        )
        waves = SpareWaves(files, queries, spares, BatchState(config.output).keys())
        earlier = len(files.results)
        settings = _usage_settings(config, to_ask)
        # now too: if this run is killed, the file says what earlier ones cost
        files.write_usage(settings, date, note)
        try:
            pending = files.pending() or waves.next()
            if config.mode == "batch":
                options = BatchOptions(config.batch_poll_s, config.batch_requests)
                run(asker.ask_in_batches(pending, options, cancel, waves.next))
            elif pending:
                run(asker.ask_all(pending, waves.next))
        finally:
            # Also after a stop or an interrupt: what was received is put in order and its cost written.
            files.finish()
            waves.write_asked()
            usage = files.write_usage(settings, date, note)
    finally:
        files.close()
    queries = [*queries, *waves.asked]
    failures = in_order(files.failures, queries)
    check_answered(len(files.results), failures, config.max_failed_share, files.failed)
    results = in_order(files.results, queries)
    notes = [
        *files.notes,
        *asker.notes,
        note,
        _lost_money(files.ledger.lost_usd + files.ledger.reserved_usd),
        *waves.notes(),
        budget.stopped,
    ]
    return GenerateQaResult(
        output=config.output,
        queries=len(queries),
        results=results,
        failures=failures,
        earlier=earlier,
        unasked=len(queries) - len(files.results) - len(failures),
        usage=usage,
        stopped=budget.stopped,
        notes=[line for line in notes if line],
        image_root=config.image_root or config.coco_dataset,
        warnings=[
            *read.warnings,
            *reply_warnings(queries, results, failures, budget.stopped),
            *([] if budget.stopped or cancel else waves.warnings()),
        ],
        image_paths={query.query_id: query.image_path for query in queries},
    )


class _Read(NamedTuple):
    queries: list[Query]
    spares: list[Query]
    warnings: list[str]  # of rows that are left out


def _read(config: GenerateQaConfig) -> _Read:
    bad = BadRows(
        config.input, config.max_bad_share, wanted="gptvqa_prompt.json of construct-queries", keep=20
    )
    queries, spares = read_queries(config.input, bad), list[Query]()
    warnings = bad.warnings()
    if config.spares:
        bad = BadRows(
            config.spares, config.max_bad_share, wanted="gptvqa_spare.json of construct-queries", keep=20
        )
        spares = read_spares(config.spares, bad, queries)
        warnings += bad.warnings()
    return _Read(queries, spares, warnings)


def _lost_money(usd: float) -> str:
    """What a person should know of `usd` US dollars that requests without a usable bill may have cost."""
    if not usd:
        return ""
    return (
        f"requests without a reply, or without token counts in it, may have cost up to {usd:.2f} US dollars;"
        " budget_usd counts them too"
    )


def _usage_settings(config: GenerateQaConfig, queries: list[Query]) -> dict[str, Any]:
    """What `usage.json` says of how replies were requested."""
    settings: dict[str, Any] = {
        "temperature": config.canonical.temperature,
        "seed": config.canonical.seed,
        "reply_format": config.reply_format,
    }
    if any(query.attach_image for query in queries):
        settings["max_side"] = config.max_side
    return settings


def _check_image_root(config: GenerateQaConfig, queries: list[Query]) -> None:
    sends = config.teacher == "playground" or config.teacher.startswith("openai:")
    if sends and not (config.image_root or config.coco_dataset) and any(q.attach_image for q in queries):
        raise ParameterError(
            f"{config.input}: its queries send their pictures to the teacher; give image_root"
        )
