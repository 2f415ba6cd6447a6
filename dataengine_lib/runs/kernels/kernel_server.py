"""The process that kernels are forked from: `python -m dataengine_lib.runs.kernels.kernel_server SOCKET PARENT`.

It imports, says so with a byte, and then forks a kernel for each line of JSON that it reads from the socket, and
answers with the kernel's process id, or 0 where there is none. It ends with its parent.
"""

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from dataengine_lib.core.machine.process_control import end_with_parent
from dataengine_lib.report.charts import count_chart

# What steps and the pages of their results import, most of it inside of functions. What is not installed is left out.
# ipykernel.debugger takes two thirds of the time in which a kernel starts.
_LIGHT = ["ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger", "matplotlib_inline.backend_inline",
          "numpy", "pandas", "PIL.Image", "openai", "sklearn.feature_extraction", "sklearn.linear_model",
          "dataengine_lib.report.evaluate", "dataengine_lib.runs.workflow"]  # fmt: skip
_MODELS = ["torch", "transformers.models.llava.modeling_llava", "transformers.models.clip.modeling_clip", "accelerate",
           "dataengine_lib.students.loading", "dataengine_lib.training.student_training"]  # fmt: skip
# A library that has looked for a GPU cannot be used for one after a fork.
_GPUS = ("nvidia[0-9]*", "kfd", "dxg")

_FOLDER = sys.path[0]


def main(arguments: list[str]) -> int:
    """Serve until the parent ends."""
    number, parent = map(int, arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not end_with_parent(parent):
        return 1
    # as a kernel sets it before it imports anything
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    # without it, the debugger warns of Python's own modules
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    gpu = any(True for pattern in _GPUS for _ in Path("/dev").glob(pattern))
    for name in _LIGHT if gpu else _LIGHT + _MODELS:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            importlib.import_module(name)
    # the first chart of a process takes half a second more than those after it
    count_chart({"": 1}, "", "")
    # collections of garbage would write to what is imported, and each kernel would need memory of its own for it
    gc.freeze()
    with socket.socket(fileno=number) as connection, connection.makefile("rb") as lines:
        connection.sendall(b"R")
        for line in lines:
            asked = json.loads(line)
            if between := os.fork():
                os.waitpid(between, 0)
                continue
            # the process between ends at once, so that the run becomes the kernel's parent
            between = os.getpid()
            if os.fork():
                os._exit(0)
            while os.getppid() == between:
                time.sleep(0.001)
            _become_kernel(asked, parent, connection)
    return 0


def _become_kernel(asked: dict[str, Any], parent: int, connection: socket.socket) -> NoReturn:
    os.setsid()  # as Jupyter starts kernels
    # ipykernel_launcher takes the folder away that Python puts in front of all others
    sys.path.remove(_FOLDER)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked["environment"])
    try:
        os.chdir(asked["folder"])
        printed = os.open(asked["printed"], os.O_RDWR | os.O_APPEND)
        os.dup2(printed, 2)
        os.close(printed)
    except OSError:
        connection.sendall(b"0")  # Jupyter will say what is wrong
        os._exit(1)
    connection.sendall(str(os.getpid()).encode())
    connection.close()
    # each kernel draws numbers of its own where it sets no seed
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    from ipykernel.kernelapp import IPKernelApp

    status = 1
    with contextlib.suppress(SystemExit):
        IPKernelApp.launch_instance([*asked["options"], f"--IPKernelApp.parent_handle={parent}"])
        status = 0
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
