"""Kernels of notebooks that are forked from one process, which has imported the library: papermill's runs without the
seconds that each kernel needs for its imports."""

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

# what the notebooks of a run import, also inside functions
_IMPORTED = [
    "ipykernel.kernelapp", "torch", "transformers.models.llava.modeling_llava",
    "transformers.models.clip.modeling_clip", "peft", "sklearn.linear_model", "matplotlib.backends.backend_agg",
    "dataengine_lib.runs.workflow", "dataengine_lib.report.evaluate", "dataengine_lib.students.loading",
    "dataengine_lib.training.student_training",
]  # fmt: skip
_CONTEXT = multiprocessing.get_context("forkserver")


class ForkedKernel:
    """A kernel's process as Jupyter handles one: the part of subprocess.Popen that it calls."""

    stdin = stdout = stderr = None

    def __init__(self, command: Sequence[str], folder: str | None, environment: Mapping[str, str]) -> None:
        self._process = _CONTEXT.Process(target=_kernel, args=(list(command), folder, dict(environment)))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        # only then is a signal to its group none to the group of the tests
        while self.poll() is None and os.getpgid(self.pid) != self.pid:
            time.sleep(0.005)

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork_kernels(patch: pytest.MonkeyPatch) -> None:
    """Have Jupyter fork the kernels that it starts, until `patch` is undone."""
    _CONTEXT.set_forkserver_preload(_IMPORTED)

    def launch(
        command: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str], **_: Any
    ) -> ForkedKernel:
        return ForkedKernel(command, cwd, env)

    patch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", launch)


def _kernel(command: list[str], folder: str | None, environment: dict[str, str]) -> None:
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()  # as Jupyter starts kernels
    os.environ.clear()
    os.environ.update(environment)
    if folder:
        os.chdir(folder)
    # [python, -m, ipykernel_launcher, -f, FILE, …]
    IPKernelApp.launch_instance(command[command.index("-f") :])
