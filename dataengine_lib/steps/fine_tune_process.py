"""Step 5: one of several processes that train together, as a launcher starts it.

`python -m dataengine_lib.steps.fine_tune_process CONFIG.json PROCESSES [PARENT ACCUMULATE]`: the parameters of step 5,
the number of processes in all, the id of the process that waits for them, without which they end, and their passes.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.fine_tune import FineTuneConfig, train_in_this_process
from dataengine_lib.training.launch.launcher import print_exception, print_fault
from dataengine_lib.training.launch.world import this_world

_FAILED = 3  # the exit status after a fault or exception that was printed


def main(arguments: list[str]) -> int:
    """Train; 0 when the checkpoint is written."""
    file, processes, *started = arguments
    parent, accumulate = map(int, started) if started else (0, None)
    if parent:
        threading.Thread(target=_end_without, args=(parent,), daemon=True).start()
    try:
        config = FineTuneConfig.read(json.loads(Path(file).read_text(encoding="utf-8")), file)
        train_in_this_process(
            config, this_world(int(processes)), by_command=not parent, accumulate=accumulate
        )
    except DataEngineError as error:
        print_fault(error)
        return _FAILED
    except Exception as error:
        # of it the launcher would only show that a process has ended
        print_exception(error)
        return _FAILED
    return 0


def _end_without(parent: int) -> None:
    """End this process when the one that waits for it is gone: killed, it could not stop its processes."""
    import psutil

    while psutil.pid_exists(parent):
        time.sleep(1)
    os._exit(_FAILED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
