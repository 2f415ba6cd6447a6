"""Processes of the library for tests that kill them: forked from one that has imported it, so they start at once."""

import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from whole_runs.fork_server import FORK_SERVER


def forked(
    function: Callable[..., object], *arguments: Any, log: Path, environment: Mapping[str, str]
) -> BaseProcess:
    """A process, not started yet, that calls `function`; what it prints is added to `log`.

    Its environment is the one of this process, with `environment` added.
    """
    variables = {**os.environ, **environment}
    return FORK_SERVER.Process(target=_call, args=(function, arguments, log, variables))


def _call(
    function: Callable[..., object], arguments: tuple[Any, ...], log: Path, environment: dict[str, str]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    # open to the end of the process, which then writes the traceback of an exception there
    sys.stdout = sys.stderr = log.open("a", encoding="utf-8", buffering=1)
    function(*arguments)
