"""Step 4: runs the checks beyond format one after the other; QAs that fail one are marked, or dropped with a reason.

A new check needs a mode in `settings.py`, a column of `TrainRecord`, a reason in `replies/drop_reasons.py`, and here a
function that gives a `CheckResult` per record and one `_stage` in `RecordChecks.run`.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random

from dataengine_lib.core.records import ImageId, TrainRecord
from dataengine_lib.curation.blind_classifier import BlindTest, solve_blind
from dataengine_lib.curation.boxes.check import REFUTED, SILENT, check_boxes
from dataengine_lib.curation.candidates import CandidateOrReject, Spool
from dataengine_lib.curation.check_results import CheckResult, Judge, apply_check
from dataengine_lib.curation.counts import CheckCount, ChecksSummary, blind_reader_figures
from dataengine_lib.curation.difficulty.band import DifficultyFigures
from dataengine_lib.curation.difficulty_judges import (
    STUDENT_ANSWERS,
    judge_both,
    judge_known,
    judge_too_hard,
    student_check,
)
from dataengine_lib.curation.image_copies import ImageCopies
from dataengine_lib.curation.leaks import EvaluationSet
from dataengine_lib.curation.near_duplicates import EarlierRecord, NearDuplicates, NearImages, read_earlier
from dataengine_lib.curation.reader_votes import (
    OpenReader,
    VoteResult,
    agreement,
    blind_result,
    open_readers,
    second_result,
)
from dataengine_lib.curation.settings import CheckMode, CheckSettings
from dataengine_lib.embeddings.store import store_exists
from dataengine_lib.images.copies import HASH_FILE
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.replies.drop_reasons import Reason


class RecordChecks:
    """The checks as one stage of step 4's stream; `summary`, `notes` and `warnings` are complete when it has ended.

    Cheap checks come first, so that no reader is paid for QAs that they drop. `ledger` is the file of replies that
    were paid for; temporary files lie beside it during the run. `letters`: choices will stay in their order, so the
    blind classifier may use it. Raises DataEngineError when a larger share than `max_bad_share` of an earlier round's
    rows are no records.
    """

    def __init__(
        self, settings: CheckSettings, ledger: Path, letters: bool = False, max_bad_share: float = 0.05
    ) -> None:
        self.settings, self.ledger, self.letters = settings, ledger, letters
        self.summary = ChecksSummary()
        self.notes: list[str] = []
        self.warnings: list[str] = _switched_off(settings)
        self._earlier: list[tuple[str, EarlierRecord]] = []
        if settings.near_duplicates != "off":
            for file in settings.earlier:
                rows, left_out = read_earlier(file, max_bad_share)
                self._earlier += rows
                self.warnings += left_out
        dataset = settings.coco_dataset if settings.needs_pool else None
        self.pool = read_pool(dataset) if dataset else None
        self.readers = open_readers(settings, ledger, self.pool)

    def run(self, items: Iterator[CandidateOrReject]) -> Iterator[CandidateOrReject]:
        """Every item of the stream: QAs with their columns set, those that fail as rejects."""
        settings = self.settings
        items, near, image_ids = self._find_near_images(items)
        if self.pool is not None and settings.box_check != "off":
            items = self._stage(items, "box_check", settings.box_check, Reason.REFUTED, self._judge_boxes)
        if (settings.questions or settings.panel) and settings.leaks != "off":
            judge = self._leak_judge(near, image_ids)
            items = self._stage(items, "leaks", settings.leaks, Reason.LEAK, judge)
        if settings.near_duplicates != "off":
            judge = partial(self._judge_repeats, near=near, image_ids=image_ids)
            items = self._stage(
                items, "near_duplicates", settings.near_duplicates, Reason.NEAR_DUPLICATE, judge
            )
        if settings.difficulty != "off":
            items = self._ask_student(items)
        if second := [one for one in self.readers if not one.reader.blind]:
            mode = settings.second_answer
            items = self._ask(items, "second_answer", second, mode, Reason.SECOND_READER, second_result)
            if settings.difficulty != "off" and settings.both_wrong != "off":
                mode = settings.both_wrong
                items = self._stage(items, "both_wrong", mode, Reason.BOTH_WRONG, judge_both)
        if blind := [one for one in self.readers if one.reader.blind]:
            mode = settings.blind_answer
            items = self._ask(items, "blind_answer", blind, mode, Reason.BLIND_READER, blind_result)
        # last, since its figures are of the QAs that the other checks keep
        if settings.blind_classifier != "off":
            items = self._classify(Spool(items, self.ledger.parent))
        return items

    def _find_near_images(
        self, items: Iterator[CandidateOrReject]
    ) -> tuple[Iterator[CandidateOrReject], NearImages | None, set[ImageId]]:
        """The items, the near-duplicate images where they are known and needed, and the ids of the items' images."""
        store = self.settings.coco_embedding
        if store is None or {self.settings.leaks, self.settings.near_duplicates} == {"off"}:
            return items, None, set()
        if not store_exists(store):
            self.warnings.append(f"{store}: no embeddings, so near-duplicate images are not found")
            return items, None, set()
        near = NearImages(store, self.settings.near_image)
        # all image ids are needed before the first record is judged
        spool = Spool(items, self.ledger.parent)
        return iter(spool), near, {record.image_id for record in spool.records()}

    def _stage(
        self,
        items: Iterator[CandidateOrReject],
        name: str,
        mode: CheckMode,
        reason: Reason,
        judge: Judge,
    ) -> Iterator[CandidateOrReject]:
        # The count is created now, not when the stream starts, so that the summary lists checks in their order.
        count = self.summary.checks[name] = CheckCount()
        return apply_check(items, judge, mode, reason, count)

    def _judge_boxes(self, records: Iterator[TrainRecord]) -> Iterator[CheckResult]:
        assert self.pool is not None
        for verdict in check_boxes(records, self.pool):
            columns = {"box_check": verdict.verdict}
            yield CheckResult(columns, verdict.verdict != SILENT, verdict.verdict == REFUTED, verdict.why)

    def _leak_judge(self, near: NearImages | None, image_ids: set[ImageId]) -> Judge:
        settings = self.settings
        files = [settings.questions] if settings.questions else []
        root, threshold = settings.evaluation_image_root, settings.near_question
        evaluation = EvaluationSet(files, root, threshold, settings.panel)
        self.warnings += evaluation.warnings
        near_evaluation = near.near_evaluation(image_ids) if near else set()
        copies = self._image_copies(evaluation)
        is_copy = copies.has if copies else lambda record: False
        self.notes.append(_compared(evaluation, near, copies, settings))

        def judge(records: Iterator[TrainRecord]) -> Iterator[CheckResult]:
            for leak in evaluation.leaks(records, settings.image_root, near_evaluation, is_copy):
                yield CheckResult({"leak": leak}, fails=bool(leak), why=leak)
            if copies:
                copies.finish()

        return judge

    def _image_copies(self, evaluation: EvaluationSet) -> ImageCopies | None:
        """What finds copies of evaluation images; None where no folder of images is given."""
        settings, store = self.settings, self.settings.coco_embedding
        if settings.image_root is None or all(one.root is None for one in evaluation.sets):
            return None
        cache = store / HASH_FILE if store is not None and store_exists(store) else None
        return ImageCopies(evaluation.sets, settings.image_root, cache)

    def _judge_repeats(
        self, records: Iterator[TrainRecord], near: NearImages | None, image_ids: set[ImageId]
    ) -> Iterator[CheckResult]:
        pairs = near.pairs(image_ids | {row.image_id for _, row in self._earlier}) if near else None
        known = NearDuplicates(self.settings.near_question, pairs)
        for name, row in self._earlier:
            known.add(row, name)
        self._earlier.clear()  # `known` holds what is needed, in less memory
        for record in records:
            name = known.find(record)
            # a near-duplicate is not added: others are compared with the first one
            if not name:
                known.add(record, record.record_id)
            yield CheckResult({"near_duplicate_of": name}, fails=bool(name), why=name)

    def _ask_student(self, items: Iterator[CandidateOrReject]) -> Iterator[CandidateOrReject]:
        """All items are read and the student is asked before the first item is judged."""
        settings = self.settings
        spool = Spool(items, self.ledger.parent)
        views, faults = student_check(settings, self.ledger.with_name(STUDENT_ANSWERS)).views(spool.records())
        if faults:
            self.warnings.append(
                f"difficulty: {len(faults):,} questions got no answer of the student; first: {faults[0]}"
            )
        self.summary.difficulty = figures = DifficultyFigures(
            blind=settings.student_blind,
            dropped=settings.difficulty == "drop",
            low=settings.difficulty_low,
            high=settings.difficulty_high,
        )
        known = partial(judge_known, views=views, figures=figures)
        items = self._stage(iter(spool), "difficulty_high", settings.difficulty, Reason.KNOWN, known)
        if settings.difficulty_low:
            too_hard = partial(judge_too_hard, low=settings.difficulty_low)
            items = self._stage(items, "difficulty_low", settings.difficulty, Reason.TOO_HARD, too_hard)
        return items

    def _ask(
        self,
        items: Iterator[CandidateOrReject],
        name: str,
        readers: Sequence[OpenReader],
        mode: CheckMode,
        reason: Reason,
        result: VoteResult,
    ) -> Iterator[CandidateOrReject]:
        """All items are read and the readers are asked, one after the other, before the first item is judged."""
        spool = Spool(items, self.ledger.parent)
        answers = list(zip(*(one.answers(spool) for one in readers), strict=True))
        for one in readers:
            self.warnings += one.warnings
            self.summary.readers[one.reader.name] = one.count
        if len(readers) > 1:
            self.summary.agreement[name] = agreement(spool.records(), answers, self.settings.seed)
        if readers[0].reader.blind:
            self.summary.blind_reader = blind_reader_figures(spool.records(), answers)
        names = [one.reader.name for one in readers]

        def judge(records: Iterator[TrainRecord]) -> Iterator[CheckResult]:
            for record, row in zip(records, answers, strict=True):
                yield result(record, row, names, self.settings.reader_vote)

        return self._stage(iter(spool), name, mode, reason, judge)

    def _classify(self, spool: Spool) -> Iterator[CandidateOrReject]:
        """Judge the candidates, or a sample of them, by the blind classifier; all pass if it cannot be fitted."""
        mode, seed, most = self.settings.blind_classifier, self.settings.seed, self.settings.blind_sample
        # open-ended QAs have no choices that it could tell apart
        with_choices = [place for place, has_choices in enumerate(spool.has_choices) if has_choices]
        total = len(with_choices)
        # with mode drop all are scored, since a QA that is not scored could not be dropped
        is_sample = mode == "mark" and 0 < most < total
        scored = frozenset(Random(seed).sample(with_choices, most) if is_sample else with_choices)
        del with_choices  # a few MB for hundreds of thousands
        test = solve_blind(spool.records(scored), drop=mode == "drop", seed=seed, letters=self.letters)
        if test is None:
            return iter(spool)
        self.summary.blind_classifier = test.figures
        self.summary.after_dropping = test.after if mode == "drop" else None
        if len(scored) < total:
            self.summary.blind_drawn_from = total
            self.notes.append(
                f"blind_classifier: {len(scored):,} of {total:,} questions were scored, drawn at random"
            )
        judge = partial(_judge_scores, positions=scored, test=test)
        return self._stage(iter(spool), "blind_classifier", mode, Reason.BLIND, judge)


