"""Step 4: the checks beyond format, each a column of the record; what fails one is marked, or dropped with a reason."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, tee
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from pydantic import BeforeValidator

from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.blind_classifier import BlindTest, solve_blind
from dataengine_lib.curation.boxes.check import REFUTED, SILENT, check_boxes
from dataengine_lib.curation.candidates import Candidate, Item, reject
from dataengine_lib.curation.check_counts import CheckCount, ChecksSummary, answered_blind
from dataengine_lib.curation.leaks import EvaluationSet
from dataengine_lib.curation.near_duplicates import NearDuplicates
from dataengine_lib.curation.near_images import NearImages
from dataengine_lib.curation.second_reader import CANNOT_SAY, READER_OUTPUT_TOKENS, SecondReader
from dataengine_lib.curation.spool import Spool
from dataengine_lib.embeddings.store import store_exists
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.replies.drop_reasons import Reason

# YAML reads a bare `off` as false
Mode = Annotated[
    Literal["off", "mark", "drop"], BeforeValidator(lambda said: "off" if said is False else said)
]
_BATCH = 2000  # records handed to a reader at a time


@dataclass(frozen=True)
class Checks:
    """What is checked and with what; the fields are parameters of `4_post_process`, which says more of each."""

    coco_dataset: Path | None = None
    image_root: Path | None = None
    box_check: Mode = "drop"
    leaks: Mode = "drop"
    questions: Path | None = None
    evaluation_image_root: Path | None = None
    near_duplicates: Mode = "drop"
    near_question: float = 0.8
    earlier: Sequence[Path] = ()
    coco_embedding: Path | None = None
    near_image: float = 0.98
    second_reader: str = ""
    second_reader_image: bool = False
    second_answer: Mode = "drop"
    blind_reader: str = ""
    blind_answer: Mode = "mark"
    blind_classifier: Mode = "mark"
    blind_sample: int = 10_000
    base_url: str | None = None
    concurrency: int = 16
    budget_usd: float | None = None
    seed: int = 0


class Finding(NamedTuple):
    """What a check says of one record: `columns` to set, whether it said anything, and, if it fails, why."""

    columns: Mapping[str, Any] = MappingProxyType({})
    said: bool = True
    fails: bool = False
    why: str = ""


class RecordChecks:
    """The checks as one stage of the stream of step 4; `summary` and `notes` are whole when the stream has ended.

    Cheap checks come first, so that nobody is paid for what they drop. `ledger` keeps what the readers were paid
    for; beside it lie files for the time of the run. `letters`: choices stay in the order in which they are, so
    that the blind classifier may go by it.
    """

    def __init__(self, checks: Checks, ledger: Path, letters: bool = False) -> None:
        self.checks, self.ledger, self.letters = checks, ledger, letters
        self.summary = ChecksSummary()
        self.notes: list[str] = []
        needs_pool = checks.box_check != "off" or (checks.second_reader and checks.second_answer != "off")
        self.pool = read_pool(checks.coco_dataset) if checks.coco_dataset and needs_pool else None
        self.second = self._reader(checks.second_reader, checks.second_answer, blind=False)
        self.blind = self._reader(checks.blind_reader, checks.blind_answer, blind=True)

    def run(self, items: Iterator[Item]) -> Iterator[Item]:
        """Every item of the stream, QAs with their columns; those that fail as rejects."""
        checks, folder = self.checks, self.ledger.parent
        near: NearImages | None = None
        image_ids: set[int] = set()
        wanted = checks.coco_embedding and {checks.leaks, checks.near_duplicates} != {"off"}
        if checks.coco_embedding and wanted and not store_exists(checks.coco_embedding):
            self.notes.append(
                f"{checks.coco_embedding}: no embeddings, so near-duplicate images are not known"
            )
        elif checks.coco_embedding and wanted:
            near = NearImages(checks.coco_embedding, checks.near_image)
            spool = Spool(items, folder)
            image_ids = {record.image_id for record in spool.records()}
            items = iter(spool)
        if self.pool is not None and checks.box_check != "off":
            items = self._stage(items, "box_check", checks.box_check, Reason.REFUTED, self._boxes)
        if checks.questions and checks.leaks != "off":
            evaluation = EvaluationSet([checks.questions], checks.evaluation_image_root, checks.near_question)
            shown = near.of_evaluation(image_ids) if near else set()
            items = self._stage(
                items, "leaks", checks.leaks, Reason.LEAK, lambda rows: self._leaks(rows, evaluation, shown)
            )
        if checks.near_duplicates != "off":
            items = self._stage(
                items,
                "near_duplicates",
                checks.near_duplicates,
                Reason.NEAR_DUPLICATE,
                lambda rows: self._repeats(rows, near, image_ids),
            )
        for name, reader, mode, reason, judge in (
            ("second_answer", self.second, checks.second_answer, Reason.SECOND_READER, _second),
            ("blind_answer", self.blind, checks.blind_answer, Reason.BLIND_READER, _blind),
        ):
            if reader is not None:
                spool = Spool(items, folder)
                answers = self._ask(name, reader, spool)
                items = self._stage(iter(spool), name, mode, reason, partial(_told, judge, answers))
        if checks.blind_classifier != "off":
            items = self._classified(Spool(items, folder))
        return items

    def _reader(self, spec: str, mode: Mode, blind: bool) -> SecondReader | None:
        if not spec or mode == "off":
            return None
        checks = self.checks
        return SecondReader(
            spec,
            self.ledger,
            ChatSettings(
                base_url=checks.base_url,
                concurrency=checks.concurrency,
                max_output_tokens=READER_OUTPUT_TOKENS,
                seed=checks.seed,
            ),
            pool=self.pool,
            blind=blind,
            attach_image=checks.second_reader_image,
            image_root=checks.image_root,
            budget_usd=checks.budget_usd,
            before=self.second if blind else None,
        )

    def _stage(
        self,
        items: Iterator[Item],
        name: str,
        mode: Mode,
        reason: Reason,
        judge: Callable[[Iterator[TrainRecord]], Iterator[Finding]],
    ) -> Iterator[Item]:
        """One check: `judge` gives a finding for each record in order."""
        count = self.summary.checks[name] = CheckCount()  # now, not when the stream starts: in their order
        return _judged(items, count, mode, reason, judge)

    def _boxes(self, rows: Iterator[TrainRecord]) -> Iterator[Finding]:
        assert self.pool is not None
        for verdict in check_boxes(rows, self.pool):
            columns = {"box_check": verdict.verdict}
            yield Finding(columns, verdict.verdict != SILENT, verdict.verdict == REFUTED, verdict.why)

    def _leaks(
        self, rows: Iterator[TrainRecord], evaluation: EvaluationSet, near: set[int]
    ) -> Iterator[Finding]:
        for leak in evaluation.leaks(rows, self.checks.image_root, near):
            yield Finding({"leak": leak}, fails=bool(leak), why=leak)

    def _repeats(
        self, rows: Iterator[TrainRecord], near: NearImages | None, image_ids: set[int]
    ) -> Iterator[Finding]:
        earlier: list[tuple[Path, list[_Earlier]]] = [
            (file, read_json(file, list[_Earlier])) for file in self.checks.earlier
        ]
        of_old = {record.image_id for _, records in earlier for record in records}
        known = NearDuplicates(self.checks.near_question, near.pairs(image_ids | of_old) if near else None)
        for file, records in earlier:
            for number, record in enumerate(records):
                known.add(record, f"{file.parent.name}/{record.record_id or number}")
        del earlier
        for row in rows:
            name = known.of(row)
            if not name:
                known.add(row, row.record_id)
            yield Finding({"near_duplicate_of": name}, fails=bool(name), why=name)

    def _ask(self, name: str, reader: SecondReader, spool: Spool) -> list[int | None]:
        answers: list[int | None] = []
        lost: set[str] = set()
        waiting = spool.records()
        while some := list(islice(waiting, _BATCH)):
            found, notes = reader.answers(some)
            answers += found
            lost |= set(notes)
        if reader.unasked:
            self.notes.append(f"{name}: {reader.unasked:,} questions were not asked; {reader.stopped}")
        if unanswered := answers.count(None) - reader.unasked:
            self.notes.append(f"{name}: {unanswered:,} questions got no answer; first: {min(lost)}")
        self.summary.usage[name] = reader.usage()
        if reader.blind:
            self.summary.blind_reader = answered_blind(spool.records(), answers)
        return answers

    def _classified(self, spool: Spool) -> Iterator[Item]:
        mode, seed, most = self.checks.blind_classifier, self.checks.seed, self.checks.blind_sample
        places: Collection[int] = range(spool.candidates)
        if mode == "mark" and 0 < most < spool.candidates:
            places = frozenset(Random(seed).sample(range(spool.candidates), most))
        test = solve_blind(spool.records(places), drop=mode == "drop", seed=seed, letters=self.letters)
        if test is None:
            return iter(spool)
        self.summary.blind_classifier = test.figures
        self.summary.after_dropping = test.after if mode == "drop" else None
        if len(places) < spool.candidates:
            self.summary.blind_drawn_from = spool.candidates
            self.notes.append(
                f"blind_classifier: {len(places):,} of {spool.candidates:,} questions were scored, drawn at random"
            )
        return self._stage(
            iter(spool), "blind_classifier", mode, Reason.BLIND, lambda rows: _scored(rows, places, test)
        )


def _judged(
    items: Iterator[Item],
    count: CheckCount,
    mode: Mode,
    reason: Reason,
    judge: Callable[[Iterator[TrainRecord]], Iterator[Finding]],
) -> Iterator[Item]:
    rows, again = tee(items)  # judges read few records ahead, so tee holds few
    findings = judge(item.record for item in again if isinstance(item, Candidate))
    for item in rows:
        if not isinstance(item, Candidate):
            yield item
            continue
        finding = next(findings)
        count.said += finding.said
        count.marked += finding.fails
        if finding.fails and mode == "drop":
            count.dropped += 1
            yield reject(item, reason.value, finding.why)
        else:
            for column, value in finding.columns.items():
                setattr(item.record, column, value)
            yield item


class _Earlier(msgspec.Struct):
    """What is needed of a record of an earlier round."""

    image_id: int
    question: str
    choices: list[str]
    correct_choice_idx: int
    record_id: str = ""


def _told(
    judge: Callable[[TrainRecord, int | None], Finding],
    answers: Sequence[int | None],
    rows: Iterator[TrainRecord],
) -> Iterator[Finding]:
    return map(judge, rows, answers)


def _scored(rows: Iterator[TrainRecord], places: Collection[int], test: BlindTest) -> Iterator[Finding]:
    """What the classifier says of the records at `places`, the first one at 0."""
    scores = zip(test.scores, test.kept, strict=True)
    for place, _ in enumerate(rows):
        if place in places:
            score, stays = next(scores)
            yield Finding({"blind_score": score}, fails=not stays, why=f"with probability {score:.2f}")
        else:
            yield Finding(said=False)


def _second(record: TrainRecord, answer: int | None) -> Finding:
    if answer is None:
        return Finding(said=False)
    said = "cannot tell" if answer == CANNOT_SAY else record.choices[answer]
    return Finding({"second_answer": answer}, True, answer != record.correct_choice_idx, f"says {said!r}")


def _blind(record: TrainRecord, answer: int | None) -> Finding:
    if answer is None:
        return Finding(said=False)
    return Finding({"blind_answer": answer}, fails=answer == record.correct_choice_idx)
