"""Step 4: QAs on their way to the training data; each stays a candidate or is rejected with one reason.

`Spool` holds them on disk for checks that must see all of them before they can judge the first.
"""

import tempfile
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import msgspec

from dataengine_lib.core.records import ImageId, Result, TrainRecord
from dataengine_lib.curation.choice_mentions import ChoiceMentions
from dataengine_lib.errors import DataEngineError


class Candidate(msgspec.Struct):
    """A QA that no filter has dropped so far; `line` is the input line of its reply.

    `written_idx` is the index of the right choice as the teacher wrote it, and `mentions` says which of the texts name
    choices. `choices_stay` and `rationales_left_out` are set when the choices are shuffled, see `OptionOrder`.
    """

    line: int
    record: TrainRecord
    written_idx: int
    mentions: ChoiceMentions
    choices_stay: bool = False
    rationales_left_out: int = 0


class Reject(msgspec.Struct, kw_only=True):
    """A row of `rejects.jsonl`: the input line, what was dropped, and the reason.

    For a malformed row, `raw_instructions` holds the line itself and `detail` says what is wrong with it. `record_id`
    is empty if a whole reply was dropped.
    """

    line: int
    reason: str
    detail: str = ""
    image_id: ImageId | None = None
    question_type: str = ""
    query_id: str = ""
    image_path: str = ""
    raw_instructions: str = ""
    record_id: str = ""


CandidateOrReject = Candidate | Reject


def reject_candidate(candidate: Candidate, reason: str, detail: str = "") -> Reject:
    """The candidate as a reject, dropped for `reason`; `detail` says more about this one."""
    record = candidate.record
    return reject_row(candidate.line, record, reason, detail, record.record_id)


def reject_row(
    line: int, row: Result | TrainRecord, reason: str, detail: str = "", record_id: str = ""
) -> Reject:
    """A reply, or one QA of it, as a reject."""
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


_CANDIDATE_DECODER, _REJECT_DECODER = msgspec.json.Decoder(Candidate), msgspec.json.Decoder(Reject)
_BUFFER = 1 << 20  # bytes


class Spool:
    """Candidates and rejects in a temporary file, to be read several times in their order.

    `candidate_count` is the number of candidates, `has_choices[i]` whether the i-th has choices (1) or not (0). The file
    is unlinked from the start, so nothing is left behind even if the process is killed. Raises DataEngineError when
    `folder` cannot be written.
    """

    def __init__(self, items: Iterable[CandidateOrReject], folder: Path) -> None:
        self.candidate_count = 0
        self.has_choices = bytearray()
        try:
            self._file = tempfile.TemporaryFile(buffering=_BUFFER, dir=folder)  # noqa: SIM115  # open as long as the spool
            for item in items:
                if isinstance(item, Candidate):
                    self.candidate_count += 1
                    self.has_choices.append(bool(item.record.choices))
                    self._file.write(b"c%b\n" % msgspec.json.encode(item))
                else:
                    self._file.write(b"r%b\n" % msgspec.json.encode(item))
        except OSError as error:
            raise DataEngineError(
                f"{folder}: cannot be written ({error.strerror}); choose another output"
            ) from error

    def __iter__(self) -> Iterator[CandidateOrReject]:
        self._file.seek(0)
        # each line is a tag, c or r, and the JSON of a candidate or a reject
        for line in self._file:
            yield (
                _CANDIDATE_DECODER.decode(line[1:]) if line[:1] == b"c" else _REJECT_DECODER.decode(line[1:])
            )

    def records(self, positions: Container[int] | None = None) -> Iterator[TrainRecord]:
        """The candidates' records in order; with `positions` only those at these positions among the candidates."""
        self._file.seek(0)
        # rejects are passed over by their tag, without being decoded
        for position, line in enumerate(line for line in self._file if line[:1] == b"c"):
            if positions is None or position in positions:
                yield _CANDIDATE_DECODER.decode(line[1:]).record
