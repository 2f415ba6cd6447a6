"""Step 4: candidates and rejects on the disk, for checks that have to see all of them before they judge the first."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from dataengine_lib.data.candidates import Candidate, Item
from dataengine_lib.data.candidates import Reject as Rejected
from dataengine_lib.data.records import TrainRecord
from dataengine_lib.errors import DataEngineError

_CANDIDATES, _REJECTS = msgspec.json.Decoder(Candidate), msgspec.json.Decoder(Rejected)


class Spool:
    """Items that can be gone through again and again, one after the other. Its file goes with it, also after a kill.

    Raises DataEngineError when `folder` cannot be written.
    """

    def __init__(self, items: Iterable[Item], folder: Path) -> None:
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # open as long as the spool
            for item in items:
                mark = b"c" if isinstance(item, Candidate) else b"r"
                self._file.write(mark + msgspec.json.encode(item) + b"\n")
        except OSError as error:
            raise DataEngineError(
                f"{folder}: cannot be written ({error.strerror}); choose another output"
            ) from error

    def __iter__(self) -> Iterator[Item]:
        self._file.seek(0)
        for line in self._file:
            yield _CANDIDATES.decode(line[1:]) if line[:1] == b"c" else _REJECTS.decode(line[1:])

    def records(self) -> Iterator[TrainRecord]:
        """The candidates' records in order."""
        return (item.record for item in self if isinstance(item, Candidate))
