"""Step 4: QAs parsed from the rows of step 3, or from those of other projects, before any check."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from dataengine_lib.core.json_rows import JsonRow, json_rows
from dataengine_lib.core.records import Result, TrainRecord
from dataengine_lib.curation.candidates import Candidate, CandidateOrReject, Reject, reject_row
from dataengine_lib.curation.choice_mentions import ChoiceMentions, choice_mentions
from dataengine_lib.curation.parsing.repeats import RecordIds, Repeats, repeat_key
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.other_datasets import others_format, read_others
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.replies.result_rows import read_row


# gc=False: its fields cannot be part of a reference cycle, so the garbage collector need not track it
class ParsedQa(msgspec.Struct, array_like=True, gc=False):
    """A QA with what is found in its texts alone: its key among `Repeats`, and what names its choices."""

    qa: Qa
    key: bytes
    mentions: ChoiceMentions


class ParsedReply(msgspec.Struct, array_like=True, gc=False):
    """The line `number` of a file: its row with the QAs in it, or with the `reason` why there are none.

    `row` is None for a line that is no reply at all; `problem` then says what is wrong with it, and `line` is its text.
    """

    number: int
    row: Result | None
    qas: list[ParsedQa] = []
    reason: str = ""
    problem: str = ""
    line: str = ""


def parse_replies(path: Path) -> Iterator[ParsedReply]:
    """Every line of `path` in order, each read by itself: repeats and ids are left to `candidates`.

    QAs of other projects are read as if a teacher had replied.
    """
    if others_format(path):
        for number, row in read_others(path):
            yield _parsed(number, row)
    else:
        yield from map(parse_row, json_rows(path, may_be_empty=True))


def parse_row(found: JsonRow) -> ParsedReply:
    """One line of step 3's results."""
    return _parsed(found.number, read_row(found.raw), found.raw)


def _parsed(number: int, row: Result | str, line: bytes | msgspec.Raw = b"") -> ParsedReply:
    """`row` is what is wrong with the line where it is no row."""
    if isinstance(row, str):
        text = bytes(line).strip().decode("utf-8", "replace")
        return ParsedReply(number, None, problem=row, line=text)
    parsed = parse_result(row)
    if isinstance(parsed, Reason):
        return ParsedReply(number, row, reason=parsed.value)
    return ParsedReply(number, row, [_with_texts(row, qa) for qa in parsed])


def _with_texts(row: Result, qa: Qa) -> ParsedQa:
    mentions = choice_mentions(qa.question, qa.choices, qa.rationales, row.answer_kind)
    return ParsedQa(qa, repeat_key(row.image_id, qa), mentions)


def candidates(replies: Iterable[ParsedReply]) -> Iterator[CandidateOrReject]:
    """The QAs of the replies, without repeats; a reply that cannot be used is one reject."""
    repeats, ids = Repeats(), RecordIds()
    # one reject for each unusable line or reply; a reply with two QAs gives two candidates
    for reply in replies:
        number, row = reply.number, reply.row
        if row is None:
            malformed = Reason.MALFORMED.value
            yield Reject(line=number, reason=malformed, detail=reply.problem, raw_instructions=reply.line)
            continue
        if reply.reason:
            yield reject_row(number, row, reply.reason)
            continue
        new = repeats.new(reply.qas, [one.key for one in reply.qas])
        if not new:
            yield reject_row(number, row, Reason.DUPLICATE.value, reply.qas[0].qa.question)
        for index, one in enumerate(new):
            # the index as written stays beside the record, whose own changes when choices are shuffled
            record = _record(row, one.qa, ids.of(row, index))
            yield Candidate(number, record, one.qa.correct_choice_idx, one.mentions)


def parsed_replies(path: Path) -> Iterator[CandidateOrReject]:
    """QAs parsed from the replies of `path`, without repeats; a reply that cannot be used is one reject."""
    return candidates(parse_replies(path))


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
