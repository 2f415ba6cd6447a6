"""Step 3, `mode: batch`: which batches are in progress at the server, saved before and after each call."""

import hashlib
from pathlib import Path

import msgspec

from dataengine_lib.chat.paid_requests import PaidRequest
from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.errors import ParameterError

BATCH_STATE = "gptvqa_batches.json"


class BatchJob(msgspec.Struct):
    """One file of requests: their keys, and the output limit and teacher that they were made with.

    `name` is known to the server too, as metadata. `file_id` and `batch_id` are empty until the server has given them.
    `waits`: the server's queue was full, so the job is submitted when no other one is in progress.
    """

    name: str
    keys: list[str]
    max_output_tokens: int = msgspec.field(name="room")  # its name in the file, as in the ledger
    teacher: str
    file_id: str = ""
    batch_id: str = ""
    waits: bool = False


class _File(msgspec.Struct):
    """The content of `gptvqa_batches.json`; `number` counts the names that were given to batches."""

    jobs: list[BatchJob] = []
    tries: dict[str, int] = {}
    number: int = 0


class BatchState:
    """`gptvqa_batches.json` beside `output`: the unfinished `jobs`, and failed attempts by request key (`tries`)."""

    def __init__(self, output: Path) -> None:
        self.file = output.with_name(BATCH_STATE)
        found: _File = read_json(self.file, _File) if self.file.exists() else _File()
        self.jobs, self.tries, self._number = found.jobs, found.tries, found.number

    def save(self) -> None:
        """Write the file."""
        write_json(self.file, _File(self.jobs, self.tries, self._number))

    def keys(self) -> set[str]:
        """Keys of all requests in unfinished jobs, submitted or not."""
        return {key for job in self.jobs for key in job.keys}

    def add(self, keys: list[str], max_output_tokens: int, teacher: str) -> None:
        """Add a job that is to be submitted."""
        self.jobs.append(BatchJob(self._new_name(), keys, max_output_tokens, teacher))

    def rename(self, job: BatchJob) -> None:
        """Prepare the job to be submitted as another batch: the server still has the failed one by the old name."""
        job.name, job.batch_id = self._new_name(), ""

    def _new_name(self) -> str:
        """A name that no other batch has: of this file's path and a counter."""
        self._number += 1
        # With the path: batches are found by name, and one account may have those of several outputs.
        return hashlib.sha256(f"{self.file.resolve()} {self._number}".encode()).hexdigest()[:32]


def refuse_if_in_progress(output: Path) -> None:
    """Raise ParameterError when batches of `output` are unfinished: asking now would pay for their requests twice."""
    if number := len(BatchState(output).jobs):
        raise ParameterError(
            f"{output.with_name(BATCH_STATE)}: {number} batches are in progress; collect them with mode: batch, or cancel"
            " them with dataengine cancel-batches"
        )


def priced(key: str, query: Query | None) -> PaidRequest[None]:
    """A request of a batch as the budget counts it; without a `query`, of an earlier run with other parameters."""
    if query is None:
        return PaidRequest(key=key, prompt="", subject=None)
    return PaidRequest(key=key, prompt=query.prompt, subject=None, attach_image=query.attach_image)
