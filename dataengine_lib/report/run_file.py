"""`run.json` as the pages read it (all steps): of any version, with everything that a page needs of the right type."""

from pathlib import Path

import msgspec

from dataengine_lib.core.files import read_json


class ShownStep(msgspec.Struct):
    """One step of a run; paths are relative to the run's folder."""

    step: str = ""
    label: str = ""
    status: str = ""
    seconds: float | None = None
    error: str | None = None
    outputs: list[str] = []
    warnings: list[str] | None = None


class ShownRun(msgspec.Struct):
    """A run, as far as its file says; files of other versions may lack any field."""

    run: str = ""
    status: str = ""
    started: str | None = None
    seconds: float | None = None
    overhead_seconds: float | None = None
    rounds: int = 0
    seed: int = 0
    student: str = ""
    teacher: str = ""
    command: str = ""
    error: str | None = None
    notes: list[str] = []
    warnings: list[str] | None = None
    steps: list[ShownStep] = []
    versions: dict[str, str] = {}


def read_run(folder: Path) -> ShownRun:
    """The run of `folder`. Raises DataEngineError when its `run.json` is damaged or of another program."""
    found: ShownRun = read_json(folder / "run.json", ShownRun)
    return found
