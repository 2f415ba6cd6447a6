"""Reviewer: every record of step 4, kept or dropped, as an item of a queue; filters, and the order by disagreement."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.curation.counts import right_place
from dataengine_lib.curation.reviews.decisions import Decisions, disagreement, doubt
from dataengine_lib.frames.read_files import read_rows
from dataengine_lib.frames.records import failed_checks
from dataengine_lib.replies.drop_reasons import Reason

KEPT, DROPPED, ALL = "kept", "dropped", "kept and dropped"
_SOLVED = 0.5  # the probability of the right choice above which the text classifier chooses it
_READER_REASONS = {Reason.SECOND_READER.value, Reason.BOTH_WRONG.value}
_BLIND_REASONS = {Reason.BLIND_READER.value, Reason.BLIND.value}
_CHECK_REASONS = {
    *_READER_REASONS,
    *_BLIND_REASONS,
    *(one.value for one in (Reason.REFUTED, Reason.LEAK, Reason.NEAR_DUPLICATE, Reason.KNOWN, Reason.TOO_HARD)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A record that was kept (`record`), or a QA or reply that was dropped (`reject`).

    Decisions are written under `name`, which is empty where a row has no id of its own. `doubt` is what the queue is
    ordered by. `marked`: a check failed it; `blind`: it can be answered without the image; `disputed`: readers disagree.
    """

    name: str
    question_type: str
    record: TrainRecord | None = None
    reject: Reject | None = None
    doubt: float = 0.0
    marked: bool = False
    blind: bool = False
    disputed: bool = False

    @property
    def reason(self) -> str:
        """Why it was dropped; empty for a kept one."""
        return self.reject.reason if self.reject else ""


@dataclass(frozen=True)
class ReviewFilter:
    """Which items the queue shows; `state` is ALL, KEPT, DROPPED or a reason for dropping. All conditions must hold."""

    question_type: str = ""
    state: str = ALL
    undecided: bool = False
    marked: bool = False
    blind: bool = False
    disputed: bool = False

    def admits(self, item: ReviewItem, decisions: Decisions) -> bool:
        """Whether the queue shows the item."""
        states = {ALL: True, KEPT: item.record is not None, DROPPED: item.record is None}
        return (
            self.question_type in ("", item.question_type)
            and states.get(self.state, item.reason == self.state)
            and not (self.undecided and (item.name in decisions or not item.name))
            and (item.marked or not self.marked)
            and (item.blind or not self.blind)
            and (item.disputed or not self.disputed)
        )


def read_review_items(output: Path, rejects: Path | None, warnings: list[str]) -> list[ReviewItem]:
    """The items of step 4's two files, in the order of the queue; rows that cannot be used are said in `warnings`.

    Raises DataEngineError when a file cannot be read.
    """
    dropped = read_rows(rejects, Reject, warnings) if rejects is not None else []
    return review_items(read_rows(output, TrainRecord, warnings), dropped)


def review_items(kept: Iterable[TrainRecord], dropped: Iterable[Reject]) -> list[ReviewItem]:
    """The items in the order of the queue: kept ones before dropped ones, most disagreement first, then as they came."""
    items = [_of_record(record) for record in kept]
    # a whole reply goes by its query's id, as step 4 counts decisions; an id that another item has is nobody's
    used = {item.name for item in items}
    for reject in dropped:
        name = reject.record_id or reject.query_id
        items.append(_of_reject(reject, "" if name in used else name))
        used.add(name)
    return sorted(items, key=lambda item: (item.record is None, -item.doubt))


def _of_record(record: TrainRecord) -> ReviewItem:
    blind_score = record.blind_score or 0.0
    return ReviewItem(
        record.record_id,
        record.question_type,
        record=record,
        doubt=doubt(record),
        marked=bool(failed_checks(record)),
        blind=record.blind_answer == right_place(record) or blind_score > _SOLVED,
        disputed=disagreement(record) > 0,
    )


def _of_reject(reject: Reject, name: str) -> ReviewItem:
    return ReviewItem(
        name,
        reject.question_type,
        reject=reject,
        # what the readers answered is in the reject's detail only
        doubt=float(reject.reason in _READER_REASONS),
        marked=reject.reason in _CHECK_REASONS,
        blind=reject.reason in _BLIND_REASONS,
        disputed=reject.reason in _READER_REASONS,
    )


def type_counts(items: Iterable[ReviewItem]) -> dict[str, int]:
    """How many items each question type has, in the order of their names."""
    return dict(sorted(Counter(item.question_type for item in items).items()))


def reason_counts(items: Iterable[ReviewItem]) -> dict[str, int]:
    """How many items were dropped for each reason, the most frequent first."""
    found = Counter(item.reason for item in items if item.reject)
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
