"""Step 4: candidates and rejects on the disk, for checks that have to see all of them before they judge the first."""

import tempfile
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import msgspec

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Candidate, Item
from dataengine_lib.curation.candidates import Reject as Rejected
from dataengine_lib.errors import DataEngineError

_CANDIDATES, _REJECTS = msgspec.json.Decoder(Candidate), msgspec.json.Decoder(Rejected)

_BUFFER = 1 << 20  # bytes


class Spool:
    """Items that can be gone through again and again, one after the other. Its file goes with it, also after a kill.

    `candidates` is how many of them are candidates.

    Raises DataEngineError when `folder` cannot be written.
    """

    def __init__(self, items: Iterable[Item], folder: Path) -> None:
        self.candidates = 0
        try:
            self._file = tempfile.TemporaryFile(buffering=_BUFFER, dir=folder)  # noqa: SIM115  # open as long as the spool
            for item in items:
                is_candidate = isinstance(item, Candidate)
                self.candidates += is_candidate
                self._file.write((b"c" if is_candidate else b"r") + msgspec.json.encode(item) + b"\n")
        except OSError as error:
            raise DataEngineError(
                f"{folder}: cannot be written ({error.strerror}); choose another output"
            ) from error

    def __iter__(self) -> Iterator[Item]:
        self._file.seek(0)
        for line in self._file:
            yield _CANDIDATES.decode(line[1:]) if line[:1] == b"c" else _REJECTS.decode(line[1:])

    def records(self, places: Container[int] | None = None) -> Iterator[TrainRecord]:
        """The candidates' records in order; with `places` only of those that stand there, the first one at 0."""
        self._file.seek(0)
        for place, line in enumerate(line for line in self._file if line[:1] == b"c"):
            if places is None or place in places:
                yield _CANDIDATES.decode(line[1:]).record