def _switched_off(settings: CheckSettings) -> list[str]:
    """A warning that names the checks that are on, but lack the files that they compare with."""
    missing = []
    if settings.box_check != "off" and settings.coco_dataset is None:
        missing.append("box_check (needs coco_dataset)")
    if settings.leaks != "off" and settings.questions is None and not settings.panel:
        missing.append("leaks (needs questions)")
    return [f"not done, as files are not given: {', '.join(missing)}"] if missing else []


def _judge_scores(
    records: Iterator[TrainRecord], positions: Collection[int], test: BlindTest
) -> Iterator[CheckResult]:
    """The classifier's result for the records at `positions`, which it scored; no judgement for the others."""
    scores = zip(test.scores, test.kept, strict=True)
    for position, _ in enumerate(records):
        if position in positions:
            score, stays = next(scores)
            yield CheckResult({"blind_score": score}, fails=not stays, why=f"with probability {score:.2f}")
        else:
            yield CheckResult(judged=False)


def _compared(
    evaluation: EvaluationSet, near: NearImages | None, copies: ImageCopies | None, settings: CheckSettings
) -> str:
    """With what the records were compared, to find leaks."""
    how = ["id and path"]
    how += ["embedding"] if near is not None and near.evaluation is not None else []
    how += [f"what {copies.compared:,} of them show"] if copies else []
    asked = f" and with {len(evaluation.questions):,} evaluation questions by their words"
    note = (
        f"leaks: compared with {evaluation.known:,} evaluation images by {', '.join(how)}"
        f"{asked if settings.near_question else ''}"
    )
    if copies is None:
        return f"{note}; to find changed copies too, give image_root and evaluation_image_root"
    without = [one.parameter for one in evaluation.sets if one.root is None]
    return f"{note}; to find changed copies of all of them, give {without[0]}" if without else note
