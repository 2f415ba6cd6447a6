"""`run.json` (all steps): the state of a run, rewritten after every step for the reports."""

from pathlib import Path
from typing import Literal

import msgspec

from dataengine_lib.core.files import write_json

Status = Literal["waiting", "running", "done", "skipped", "failed", "interrupted"]


class StepState(msgspec.Struct, kw_only=True):
    """One step of a run; paths are relative to the run's folder.

    `overhead_seconds` is the part of `seconds` for notebook start-up and rendering.
    """

    step: str
    round: int | None
    label: str
    status: Status = "waiting"
    seconds: float = 0.0
    overhead_seconds: float = 0.0
    html: str = ""
    notebook: str = ""
    error: str = ""
    outputs: list[str] = []
    warnings: list[str] = []


class RunState(msgspec.Struct, kw_only=True):
    """`run.json`. `seconds` is the sum over the steps; for a skipped step, those of the run that executed it.

    `overhead_seconds` is the part for notebook start-up and rendering. `command` is what a user typed to make the run,
    `student` and `teacher` are those of its first round. `warnings` were found before the first step; those
    of a step are in `steps`. `rounds` are those of the plan; `stopped` says why `until` ended them before.
    """

    run: str
    status: Literal["running", "done", "failed", "interrupted"] = "running"
    started: str
    seconds: float = 0.0
    overhead_seconds: float = 0.0
    playground_seconds: float = 0.0
    rounds: int
    seed: int
    command: str = ""
    student: str = ""
    teacher: str = ""
    error: str = ""
    stopped: str = ""
    notes: list[str] = []
    warnings: list[str] = []
    steps: list[StepState]
    versions: dict[str, str]

    def write(self, folder: Path) -> None:
        """Add up the seconds and write `run.json`."""
        self.seconds = round(self.playground_seconds + sum(step.seconds for step in self.steps), 2)
        self.overhead_seconds = round(sum(step.overhead_seconds for step in self.steps), 2)
        write_json(folder / "run.json", self)
