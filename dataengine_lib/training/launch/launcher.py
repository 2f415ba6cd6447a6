"""Step 5 in several processes: they are started, their progress is shown, and the fault of one is raised here."""

import json
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataengine_lib.core.progress.bar import ProgressBar, progress_bar
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.logged_process import run_logged

# what a process of the training prints for the one that started it
PROGRESS, FAULT, EXCEPTION = "fine-tuning progress: ", "fine-tuning fault: ", "fine-tuning exception: "
OUT_OF_MEMORY = "fine-tuning: out of memory"  # begins the fault that smaller passes may avoid
# Of several such lines the first is the cause: the other processes fail later, because that one has failed.
_FAULT_LINE = re.compile(rf"(?:^|\] ?|: ?)(?P<kind>{FAULT}|{EXCEPTION})(?P<words>.*)$", re.MULTILINE)
# matches lines of torch's summary: "rank      : 1 (local_rank: 1)" and below it "exitcode  : -9 (pid: 4711)"
_KILLED = re.compile(r"^\s*rank\s*: (?P<rank>\d+) .*\n\s*exitcode\s*: -9 \(pid: (?P<pid>\d+)\)", re.MULTILINE)
# matches what torch says before it kills a process that does not end by itself
_KILLED_BY_TORCH = re.compile(r"Unable to shutdown process (?P<pid>\d+) via ")
_MOST_WORDS = 600  # characters of an exception in the error line; the log has all of it


def run_processes(command: Sequence[str]) -> None:
    """Run the launcher's command to its end, with a bar of the steps.

    Raises DataEngineError with the first fault or exception that a process prints, else with the last lines of the
    output. Where the cause may be in it, the log is kept and named.
    """
    bar: ProgressBar[Any] | None = None

    def show(line: str) -> None:
        nonlocal bar
        _, found, text = line.partition(PROGRESS)
        if not found:
            return
        point: dict[str, Any] = json.loads(text)
        if bar is None:
            bar = progress_bar(total=point.pop("steps"), desc="fine-tuning", unit="step")
        point.pop("steps", None)
        bar.update(point.pop("step") - bar.n)
        bar.set_postfix({key: f"{value:.3g}" for key, value in point.items()}, refresh=False)

    folder = Path(tempfile.mkdtemp(prefix="dataengine-"))
    log, keep_log = folder / "processes.log", False
    try:
        run_logged(command, Path.cwd(), log, show)
    except DataEngineError as error:
        text = log.read_text(encoding="utf-8") if log.is_file() else ""
        fault = _FAULT_LINE.search(text)
        if fault and fault["kind"] == FAULT:
            raise DataEngineError(fault["words"]) from error
        keep_log = bool(text)
        # exceptions of the others, "connection closed by peer", only follow from that
        if (rank := _killed_by_system(text)) is not None:
            raise DataEngineError(
                f"fine-tuning: process {rank} was ended by SIGKILL, as the system does without free memory; lower "
                f"processes or set workers to 0; the whole log: {log}"
            ) from error
        if fault:
            raise DataEngineError(f"{fault['words']}; the whole log: {log}") from error
        raise
    finally:
        if bar is not None:
            bar.close()
        if not keep_log:
            shutil.rmtree(folder, ignore_errors=True)


def _killed_by_system(log: str) -> str | None:
    """The number of the process, killed by another program than torch's launcher, that torch names as the cause.

    Of several, that is the last: torch's summary ends with the failure that came first.
    """
    by_torch = set(_KILLED_BY_TORCH.findall(log))
    killed = [found["rank"] for found in _KILLED.finditer(log) if found["pid"] not in by_torch]
    return killed[-1] if killed else None


def print_fault(error: DataEngineError) -> None:
    """Say to the process that started this one why the training failed."""
    print(FAULT + str(error).replace("\n", " "), file=sys.stderr, flush=True)


def print_exception(error: Exception) -> None:
    """Say to the process that started this one by which exception this process ends, below its traceback."""
    traceback.print_exception(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    words = one_line(f"{type(error).__name__}: {error}")[:_MOST_WORDS]
    print(
        f"{EXCEPTION}fine-tuning: process {os.environ.get('RANK', '0')}: {words} "
        f"({Path(place.filename).name}, line {place.lineno})",
        file=sys.stderr,
        flush=True,
    )
