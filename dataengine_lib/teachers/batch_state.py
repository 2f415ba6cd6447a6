"""Step 3, `mode: batch`: what is under way at the server, written down before and after each call."""

import hashlib
from pathlib import Path

import msgspec

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import ParameterError

STATE = "gptvqa_batches.json"


class Job(msgspec.Struct):
    """One file of requests: the keys in it, the output limit and the teacher that they were made with.

    `name` is known to the server too, as metadata; an empty `file_id` or `batch_id` is not known yet. `waits`: the
    server had no room for it while others were under way.
    """

    name: str
    keys: list[str]
    room: int
    teacher: str
    file_id: str = ""
    batch_id: str = ""
    waits: bool = False


class _File(msgspec.Struct):
    jobs: list[Job] = []
    tries: dict[str, int] = {}
    number: int = 0


class BatchState:
    """`gptvqa_batches.json` beside `output`: jobs on their way, and how often each key was sent in vain."""

    def __init__(self, output: Path) -> None:
        self.file = output.with_name(STATE)
        found: _File = read_json(self.file, _File) if self.file.exists() else _File()
        self.jobs, self.tries, self._number = found.jobs, found.tries, found.number

    def save(self) -> None:
        """Write it down."""
        write_json(self.file, _File(self.jobs, self.tries, self._number))

    def keys(self) -> set[str]:
        """Keys of the requests that were submitted, or are about to be, and not collected."""
        return {key for job in self.jobs for key in job.keys}

    def add(self, keys: list[str], room: int, teacher: str) -> None:
        """A new job, to be submitted."""
        self.jobs.append(Job(self._name(), keys, room, teacher))

    def rename(self, job: Job) -> None:
        """The job is to be submitted as another batch: the one of its old name came to nothing."""
        job.name, job.batch_id = self._name(), ""

    def _name(self) -> str:
        self._number += 1
        return hashlib.sha256(f"{self.file.resolve()} {self._number}".encode()).hexdigest()[:32]


def refuse_if_under_way(output: Path) -> None:
    """Raise ParameterError when batches of `output` are under way: what they hold would be paid for twice."""
    if number := len(BatchState(output).jobs):
        raise ParameterError(
            f"{output.with_name(STATE)}: {number} batches are under way; collect them with mode: batch, or call"
            " them off with dataengine cancel-batches"
        )
