"""Step 5 in several processes: they are started, their progress is shown, and the fault of one is raised here."""

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.logged_process import run_logged

# what a process of the training prints for the one that started it
PROGRESS, FAULT = "fine-tuning progress: ", "fine-tuning fault: "
OUT_OF_MEMORY = "fine-tuning: out of memory"  # begins the fault that smaller passes may avoid
_FAULT_LINE = re.compile(rf"(?:^|\] ?|: ?){re.escape(FAULT)}(?P<words>.*)$", re.MULTILINE)


def run_processes(command: Sequence[str]) -> None:
    """Run the launcher's command to its end, with a bar of the steps.

    Raises DataEngineError with what a process says of its fault, else with the last lines of the output.
    """
    bar: tqdm[Any] | None = None

    def show(line: str) -> None:
        nonlocal bar
        _, found, text = line.partition(PROGRESS)
        if not found:
            return
        point: dict[str, Any] = json.loads(text)
        if bar is None:
            bar = tqdm(total=point.pop("steps"), desc="fine-tuning", unit="step", disable=None)
        point.pop("steps", None)
        bar.update(point.pop("step") - bar.n)
        bar.set_postfix({key: f"{value:.3g}" for key, value in point.items()}, refresh=False)

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "processes.log"
        try:
            run_logged(command, Path.cwd(), log, show)
        except DataEngineError as error:
            if fault := _FAULT_LINE.search(log.read_text(encoding="utf-8")):
                raise DataEngineError(fault["words"]) from error
            raise
        finally:
            if bar is not None:
                bar.close()


def print_fault(error: DataEngineError) -> None:
    """Say to the process that started this one why the training failed."""
    print(FAULT + str(error).replace("\n", " "), file=sys.stderr, flush=True)
