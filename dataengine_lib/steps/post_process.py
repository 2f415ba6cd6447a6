"""Step 4: turns the teacher's raw replies into training records; what is dropped is written aside with a reason."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from pydantic import Field

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.files import JsonList, read_json, read_jsonl, write_json
from dataengine_lib.core.json_rows import line_count
from dataengine_lib.core.machine.garbage import older_objects_kept
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.records import ImageId, TrainRecord
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.curation.candidates import Candidate, CandidateOrReject, Reject
from dataengine_lib.curation.checks import RecordChecks
from dataengine_lib.curation.counts import PostProcessCounts
from dataengine_lib.curation.option_order import OptionOrder
from dataengine_lib.curation.parsing.parsed_replies import ParsedReply, candidates
from dataengine_lib.curation.parsing.second_process import replies_read_ahead
from dataengine_lib.curation.reviews.decisions import Decisions, apply_review, read_review
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.curation.tally import Tally
from dataengine_lib.curation.warnings import check_any_kept, curation_warnings
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.pool import ImagePool, NamedBox
from dataengine_lib.replies.drop_reasons import Reason

if TYPE_CHECKING:
    import pandas as pd

_WANTED = "gptvqa_result.jsonl of generate-qa, or LLaVA's conversations or v2's records"
_MOST_SHOWN = 20  # malformed rows that are kept for the warning; all are in the rejects


class PostProcessConfig(StepConfig, CheckSettings):
    """Parameters of `4_post_process`."""

    input: Path
    """gptvqa_result.jsonl of step 3, or QAs of other projects: LLaVA's conversations, v2's records."""
    output: Path
    """gptvqa_train_data.json."""
    rejects: Path | None = None
    """Dropped rows with their reasons; default: rejects.jsonl beside output."""
    shuffle_choices: bool = True
    """Make every letter right equally often in every type; False: keep the order as written."""
    review: Path | None = None
    """A person's decisions about records; default: review.json beside output."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of the rows are no replies at all; replies that are dropped do not count."""


@dataclass
class PostProcessResult:
    """What the notebook shows: the counts, a few kept QAs per type and a few rejects per reason.

    All records and rejects are in the files, from which `records()` and `rejects()` read them, so that memory does not
    grow with their number before somebody asks for them.
    """

    sample: list[TrainRecord]
    counts: PostProcessCounts
    examples: dict[str, list[Reject]]
    output: Path
    rejects_path: Path
    counts_path: Path
    review_path: Path
    image_root: Path | None
    notes: list[str]
    warnings: list[str] = field(default_factory=list)
    pool: ImagePool | None = None  # the images with their boxes, where a check read them

    def records(self) -> list[TrainRecord]:
        """The kept QAs, read from the file."""
        found: list[TrainRecord] = read_json(self.output, list[TrainRecord])
        return found

    def rejects(self) -> list[Reject]:
        """What was dropped, read from the file."""
        return read_jsonl(self.rejects_path, Reject)

    def boxes(self, image_id: ImageId) -> list[NamedBox]:
        """The boxes of an image; none where no check read the pool or the pool has no such image."""
        image = self.pool.find(image_id) if self.pool else None
        return image.boxes if image else []

    @property
    def records_frame(self) -> "pd.DataFrame":
        """The QAs, kept and dropped, as a frame, as in `load_run(…).records`; read from the files."""
        from dataengine_lib.frames.records import step_records_frame

        return step_records_frame(self.output, self.rejects_path)


