"""Step 5: the states that a training writes while it runs, from which the next run continues."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataengine_lib.core.files import read_json, write_json

_COMPLETE = "complete"  # a file in a state that was written to its end; what a kill cut short has none
_STATE = "checkpoint-"  # as transformers names them: checkpoint-500
_IDENTITY = "identity.json"  # what the states depend on: parameters, data and weights


def begin_states(folder: Path, identity: Mapping[str, Any]) -> str:
    """Make `folder` ready for the states of the training `identity`; other states are removed.

    A sentence that says why an earlier run cannot be continued; empty where it can, or there is none.
    """
    file, newest = folder / _IDENTITY, newest_state(folder)
    # through JSON, as the one read below
    before = read_json(file) if newest and file.is_file() else None
    if before == identity:
        for state in _states(folder):
            if not _is_complete(state):
                shutil.rmtree(state)
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    write_json(file, identity)
    if newest is None:
        return ""
    changed = ", ".join(_changes(before or {}, identity)) or "its settings are not known"
    return f"An earlier run stopped after its step {_steps(newest):,} and was not continued: {changed}."


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in {**before, **now}:
        old, new = before.get(key), now.get(key)
        if old != new:
            # digests say nothing to a reader
            yield f"{key} changed" if _is_digest(new) else f"{key} was {old}, is {new}"


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64


def mark_complete(state: Path) -> None:
    """Say that this state can be used."""
    (state / _COMPLETE).touch()


def newest_state(folder: Path) -> Path | None:
    """The state of the most steps below `folder` that was written to its end."""
    return max(filter(_is_complete, _states(folder)), key=_steps, default=None)


def remove_older(state: Path, keep: Path | None) -> None:
    """Remove the other states beside `state`, but not `keep`, the best so far."""
    for other in _states(state.parent):
        if other != state and (keep is None or other.name != keep.name):
            shutil.rmtree(other)


def _states(folder: Path) -> list[Path]:
    return list(folder.glob(f"{_STATE}*"))


def _is_complete(state: Path) -> bool:
    return (state / _COMPLETE).is_file()


def _steps(state: Path) -> int:
    return int(state.name.removeprefix(_STATE))
