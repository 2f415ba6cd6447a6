"""Step 4: a QA on its way to the training data. It stays a candidate, or is rejected with one reason."""

import msgspec

from dataengine_lib.core.records import Result, TrainRecord


class Candidate(msgspec.Struct):
    """A QA that no filter has dropped so far, and the line of the input that its reply stands on.

    `written_idx` is the right choice's place as the teacher wrote it; the last two say what became of the QA when
    its choices changed places.
    """

    line: int
    record: TrainRecord
    written_idx: int
    choices_stay: bool = False
    rationales_left_out: int = 0


class Reject(msgspec.Struct, kw_only=True):
    """A row of `rejects.jsonl`: the line of the input, what was dropped and the reason.

    Of a malformed row `raw_instructions` holds the line itself and `detail` what is wrong with it. `record_id` is
    empty where a whole reply was dropped.
    """

    line: int
    reason: str
    detail: str = ""
    image_id: int | None = None
    question_type: str = ""
    query_id: str = ""
    image_path: str = ""
    raw_instructions: str = ""
    record_id: str = ""


Item = Candidate | Reject


def reject(candidate: Candidate, reason: str, detail: str = "") -> Reject:
    """The candidate, dropped for `reason`; `detail` says more about this one."""
    record = candidate.record
    return rejected(candidate.line, record, reason, detail, record.record_id)


def rejected(
    line: int, row: Result | TrainRecord, reason: str, detail: str = "", record_id: str = ""
) -> Reject:
    """A reply, or a QA of it, dropped for `reason`."""
    return Reject(
        line=line,
        reason=reason,
        detail=detail,
        image_id=row.image_id,
        question_type=row.question_type,
        query_id=row.query_id,
        image_path=row.image_path,
        raw_instructions=row.raw_instructions,
        record_id=record_id,
    )
