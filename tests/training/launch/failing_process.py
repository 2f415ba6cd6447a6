"""One process of step 5, of which the second fails in a way that step 5 does not expect.

FAILS says how: `exception`, or `killed` as by a system without free memory. The first one waits for it.
"""

import os
import signal
import sys
from typing import Any

from dataengine_lib.steps import fine_tune_process
from dataengine_lib.training.launch.world import World


def _fail(_config: Any, world: World, **_: Any) -> None:
    world.join(on_cpu=True)
    if world.rank == 1:
        if os.environ["FAILS"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ZeroDivisionError("no answer token\nin this step")
    world.wait()


if __name__ == "__main__":
    fine_tune_process.train_in_this_process = _fail  # type: ignore[assignment]
    sys.exit(fine_tune_process.main(sys.argv[1:]))
