"""Kernels of notebooks that are forked from one process, which has imported the library: papermill's runs without the
seconds that each kernel needs for its imports."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from dataengine_lib.runs.kernels.forked_kernels import KernelForks
from whole_runs.fork_server import FORK_SERVER


class ForkedKernel:
    """A kernel's process as Jupyter handles one: the part of subprocess.Popen that it calls."""

    stdin = stdout = stderr = None

    def __init__(self, command: Sequence[str], folder: str | None, environment: Mapping[str, str]) -> None:
        self._process = FORK_SERVER.Process(target=_kernel, args=(list(command), folder, dict(environment)))
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

    def launch(
        command: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str], **_: Any
    ) -> ForkedKernel:
        assert command[0] == sys.executable and "ipykernel_launcher" in command, command
        return ForkedKernel(command, cwd, env)

    patch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", launch)
    # a run's own process to fork kernels from would import the library for each run
    patch.setattr(KernelForks, "start", lambda _: None)


def _kernel(command: list[str], folder: str | None, environment: dict[str, str]) -> None:
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()  # as Jupyter starts kernels
    os.environ.clear()
    os.environ.update(environment)
    if folder:
        os.chdir(folder)
    # [python, -m, ipykernel_launcher, -f, FILE, …]; a kernel ends with its parent, which ends with the tests
    options = [*command[command.index("-f") :], f"--IPKernelApp.parent_handle={os.getppid()}"]
    IPKernelApp.launch_instance(options)
