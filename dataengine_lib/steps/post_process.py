"""Step 4: the teacher's raw replies become training records; dropped ones are kept aside with a reason."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec
from pydantic import Field, field_validator

from dataengine_lib.core.files import JsonList, replacing, write_json
from dataengine_lib.core.records import Result, TrainRecord
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.curation.candidates import Candidate, Item, Reject, rejected
from dataengine_lib.curation.checks import Checks, Mode, RecordChecks
from dataengine_lib.curation.option_order import OptionOrder
from dataengine_lib.curation.repeats import RecordIds, Repeats
from dataengine_lib.curation.review import Decisions, read_review, reviewed
from dataengine_lib.curation.second_reader import check_reader
from dataengine_lib.curation.tally import Counts, Tally
from dataengine_lib.errors import ParameterError
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.other_datasets import others_format, read_others
from dataengine_lib.replies.parse import Qa, parse_reply
from dataengine_lib.replies.result_rows import read_lines, read_row


class PostProcessConfig(StepConfig):
    """Parameters of `4_post_process`."""

    input: Path
    """gptvqa_result.jsonl of step 3, or others' QAs: LLaVA's conversations, v2's records."""
    output: Path
    """gptvqa_train_data.json."""
    rejects: Path | None = None
    """Dropped rows with their reasons; default: rejects.jsonl beside output."""
    image_root: Path | None = None
    """Where image_path starts; only to show the pictures."""
    shuffle_choices: bool = True
    """Every letter is right equally often in every type; False: as written."""
    review: Path | None = None
    """What a person decided about records; default: review.json beside output."""
    box_check: Mode = "drop"
    """Off, mark or drop QAs that boxes refute; says nothing without coco_dataset."""
    coco_dataset: Path | None = None
    """Captions and boxes of the images."""
    leaks: Mode = "drop"
    """Off, mark or drop QAs that give away the evaluation; says nothing without questions."""
    questions: Path | None = None
    """Evaluation questions."""
    evaluation_image_root: Path | None = None
    """Where their image_path starts."""
    near_duplicates: Mode = "drop"
    """Off, mark or drop QAs that ask nearly the same of the same image."""
    near_question: float = Field(0.8, ge=0, le=1)
    """Questions this alike are the same (0: exactly the same)."""
    earlier: list[Path] = Field(default_factory=list)
    """gptvqa_train_data.json of earlier rounds."""
    coco_embedding: Path | None = None
    """Of step 2; with it, near-duplicate images are one."""
    near_image: float = Field(0.98, gt=0, le=1)
    """Cosine from which they are."""
    second_reader: str = ""
    """openai:MODEL or playground answers every question again; empty: nobody, it costs."""
    second_reader_image: bool = False
    """It is sent the picture too, which lies under image_root."""
    second_answer: Mode = "drop"
    """Off, mark or drop QAs of which it says something else, or cannot tell."""
    blind_reader: str = ""
    """openai:MODEL or playground answers without the picture; empty: nobody, it costs."""
    blind_answer: Mode = "mark"
    """Off, mark or drop QAs that it finds, a fourth of the fair ones by chance."""
    blind_classifier: Mode = "mark"
    """Off, mark, or drop what words alone give away, until chance is reached."""
    blind_sample: int = Field(10_000, ge=0)
    """Most QAs that it scores, drawn with seed; 0, or drop: all."""
    base_url: str | None = None
    """Of the readers' server; default OPENAI_BASE_URL, then OpenAI itself."""
    concurrency: int = Field(16, ge=1)
    """Requests to the readers at the same time."""
    budget_usd: float | None = Field(None, gt=0)
    """Stop asking before more than this is spent on the readers."""
    seed: int = 0
    """Draws the choices' order and the QAs that are shown."""

    @field_validator("second_reader", "blind_reader")
    @classmethod
    def _chat_model(cls, spec: str) -> str:
        return check_reader(spec) if spec else spec

    @property
    def readers(self) -> dict[str, str]:
        """The readers that are asked, by the parameter that names them."""
        modes = {"second_reader": self.second_answer, "blind_reader": self.blind_answer}
        return {name: spec for name, mode in modes.items() if mode != "off" and (spec := getattr(self, name))}


@dataclass
class PostProcessResult:
    """What the notebook shows: the counts, a few kept QAs per type and a few dropped replies per reason.

    All records and rejects are in the files; they are not held here, so that memory does not grow with them.
    """

    sample: list[TrainRecord]
    counts: Counts
    examples: dict[str, list[Reject]]
    output: Path
    rejects_path: Path
    counts_path: Path
    review_path: Path
    image_root: Path | None
    notes: list[str]


