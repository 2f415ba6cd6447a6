"""Which run is opened where none is named (all steps): the newest finished one, by the states that runs write."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError

# of a run, and of the runs of a study: reports/STUDY/ARM/seedN
_STATES = ("*/run.json", "*/*/*/run.json")


class _State(msgspec.Struct):
    """What of a state says whether its run is finished."""

    status: str


class _Found(NamedTuple):
    changed: int  # nanoseconds; run.json is written last
    folder: Path


def newest_run(reports: Path) -> Path | None:
    """The folder of the newest finished run below `reports`, None where there is none.

    A state that cannot be read is passed over: it is of no finished run, and this is only a default.
    """
    found: list[_Found] = []
    for pattern in _STATES:
        for file in sorted(reports.glob(pattern)):
            try:
                state: _State = read_json(file, _State)
            except DataEngineError:
                continue
            if state.status == "done":
                found.append(_Found(file.stat().st_mtime_ns, file.parent))
    return max(found).folder if found else None
