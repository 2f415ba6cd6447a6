"""Kernels that are forked from one process, which has imported what steps need: each saves the seconds of its imports.

The process starts while the playground is drawn, else with the first notebook, and imports beside it. A notebook whose
turn comes earlier, and every one on another system than Linux, gets a kernel as Jupyter starts it.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from dataengine_lib.core.machine.process_control import adopt_orphans

_ANSWER_SECONDS = 60.0  # a fork takes milliseconds
# Without a message, after which a new kernel has sent all it had to say; between two looks at one that is ending.
_QUIET_SECONDS = 0.02
_LEFT_SECONDS = 1.0  # that `close` waits for copies of a killed kernel
_SERVER = "dataengine_lib.runs.kernels.kernel_server"


class ForkedKernel:
    """A kernel's process, as Jupyter handles one: the part of subprocess.Popen that it calls."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative after a signal; None while the kernel runs."""
        return self._wait(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end."""
        return self._wait(0)

    def reap(self) -> bool:
        """Take the exit statuses of what an ended kernel has left behind, as copies of it; False while some of it runs.

        They are in its process group, and children of this process since it ended; they stay zombies until then.
        """
        if self.poll() is None:
            return False
        with suppress(ChildProcessError):  # none is left
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass
            return False
        return True

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, options)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(15)

    def kill(self) -> None:
        """End it."""
        self.send_signal(9)


class KernelForks:
    """The process that kernels are forked from, for one run; nothing is started before `start`."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._is_ready = False
        self._kernels: list[ForkedKernel] = []  # whose processes have not all ended

    @property
    def started(self) -> bool:
        """Whether `start` has been called."""
        return self._server is not None

    def start(self) -> None:
        """Start the process, which then imports; once, and only on Linux."""
        if self._server is not None or sys.platform != "linux":
            return
        self._connection, theirs = socket.socketpair()
        # kernels are recognised by this variable, which Jupyter sets for those that it starts
        environment = os.environ | {"JPY_PARENT_PID": str(os.getpid())}
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", _SERVER, str(theirs.fileno()), str(os.getpid())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # so that Ctrl-C in a terminal does not reach it
            )

    def kernel(
        self, command: Sequence[str], folder: str | None, environment: Mapping[str, str], printed: int
    ) -> ForkedKernel | None:
        """A new kernel for Jupyter's `command`; None where no process is ready to be forked.

        `printed` is the open file that gets what it writes to standard error.
        """
        self._reap()
        if not self._ready() or self._connection is None:
            return None
        adopt_orphans()  # the kernel becomes a child of this process, as one that Jupyter starts
        asked = {
            "options": list(command[command.index("-f") :]),
            "folder": folder or os.getcwd(),
            "environment": dict(environment),
            "printed": f"/proc/{os.getpid()}/fd/{printed}",
        }
        try:
            self._connection.sendall(json.dumps(asked).encode() + b"\n")
            kernel = int(self._connection.recv(100) or b"0")
        except OSError:
            kernel = 0
        if not kernel:  # one of the two has ended, as for lack of memory
            self.close()
            return None
        self._kernels.append(ForkedKernel(kernel))
        return self._kernels[-1]

    def _reap(self) -> None:
        self._kernels = [kernel for kernel in self._kernels if not kernel.reap()]

    def _ready(self) -> bool:
        """Whether the process has imported all, which it says with its first byte."""
        if self._connection is not None and not self._is_ready:
            self._connection.setblocking(False)
            with suppress(OSError):  # it still imports
                self._is_ready = bool(self._connection.recv(1))
            self._connection.settimeout(_ANSWER_SECONDS)
        return self._is_ready

    def close(self) -> None:
        """End the process; kernels end by themselves."""
        if self._connection is not None:
            self._connection.close()
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        self._connection, self._is_ready = None, False
        # copies of a kernel are killed with it, which takes a moment; other programs that it has started may go on
        until = time.monotonic() + _LEFT_SECONDS
        while True:
            self._reap()
            ended = [kernel for kernel in self._kernels if kernel.returncode is not None]
            if not ended or time.monotonic() > until:
                break
            time.sleep(0.01)


def own_kernel_manager(kernels: KernelForks, environment: Mapping[str, str], printed: Any) -> type:
    """The class of a kernel of this Python. Jupyter's kernel specs, which may be missing or foreign, are not read."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class OwnKernel(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())

        def start_kernel(self, **options: Any) -> Any:
            return super().start_kernel(**options, stderr=printed, env=dict(environment))

        def client(self, **options: Any) -> Any:
            found = super().client(**options)
            get = found.iopub_channel.get_msg
            # Jupyter waits 0.2 s for more messages of a kernel that is ready; those that come later are passed over
            found.iopub_channel.get_msg = lambda timeout=None: get(
                timeout if timeout is None else min(timeout, _QUIET_SECONDS)
            )
            return found

        async def _async_wait(self, pollinterval: float = _QUIET_SECONDS) -> None:
            # for the end of a kernel, which Jupyter looks for every 0.1 s
            await super()._async_wait(min(pollinterval, _QUIET_SECONDS))

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            provisioner: Any = self.provisioner
            forked = kernels.kernel(kernel_cmd, options.get("cwd"), options["env"], printed.fileno())
            if forked is None:
                await super()._async_launch_kernel(kernel_cmd, **options)
                return
            # as LocalProvisioner.launch_kernel leaves them; a kernel has a group of its own
            provisioner.process, provisioner.pid, provisioner.pgid = forked, forked.pid, forked.pid
            self._reconcile_connection_info(provisioner.connection_info)

    return OwnKernel
