"""Step 0: the teacher gives every question its type."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any

import msgspec
from pydantic import Field, field_validator

from dataengine_lib.chat.ask_many import ask_each, run
from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed, Reply
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.append_file import AppendFile
from dataengine_lib.core.files import write_json
from dataengine_lib.core.prompt_template import sandbox
from dataengine_lib.core.records import Query, Question, options_text, qa_prompt
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.questions.categories import CategorySet, read_categories
from dataengine_lib.questions.reader import Skipped, read_question_rows
from dataengine_lib.replies.json_reply import objects_in, strict_object
from dataengine_lib.resources import CATEGORY_SETS, CLASSIFY_PROMPTS
from dataengine_lib.teachers.loading import load_chat
from dataengine_lib.teachers.request import messages
from dataengine_lib.teachers.spec import check_spec, recorded_name

_LINE = re.compile(r"^\W*(?:question|item)?\s*(\d+)\W+(\w.*)$", re.IGNORECASE)
_COCO_SPLITS = {"train": "train2017", "val": "val2017", "test": "test2017"}


class ClassifyQuestionsConfig(StepConfig, ChatSettings):
    """Parameters of `0_classify_questions`."""

    questions: Path
    """A-OKVQA-style questions, with or without question_type."""
    output: Path
    """Classified questions: {type: [question]}."""
    image_root: Path | None = None
    """Where the images are; those inside a TSV are written there."""
    teacher: str = "playground"
    """openai:MODEL or playground."""
    categories: Annotated[str | Path, CATEGORY_SETS] = "v1"
    """The question types: v1, seed_bench, mmbench, mmbench_l3 or a file."""
    template: Annotated[str | Path, CLASSIFY_PROMPTS] = "classify"
    """What the teacher is asked: classify or a file."""
    batch_size: int = Field(20, ge=1)
    """Questions in one request."""
    concurrency: int = Field(16, ge=1)
    """Most requests at the same time; fewer while the server is busy."""
    budget_usd: float | None = Field(None, gt=0)
    """Stop before more than this is spent on this output."""
    prices: Path | None = None
    """Price table; default: the built-in one."""
    max_asks: int = Field(3, ge=1)
    """Times that a question is asked at most, until it gets a legal type."""
    keep_known: bool = True
    """Keep question_type where there is one; the teacher's is only compared."""
    agreement_sample: int = Field(200, ge=0)
    """Known types to compare the teacher's with, when kept."""
    max_output_tokens: int = Field(2000, ge=1)
    """Of one reply; models that reason need more."""
    seed: int = 0
    """Draws the agreement sample; sent with temperature to servers that sample."""

    @field_validator("teacher")
    @classmethod
    def _reads_questions(cls, spec: str) -> str:
        if check_spec(spec).partition(":")[0] not in ("openai", "playground"):
            raise ValueError("this teacher cannot sort questions; choose openai:MODEL or playground")
        return spec


@dataclass
class ClassifyQuestionsResult:
    """What notebook 0 shows.

    `agreement` is the share of `compared` questions to which the teacher gave their known type; `confusions`
    are (known type, the teacher's, how often), most often first; `illegal` counts what the teacher named that
    is no type, `foreign` the types that it gave to items that it was not asked.
    """

    output: Path
    counts: dict[str, int]
    requests: int
    compared: int
    agreement: float | None
    confusions: list[tuple[str, str, int]]
    illegal: dict[str, int]
    foreign: int
    failed: list[str]  # why requests got no usable reply
    unanswered: list[Question]
    skipped: list[Skipped]  # rows of the file that are no questions


@dataclass(frozen=True)
class _Batch:
    """Questions that are asked about together, and the request about them, by which its money is reserved."""

    keys: list[str]
    query: Query


class _Said(msgspec.Struct):
    """A row of the progress file: the type that the teacher gave one question, by `key`.

    `usd` is what the whole reply cost, in the first of its rows; alone, without a key, what a reply of no use did, or
    what a request without an answer may have.
    """

    key: str
    question_type: str
    usd: float = 0.0


def types_schema(names: list[str]) -> dict[str, Any]:
    """What a teacher's reply is held to: a type out of `names` for each item, by the item's number."""
    item = strict_object(id={"type": "integer"}, question_type={"type": "string", "enum": names})
    return strict_object(types={"type": "array", "items": item})


def parse_types(text: str, names: list[str]) -> tuple[dict[int, str], Counter[str]]:
    """The legal types in a reply, by number, and how often it named what is no type.

    Read are the objects of `types_schema` and `number: type` lines; bullets, bold, capitals, spaces for
    underscores and a remark after the type are passed over. A number that gets two different types gets none.
    """
    legal = {_normal(name): name for name in names}
    said: dict[int, str] = {}
    illegal: Counter[str] = Counter()
    for number, words in _named(text):
        found = legal.get(_normal(words)) or legal.get(_normal(re.split(r"[(,;:.]|\s[-–—]", words)[0]))
        if found is None:
            illegal[" ".join(words.split())[:60]] += 1
        elif said.setdefault(number, found) != found:
            said[number] = ""
    return {number: name for number, name in said.items() if name}, illegal


