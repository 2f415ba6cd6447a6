"""Step 4: QAs parsed from the rows of step 3, or from those of other projects, before any check."""

from collections.abc import Iterator
from pathlib import Path

from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.core.records import Result, TrainRecord
from dataengine_lib.curation.candidates import Candidate, CandidateOrReject, Reject, reject_row
from dataengine_lib.curation.repeats import RecordIds, Repeats
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.other_datasets import others_format, read_others
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.replies.result_rows import read_row


def reply_rows(path: Path) -> Iterator[tuple[int, Result | str, bytes]]:
    """Line number, row or what is wrong with it, and the line; QAs of other projects as if a teacher had replied."""
    if others_format(path):
        for number, row in read_others(path):
            yield number, row, b""
    else:
        for found in json_rows(path, may_be_empty=True):
            yield found.number, read_row(found.raw), bytes(found.raw).strip()


def parsed_replies(path: Path) -> Iterator[CandidateOrReject]:
    """QAs parsed from the replies of `path`, without repeats; a reply that cannot be used is one reject."""
    repeats, ids = Repeats(), RecordIds()
    # one reject for each unusable line or reply; a reply with two QAs gives two candidates
    for number, row, line in reply_rows(path):
        if isinstance(row, str):
            raw = line.decode("utf-8", "replace")
            yield Reject(line=number, reason=Reason.MALFORMED.value, detail=row, raw_instructions=raw)
            continue
        parsed = parse_result(row)
        if isinstance(parsed, Reason):
            yield reject_row(number, row, parsed.value)
            continue
        new = repeats.new(row.image_id, parsed)
        if not new:
            yield reject_row(number, row, Reason.DUPLICATE.value, parsed[0].question)
        for index, qa in enumerate(new):
            # the index as written stays beside the record, whose own changes when choices are shuffled
            yield Candidate(number, _record(row, qa, ids.of(row, index)), qa.correct_choice_idx)


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
        answer_kind=row.answer_kind,
        cause=row.cause,
    )