def post_process(config: PostProcessConfig) -> PostProcessResult:
    """Write the training records, the rejects and the counts; a faulty row never stops the run.

    Rows are read, checked and written one by one; files appear under their final names only when all is written. The
    same input, review and seed give the same bytes. Raises DataEngineError when the input cannot be read, too many of
    its rows are no replies at all (`max_bad_share`) or an output cannot be written, and ParameterError for a review file
    with wrong decisions.
    """
    rejects_path = config.rejects or config.output.parent / "rejects.jsonl"
    counts_path = config.output.parent / "post_process.json"
    review_path = config.review or config.output.parent / "review.json"
    _check_files(config, rejects_path, counts_path, review_path)
    decisions = read_review(review_path)
    tally = Tally(config.seed, decisions)
    # replies that were paid for are kept even if this run fails
    ledger = config.output.parent / "readers_ledger.jsonl"
    with ExitStack() as stack:
        stack.enter_context(older_objects_kept())
        replies = stack.enter_context(replies_read_ahead(config.input, config.output.parent))
        malformed = BadRows(config.input, config.max_bad_share, wanted=_WANTED, keep=_MOST_SHOWN)
        lines = line_count(config.input)  # before the checks: an input that is missing is the first fault
        checks = RecordChecks(config, ledger, not config.shuffle_choices, config.max_bad_share)
        counted = _counted(replies, malformed)
        shown = progress_bar(counted, total=lines, desc="checking replies", unit="row")
        kept = JsonList(stack.enter_context(replacing(config.output)))
        with replacing(rejects_path) as rejects:
            for item in _items(config, checks, decisions, stack.enter_context(shown)):
                tally.add(item)
                if isinstance(item, Candidate):
                    kept.append(item.record)
                else:
                    rejects.write(msgspec.json.encode(item) + b"\n")
        kept.close()
        counts = msgspec.structs.replace(tally.counts(), checks=checks.summary)
        # rejects and counts are written first: they say why there are no records
        write_json(counts_path, counts)
        check_any_kept(counts, config.input, rejects_path)
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
        warnings=[
            *malformed.warnings(),
            *checks.warnings,
            *curation_warnings(counts),
            *_review_warnings(counts, config, review_path),
        ],
        pool=checks.pool,
    )


def _check_files(config: PostProcessConfig, *others: Path) -> None:
    # resolved, since one file may be given by two spellings of its path
    files = [path.resolve() for path in (config.input, config.output, *others)]
    if len(set(files)) < len(files):
        raise ParameterError(
            f"{config.output}: input, output, rejects, review and post_process.json must be five "
            "different files; choose other names"
        )


def _notes(counts: PostProcessCounts, review_path: Path, rejects_path: Path) -> list[str]:
    """Sentences that explain counts which a reader may not expect."""
    notes = []
    if counts.rationales_left_out:
        notes.append(
            f"{counts.rationales_left_out:,} rationales left out: it is unclear which choices they name"
        )
    if counts.choices_stay:
        notes.append(
            f"{counts.choices_stay:,} questions keep the order of their choices, which their text refers to"
        )
    if dropped := counts.reviewed.get("dropped"):
        notes.append(
            f"{review_path}: {dropped:,} decisions accept or edit QAs that a filter or a check had dropped before "
            f"and have no effect; {rejects_path.name} says why they were dropped; a check of mode mark drops none"
        )
    return notes


def _review_warnings(counts: PostProcessCounts, config: PostProcessConfig, review_path: Path) -> list[str]:
    """What a person decided, and did not happen."""
    # the default file is there once somebody has decided something; another one was meant to be there
    elsewhere = review_path.resolve() != (config.output.parent / "review.json").resolve()
    if elsewhere and not review_path.exists():
        return [f"{review_path}: no such file, so no decisions were applied"]
    if unknown := counts.reviewed.get("unknown"):
        return [
            f"{review_path}: {unknown:,} decisions are about records that do not exist here and have no effect"
        ]
    return []


def _items(
    config: PostProcessConfig, checks: RecordChecks, decisions: Decisions, replies: Iterable[ParsedReply]
) -> Iterator[CandidateOrReject]:
    """Every QA and every reject of the input, in order; each stage takes a stream and returns one.

    Checks come before the choices are shuffled, because they read the texts as the teacher wrote them; a person's
    decisions come last.
    """
    items = checks.run(candidates(replies))
    if config.shuffle_choices:
        items = _shuffled(items, OptionOrder(config.seed))
    return apply_review(items, decisions) if decisions else items


def _shuffled(items: Iterator[CandidateOrReject], order: OptionOrder) -> Iterator[CandidateOrReject]:
    for item in items:
        yield order.shuffle(item) if isinstance(item, Candidate) else item


def _counted(replies: Iterable[ParsedReply], malformed: BadRows) -> Iterator[ParsedReply]:
    """The replies; rows that are none are added to `malformed`.

    Raises DataEngineError after the last one when too many are none, or there are no rows. No reader is paid before, as
    each of them needs all records to begin, and no file has its final name.
    """
    for reply in replies:
        malformed.n_rows += 1
        if reply.row is None:
            malformed.add(BadRow(f"row {reply.number}", reply.problem, Reason.MALFORMED.value))
        yield reply
    if not malformed.n_rows:
        raise DataEngineError(f"{malformed.file}: has no rows, so there is nothing to train on; check input")
    malformed.check()
