"""Processes of the library for tests that kill them: forked from one that has imported it, so they start at once."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["openai", "dataengine_lib.steps.generate_qa"])


def forked(
    function: Callable[..., object], *arguments: Any, log: Path, environment: Mapping[str, str]
) -> BaseProcess:
    """A process, not started yet, that calls `function`; what it prints is added to `log`.

    `environment` is added to its own, which is that of the first such process.
    """
    return _CONTEXT.Process(target=_call, args=(function, arguments, log, dict(environment)))


def _call(
    function: Callable[..., object], arguments: tuple[Any, ...], log: Path, environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    with log.open("a", encoding="utf-8") as stream:
        sys.stdout = sys.stderr = stream
        function(*arguments)
