"""One process of step 5 whose weights are divided by FSDP on a CPU, which accelerate itself does on GPUs alone.

Only accelerate's choice is replaced: the weights are divided, saved, loaded and gathered by its code and torch's.
"""

import sys
from typing import Any

from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from dataengine_lib.steps import fine_tune_process

_init = AcceleratorState.__init__


def _as_on_gpus(self: AcceleratorState, *given: Any, **more: Any) -> None:
    if not AcceleratorState._shared_state:
        PartialState(cpu=True, backend="gloo")
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    _init(self, *given, **more)


if __name__ == "__main__":
    AcceleratorState.__init__ = _as_on_gpus  # type: ignore[method-assign]
    sys.exit(fine_tune_process.main(sys.argv[1:]))
