"""`dataengine` without a process of its own, and with forked kernels: what it prints and how it ends."""

import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dataengine_lib.cli import main
from whole_runs.forked_kernels import fork_kernels


def run_here(words: Sequence[str], folder: Path) -> CompletedProcess[str]:
    """Carry out `dataengine` with `words`, as it would be started in `folder`."""
    printed, errors, status = StringIO(), StringIO(), 0
    on_sigterm = signal.getsignal(signal.SIGTERM)  # which `main` changes
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(errors):
        fork_kernels(patch)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["dataengine", *words])
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)
    return CompletedProcess(list(words), status, printed.getvalue(), errors.getvalue())