def post_process(config: PostProcessConfig) -> PostProcessResult:
    """Write the training records, the rejects and the counts; no row stops the run.

    Rows are read, judged and written one after the other; the files take their places when all is written. Same
    input, review and seed, same bytes. Raises DataEngineError when the input cannot be read or an output cannot be
    written, and ParameterError for a review file with wrong decisions.
    """
    rejects_path = config.rejects or config.output.parent / "rejects.jsonl"
    counts_path = config.output.parent / "post_process.json"
    review_path = config.review or config.output.parent / "review.json"
    _check_files(config, rejects_path, counts_path, review_path)
    decisions = read_review(review_path)
    tally = Tally(config.seed, decisions)
    checks = _checks(config)
    with replacing(config.output) as records, replacing(rejects_path) as rejects:
        kept = JsonList(records)
        for item in _items(config, checks, decisions):
            tally.add(item)
            if isinstance(item, Candidate):
                kept.append(item.record)
            else:
                rejects.write(msgspec.json.encode(item) + b"\n")
        kept.close()
    counts = msgspec.structs.replace(tally.counts(), checks=checks.summary)
    write_json(counts_path, counts)
    examples = {reason: tally.examples[reason] for reason in counts.by_reason}
    return PostProcessResult(
        sample=tally.sample,
        counts=counts,
        examples=examples,
        output=config.output,
        rejects_path=rejects_path,
        counts_path=counts_path,
        review_path=review_path,
        image_root=config.image_root,
        notes=[*checks.notes, *_notes(counts, review_path, rejects_path)],
    )


def _check_files(config: PostProcessConfig, *others: Path) -> None:
    files = [path.resolve() for path in (config.input, config.output, *others)]
    if len(set(files)) < len(files):
        raise ParameterError(
            f"{config.output}: input, output, rejects, review and post_process.json must be five "
            "different files; choose other names"
        )


def _checks(config: PostProcessConfig) -> RecordChecks:
    chosen = Checks(**{one.name: getattr(config, one.name) for one in fields(Checks)})
    # what the readers were paid for stays, whatever becomes of this run
    ledger = config.output.parent / "readers_ledger.jsonl"
    return RecordChecks(chosen, ledger, letters=not config.shuffle_choices)


def _notes(counts: Counts, review_path: Path, rejects_path: Path) -> list[str]:
    """What a reader of the counts should know about the kept QAs."""
    notes = []
    if counts.rationales_left_out:
        notes.append(
            f"{counts.rationales_left_out:,} rationales left out: which choices they name cannot be told"
        )
    if counts.choices_stay:
        notes.append(
            f"{counts.choices_stay:,} questions keep the order of their choices, of which they speak"
        )
    if dropped := counts.reviewed.get("dropped"):
        notes.append(
            f"{review_path}: {dropped:,} decisions accept or edit QAs that a filter or a check had dropped before, "
            f"and have no effect; {rejects_path.name} says why they were dropped, and a check of mode mark drops none"
        )
    if unknown := counts.reviewed.get("unknown"):
        notes.append(
            f"{review_path}: {unknown:,} decisions are about records that are not here; they are kept"
        )
    return notes


def _items(config: PostProcessConfig, checks: RecordChecks, decisions: Decisions) -> Iterator[Item]:
    """Every QA and every reject of the input in its order; a stage takes a stream and gives one.

    Checks come before the order of choices is drawn, since the texts they read are the teacher's; a person's word
    comes last.
    """
    items = checks.run(_parsed(config.input))
    if config.shuffle_choices:
        items = _shuffled(items, OptionOrder(config.seed))
    return reviewed(items, decisions) if decisions else items


def _shuffled(items: Iterator[Item], order: OptionOrder) -> Iterator[Item]:
    for item in items:
        yield order.shuffle(item) if isinstance(item, Candidate) else item


def _rows(path: Path) -> Iterator[tuple[int, Result | str, bytes]]:
    """Number, row or what is wrong with it, and its text; of others' QA files as if a teacher had replied."""
    if others_format(path):
        for number, row in read_others(path):
            yield number, row, b""
    else:
        for number, line in read_lines(path):
            yield number, read_row(line), line


def _parsed(path: Path) -> Iterator[Item]:
    """Replies read into QAs without repeats; a reply is kept whole, or dropped whole with one reason."""
    repeats, ids = Repeats(), RecordIds()
    for number, row, line in _rows(path):
        if isinstance(row, str):
            raw = line.decode("utf-8", "replace")
            yield Reject(line=number, reason=Reason.MALFORMED.value, detail=row, raw_instructions=raw)
            continue
        parsed = parse_reply(row.raw_instructions, truncated=row.finish_reason == "length")
        if isinstance(parsed, Reason):
            yield rejected(number, row, parsed.value)
            continue
        new = repeats.new(row.image_id, parsed)
        if not new:
            yield rejected(number, row, Reason.DUPLICATE.value, parsed[0].question)
        for place, qa in enumerate(new):
            yield Candidate(number, _record(row, qa, ids.of(row, place)), qa.correct_choice_idx)


def _record(row: Result, qa: Qa, record_id: str) -> TrainRecord:
    return TrainRecord(
        image_id=row.image_id,
        raw_instructions=row.raw_instructions,
        question_type=row.question_type,
        question=qa.question,
        choices=qa.choices,
        correct_choice_idx=qa.correct_choice_idx,
        rationales=qa.rationales,
        query_id=row.query_id,
        image_path=row.image_path,
        short_answer=qa.short_answer,
        model=row.model,
        request_key=row.request_key,
        template=row.template,
        prompt_sha256=row.prompt_sha256,
        example_ids=row.example_ids,
        round=row.round,
        record_id=record_id,
    )
