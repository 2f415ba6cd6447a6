"""The process of one run of a study: `python -m dataengine_lib.studies.child`, with its job on standard input.

It writes events to standard output, one JSON value a line, and ends when its standard input is closed: then the process
that started it is gone, and two of them would work in one folder when the study is started once more.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from dataengine_lib.core.secrets.masking import SecretMask
from dataengine_lib.errors import DataEngineError, system_error_line
from dataengine_lib.runs.manifest import Manifest
from dataengine_lib.runs.run import run_experiment
from dataengine_lib.runs.state import RunState, StepState
from dataengine_lib.runs.workflow import plan
from dataengine_lib.studies.checkpoints import drop_as_asked
from dataengine_lib.studies.job import Event, Job
from dataengine_lib.studies.shared_steps import StudySteps

_PARENT_GONE = 3  # exit status


def carry_out(job: Job, report: "Reporter") -> RunState:
    """Carry out one run: its steps, then its checkpoints are removed as the study says."""
    state = run_experiment(
        job.experiment,
        job.out,
        notebooks=Path(job.notebooks),
        print_line=lambda line: print(line, file=sys.stderr, flush=True),
        shared=StudySteps(Path(job.study)),
        on_step=report.step,
    )
    drop_as_asked(plan(job.experiment, job.out), job.out, job.keep_checkpoints)
    return state


class Reporter:
    """Writes the events of one run to a stream."""

    def __init__(self, folder: str, stream: BinaryIO) -> None:
        self.folder, self._stream = folder, stream

    def step(self, state: StepState, manifest: Manifest) -> None:
        """A step is there."""
        made = state.status == "done" and not manifest.taken_from
        self.write(Event(self.folder, state.label, made, state.seconds))

    def write(self, event: Event) -> None:
        """Write an event at once."""
        self._stream.write(msgspec.json.encode(event) + b"\n")
        self._stream.flush()


def main() -> int:
    """Read the job, carry it out, and report how it ended; the exit status."""
    job: Job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    # events have the standard output for themselves: whatever a library prints goes to the run's log
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    report = Reporter(job.folder, stream)
    try:
        state = carry_out(job, report)
    except (DataEngineError, OSError, MemoryError) as error:
        line = system_error_line(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        report.write(Event(job.folder, error=SecretMask.of_environment().masked(line)))
        return 1
    report.write(Event(job.folder, seconds=state.seconds))
    return 0


def _end_with_parent() -> None:
    # not by the buffered reader, which this thread would still hold when Python ends
    while os.read(sys.stdin.fileno(), 1):
        pass
    # its kernels look for this process and end too
    os._exit(_PARENT_GONE)


def _as_ctrl_c(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