def _named(text: str) -> Iterator[tuple[int, str]]:
    for item in objects_in(text):
        if re.fullmatch(r"\d{1,9}", str(item.get("id"))) and "question_type" in item:
            yield int(item["id"]), str(item["question_type"])
    for line in text.splitlines():
        if match := _LINE.match(line):
            yield int(match[1]), match[2]


def _normal(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


def classify_questions(config: ClassifyQuestionsConfig) -> ClassifyQuestionsResult:
    """Write the questions by type, with `question_type`, `prompt` and `image_path`.

    What the teacher says is kept as it comes in `<output>.progress.jsonl`; the next run asks for the rest.
    Raises ParameterError when the budget is too small for one request, DataEngineError when the teacher is down or
    gives no question a type.
    """
    if config.image_root is not None and not config.image_root.is_dir():
        raise DataEngineError(f"{config.image_root}: no such image folder; check image_root")
    questions, skipped = read_question_rows(config.questions, config.image_root)
    categories = read_categories(config.categories)
    wanted = _wanted(questions, config)
    sorter = _Sorter(wanted, categories, config)
    sorter.run()
    said = sorter.said
    pairs = [(question.question_type, said[key]) for key, question in wanted.items() if key in said]
    compared = [(known, teacher) for known, teacher in pairs if known]
    classified: dict[str, list[Question]] = {name: [] for name in categories.names}
    unanswered = []
    for question in questions:
        key = _key(question)
        keep = config.keep_known and question.question_type
        kind = question.question_type if keep else said.get(key, "")
        if kind:
            opinion = (said.get(key) or question.teacher_type) if keep else ""
            classified.setdefault(kind, []).append(_finished(question, kind, opinion))
        else:
            unanswered.append(question)
    if len(unanswered) == len(questions):
        reasons = [row.reason for row in skipped[:1]]
        said_instead = [*map(repr, list(sorter.illegal)[:3]), *sorter.failed[-1:], *reasons]
        raise DataEngineError(
            f"{config.questions}: none of {len(questions) + len(skipped)} rows got a type of"
            f" {config.categories} ({', '.join(said_instead) or 'no answer'}); check file and teacher"
        )
    write_json(config.output, classified)
    confusions = Counter(pair for pair in compared if pair[0] != pair[1])
    return ClassifyQuestionsResult(
        output=config.output,
        counts={name: len(rows) for name, rows in classified.items()},
        requests=sorter.asked,
        compared=len(compared),
        agreement=1 - confusions.total() / len(compared) if compared else None,
        confusions=sorted(((a, b, n) for (a, b), n in confusions.items()), key=lambda row: (-row[2], row)),
        illegal=dict(sorted(sorter.illegal.items(), key=lambda row: (-row[1], row))),
        foreign=sorter.foreign,
        failed=sorter.failed,
        unanswered=unanswered,
        skipped=skipped,
    )


def _wanted(questions: list[Question], config: ClassifyQuestionsConfig) -> dict[str, Question]:
    """By key, the questions that the teacher is to sort: those without a type, and a sample of the others."""
    keyed = {_key(question): question for question in questions}
    if not config.keep_known:
        return keyed
    known = sorted(key for key, question in keyed.items() if question.question_type)
    sample = set(Random(config.seed).sample(known, min(config.agreement_sample, len(known))))
    return {key: row for key, row in keyed.items() if not row.question_type or key in sample}


def _key(question: Question) -> str:
    content = "\n".join([question.question_id, question.question, *question.choices])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _finished(question: Question, kind: str, opinion: str) -> Question:
    """The question with its type; the teacher's opinion stands beside a known type only, not beside itself."""
    folder = _COCO_SPLITS.get(question.split)
    path = question.image_path
    if not path and folder and question.image_id >= 0:
        path = f"{folder}/{question.image_id:012d}.jpg"
    prompt = qa_prompt(question.question, question.choices, question.correct_choice_idx, kind)
    return msgspec.structs.replace(
        question, question_type=kind, prompt=prompt, image_path=path, teacher_type=opinion
    )


class _Sorter:
    """Sends the questions in batches and keeps what the teacher says, in memory and in the progress file."""

    def __init__(
        self, wanted: dict[str, Question], categories: CategorySet, config: ClassifyQuestionsConfig
    ) -> None:
        self.wanted, self.names, self.config = wanted, categories.names, config
        self.render = _load_template(
            config.template, [(name, categories.definition(name)) for name in self.names]
        )
        # Another teacher or another prompt is another opinion: one's progress does not answer for the other.
        opinion = f"{recorded_name(config.teacher)}\n{self.render([])}".encode()
        self.opinion = hashlib.sha256(opinion).hexdigest()[:8]
        self.progress = config.output.with_name(config.output.name + ".progress.jsonl")
        self.stream = AppendFile(self.progress, config.output)
        rows: list[_Said] = list(self.stream.rows(msgspec.json.Decoder(_Said).decode))
        before = {row.key: row.question_type for row in rows}
        self.spent = sum(row.usd for row in rows)
        self.price = read_prices(config.prices).of(config.teacher)
        self.budget = Budget(config.budget_usd, self.price, config.service_tier or "", lambda: self.spent)
        self.said = {key: kind for key in wanted if (kind := before.get(f"{self.opinion}-{key}"))}
        self.illegal: Counter[str] = Counter()
        self.failed: list[str] = []
        self.asked = self.foreign = 0

    def run(self) -> None:
        """Ask for what is missing, `max_asks` times at most."""
        from tqdm.auto import tqdm

        try:
            if len(self.said) < len(self.wanted):
                first = self._batch(self._missing()[: self.config.batch_size])
                self.budget.check([first.query], self.config.max_output_tokens, self.config.teacher)
                self.bar = tqdm(
                    total=len(self.wanted), initial=len(self.said), desc="sorting questions", disable=None
                )
                with self.bar:
                    run(self._ask())
        finally:
            self.stream.close()
        if self.budget.stopped:
            self.failed.append(self.budget.stopped)

    def _missing(self) -> list[str]:
        return [key for key in self.wanted if key not in self.said]

    def _batch(self, keys: list[str]) -> "_Batch":
        prompt = self.render([self.wanted[key] for key in keys])
        return _Batch(keys, Query(image_id=-1, prompt=prompt, question_type="", query_id=keys[0]))

    async def _ask(self) -> None:
        config, schema = self.config, types_schema(self.names)
        async with load_chat(config.teacher, config) as chat:

            async def ask(batch: _Batch) -> Reply:
                def may_retry() -> bool:
                    self._settle(batch, unanswered=True)
                    return self.budget.reserve(batch.query, config.max_output_tokens)

                return await chat.complete(messages(batch.query), schema=schema, may_retry=may_retry)

            async def admit(batch: _Batch) -> bool:
                return await self.budget.admit(batch.query, config.max_output_tokens)

            for _ in range(config.max_asks):
                missing = [] if self.budget.stopped else self._missing()
                starts = range(0, len(missing), config.batch_size)
                # made when their turn comes: the prompts of all would be in memory otherwise
                batches = (self._batch(missing[start : start + config.batch_size]) for start in starts)
                self.asked += len(starts)
                await ask_each(
                    ask,
                    batches,
                    config.concurrency,
                    self._on_reply,
                    self._on_failure,
                    admit,
                    config.timeout_s,
                )

    def _on_reply(self, batch: "_Batch", reply: Reply) -> None:
        if reply.finish_reason in ("length", "refusal", "content_filter"):
            limit = self.config.max_output_tokens
            self.failed.append(f"a reply ended by {reply.finish_reason}, with max_output_tokens={limit}")
        usd = self.price.of(reply, self.config.service_tier or "") if self.price else 0.0
        self.spent += usd
        self._settle(batch, not reply.has_token_counts)
        types, illegal = parse_types(reply.text, self.names)
        self.illegal.update(illegal)
        self.foreign += sum(not 1 <= number <= len(batch.keys) for number in types)
        for number, key in enumerate(batch.keys, 1):
            if number in types:
                self.said[key] = types[number]
                self.stream.add(_Said(f"{self.opinion}-{key}", types[number], usd))
                usd = 0.0
                self.bar.update()
        self._without_type(usd)

    def _on_failure(self, batch: "_Batch", failure: AskFailed) -> None:
        self.failed.append(str(failure))
        self._settle(batch, failure.unanswered)

    def _settle(self, batch: "_Batch", unanswered: bool = False) -> None:
        lost = self.budget.settle(batch.query, unanswered)
        self.spent += lost
        self._without_type(lost)

    def _without_type(self, usd: float) -> None:
        if usd:
            self.stream.add(_Said("", "", usd))


def _load_template(choice: str | Path, types: list[tuple[str, str]]) -> Callable[[list[Question]], str]:
    """`render(questions) -> prompt`; raises ParameterError naming the file and what is wrong with it."""
    import jinja2

    file = CLASSIFY_PROMPTS.file(choice)
    try:
        template = sandbox().from_string(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(
            f"{file}: cannot be read ({error.strerror}); {CLASSIFY_PROMPTS.hint()}"
        ) from error
    except jinja2.TemplateSyntaxError as error:
        raise ParameterError(f"{file}: line {error.lineno}: {error.message}") from error

    def render(questions: list[Question]) -> str:
        # One line each: a line break in a question must not look like an item of the list.
        items = [
            (number, " ".join(row.question.split()), " ".join(options_text(row.choices).split()))
            for number, row in enumerate(questions, 1)
        ]
        try:
            return template.render(types=types, items=items)
        except jinja2.TemplateError as error:
            raise ParameterError(f"{file}: {error.message}; names to use: types, items") from error

    return render
