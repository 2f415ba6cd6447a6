"""Execution of one notebook with papermill (all steps), with a one-line reason when it fails."""

import ast
import errno
import logging
import math
import os
import re
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple

from dataengine_lib.core.files import read_json
from dataengine_lib.core.notebook_folder import Origin
from dataengine_lib.core.progress.bar import BAR_VARIABLE
from dataengine_lib.core.secrets.masking import SecretMask
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError, ParameterError, system_remedy
from dataengine_lib.report.pages.notebook import without_iri_grammar
from dataengine_lib.report.tables import METADATA_KEY
from dataengine_lib.runs.kernels.forked_kernels import KernelForks, own_kernel_manager
from dataengine_lib.runs.lock import is_kernel_of

_START_TIMEOUT_SECONDS = 300  # importing packages from a network disk takes minutes the first time
_ANSI = re.compile(r"\x1b\[[0-9;]*m")  # the colours of a traceback: "\x1b[0;31mValueError\x1b[0m"


# matches "[Errno 24] Too many open files" and "No space left on device (os error 28)"
_SYSTEM_ERROR = re.compile(r"(?:\[Errno |\(os error )(\d+)[\])]")
_OPEN_FILES = 128  # a kernel holds about 50 open before it has done anything
_LEAST_OPEN_FILES = 48  # with fewer a kernel either ends at once, or waits for ever without a word
_SMALL_BYTES = 100_000  # of a notebook without a chart
_SAVED_SECONDS = 1.0  # between two saves of a larger one, at least
_SAME_REQUEST_SECONDS = 1.0  # signals within this time are one request to stop
# After the time that requests under way are given: for the rest of the cell, such as writing its files.
_LAST_SECONDS = 30.0


class NotebookFailed(DataEngineError):
    """A cell raised. The message is the library's own error message, or the class and first line of another exception."""


class Executed(NamedTuple):
    """What an executed notebook says of its step: the seconds of its own work, and its warnings."""

    seconds: float
    warnings: list[str]


def execute(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any],
    function: str,
    run: Path,
    bar_file: Path | None = None,
    kernels: KernelForks | None = None,
) -> Executed:
    """Run `notebook` with `parameters` in the current folder; `output`, in the folder `run`, is saved meanwhile.

    The kernel keeps the step's bar in `bar_file`, and displays none. It is forked from the process of `kernels` where
    that has imported all by now; else that process is started for the next notebooks.
    The seconds are those of cells that call `function`. Raises NotebookFailed; `output` is then the notebook up to the
    failed cell, with its traceback. After Ctrl-C or SIGTERM the kernel is interrupted and its cell has time to keep
    what is under way; then KeyboardInterrupt is raised. A second Ctrl-C stops at once.
    """
    with without_iri_grammar():
        import papermill
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from zmq import ZMQError

    grace = float(parameters.get("timeout_s") or 0) + _LAST_SECONDS
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # errors are raised as well
    output.parent.mkdir(parents=True, exist_ok=True)
    if (most := _most_open_files()) < _LEAST_OPEN_FILES:
        raise NotebookFailed(_too_few_files(most))
    # What the kernel prints before it can take cells, and when it crashes; closed below.
    printed = TemporaryFile()  # noqa: SIM115
    forks = kernels or KernelForks()
    if kernels:
        kernels.start()
    try:
        with _Forwarder(grace) as forwarder:
            done = papermill.execute_notebook(
                str(notebook),
                str(output),
                parameters | Origin.here(run, output).as_parameter(),
                engine_name=_engine(forwarder),
                # Whatever kernel the notebook was saved with in JupyterLab: it is run by this Python.
                kernel_name="python3",
                language="python",
                kernel_manager_class=own_kernel_manager(forks, _environment(bar_file), printed),
                # without its last line, which would stand among those of the run
                progress_bar={"leave": False} if sys.stderr.isatty() else False,
                log_output=False,
                # the kernel's own warnings do not concern users
                extra_arguments=["--IPKernelApp.log_level=50"],
                start_timeout=_START_TIMEOUT_SECONDS,
            )
    except (papermill.PapermillExecutionError, CellExecutionError) as error:
        reason = SecretMask.of_environment().masked(_one_line(error.ename, error.evalue))
        raise NotebookFailed(reason) from error
    except DeadKernelError as error:
        remedy = "lower batch_size" if "batch_size" in parameters else "end other programs, then run again"
        raise NotebookFailed(f"its kernel died, most likely for lack of memory; {remedy}") from error
    # as jupyter_client fails before the first cell; without ipykernel there is no kernel
    except (ImportError, RuntimeError, ZMQError) as error:
        raise NotebookFailed(_not_started(error, printed)) from error
    finally:
        printed.close()
        _mask_file(output)
    # matches "result = evaluate(config)" for the function evaluate; papermill stores each cell's duration in seconds
    call = re.compile(rf"\b{re.escape(function)}\(")
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    seconds = sum(
        cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in code if call.search(cell.source)
    )
    # each warning once, where several cells show it
    found = [line for cell in code for shown in cell.outputs for line in _warnings_of(shown)]
    return Executed(seconds, list(dict.fromkeys(found)))


class _Forwarder:
    """Forwards SIGINT and SIGTERM to the kernels of this process as an interrupt, once; they are in a session of their own.

    On leaving the block KeyboardInterrupt is raised if there was a signal. Kernels that still run a cell after
    `grace_s` seconds are killed.
    """

    def __init__(self, grace_s: float) -> None:
        self.grace_s, self.stopped = grace_s, False
        self._first = 0.0
        self._timer: threading.Timer | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Forwarder":
        # only the main thread may set handlers, and only it gets signals
        if threading.current_thread() is threading.main_thread():
            signals = (signal.SIGINT, signal.SIGTERM)
            self._before = {number: signal.signal(number, self._on_signal) for number in signals}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._timer is not None:
            self._timer.cancel()
        # an Exception is the interrupted cell's own error, or a kernel that died
        if kind is None or issubclass(kind, Exception):
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt after a signal."""
        if self.stopped:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if not self.stopped:
            self.stopped, self._first = True, now
            _signal_kernels(signal.SIGINT)
            self._timer = threading.Timer(self.grace_s, _signal_kernels, [signal.SIGKILL])
            self._timer.daemon = True
            self._timer.start()
        elif number == signal.SIGINT and now > self._first + _SAME_REQUEST_SECONDS:
            _signal_kernels(signal.SIGINT)
            raise KeyboardInterrupt


def _signal_kernels(number: int) -> None:
    """Send a signal to the kernels that this process has started."""
    import psutil

    for child in psutil.Process().children():
        if is_kernel_of(os.getpid(), child):
            with suppress(psutil.Error):  # ended in the meantime
                child.send_signal(number)


def _engine(forwarder: _Forwarder) -> str:
    """The name of a papermill engine whose clock never goes backwards, and that begins no further cell after a signal.

    An idle kernel ignores interrupts. The system's clock may be set while a cell runs, which then took less than no time.
    papermill saves the notebook before and after each cell; once it has outputs, that takes as long as most cells, and
    it is saved once a second at most, and at the end.
    """
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):  # type: ignore[misc]
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            start, started, began = nb_man.cell_start, nb_man.start_time, time.monotonic()
            save, saved, file = nb_man.save, began, Path(nb_man.output_path)

            def save_at_times(*cell: Any, **named: Any) -> None:
                nonlocal saved
                large = file.is_file() and file.stat().st_size >= _SMALL_BYTES
                if not large or time.monotonic() >= saved + _SAVED_SECONDS:
                    save(*cell, **named)
                    saved = time.monotonic()

            def start_unless_stopped(*cell: Any, **named: Any) -> None:
                forwarder.check()
                start(*cell, **named)

            nb_man.cell_start = start_unless_stopped
            nb_man.now = lambda: started + timedelta(seconds=time.monotonic() - began)
            nb_man.save = save_at_times
            try:
                return super().execute_managed_notebook(nb_man, kernel_name, **options)
            finally:
                nb_man.save = save

    papermill_engines.register("dataengine", Engine)
    return "dataengine"


def _warnings_of(output: Any) -> list[str]:
    """The warnings in the metadata of a cell's output, as `report.tables.Conclusion` puts them there."""
    own = output.get("metadata", {}).get(METADATA_KEY, {})
    return [str(line) for line in own.get("warnings", [])]


def _mask_file(notebook: Path) -> None:
    """Mask the secrets of the environment in a saved notebook: the error of another library may repeat one."""
    if not notebook.is_file():
        return
    text = notebook.read_text(encoding="utf-8")
    masked = SecretMask.of_environment().masked_writing(text)
    if masked != text:
        with replacing(notebook, "w") as stream:
            stream.write(masked)


def _environment(bar_file: Path | None) -> dict[str, str]:
    """The variables of a kernel."""
    return {**os.environ, **({BAR_VARIABLE: str(bar_file)} if bar_file else {})}


def _one_line(name: str, message: str) -> str:
    """One line for an exception: the library's own messages stand alone, others need the name of their class."""
    lines = [line.strip() for line in _ANSI.sub("", message).splitlines() if line.strip()]
    # the kernel sends exceptions as text, so the class is known by name only
    if name in _names_of_errors(DataEngineError):
        return " | ".join(lines)
    if not lines:
        return name
    # the system's own errors, also those of libraries written in Rust
    number = _SYSTEM_ERROR.search(lines[0])
    remedy = system_remedy(int(number[1])) if number else ""
    return f"{name}: {lines[0]}{f'; {remedy}' if remedy else ''}"


def _most_open_files() -> float:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return math.inf if most == resource.RLIM_INFINITY else most


def _too_few_files(most: float) -> str:
    return f"its kernel could not be started: only {most} files may be open; {system_remedy(errno.EMFILE)}"


def _not_started(error: Exception, printed: BinaryIO) -> str:
    if (most := _most_open_files()) < _OPEN_FILES:
        return _too_few_files(most)
    printed.seek(0)
    lines = printed.read().decode(errors="replace").split("\n")
    # the last line of a traceback names the error
    reason = next((line.strip() for line in reversed(lines) if line.strip()), error or type(error).__name__)
    return f"its kernel could not be started ({reason}); run: dataengine doctor"


def _names_of_errors(kind: type[Exception]) -> set[str]:
    return {kind.__name__}.union(*(_names_of_errors(child) for child in kind.__subclasses__()))


def check_notebook(notebook: Path, names: set[str]) -> None:
    """Raise ParameterError unless the notebook's `parameters` cell has exactly `names`.

    papermill itself only warns about an unknown parameter, and the notebook's own default stays in place.
    """
    if not notebook.is_file():
        raise ParameterError(f"{notebook}: no such notebook")
    content: dict[str, Any] = read_json(notebook)
    cells = content.get("cells", [])
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    found: set[str] = set()
    for cell in tagged:
        for line in ast.parse("".join(cell["source"])).body:
            # `topk = 10` has a list of targets, `topk: int = 10` a single one
            targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
            found.update(target.id for target in targets if isinstance(target, ast.Name))
    if wrong := sorted(found ^ names):
        has = "has" if wrong[0] in found else "lacks"
        raise ParameterError(f"{notebook}: its parameters cell {has} {wrong[0]!r}, unlike the step's Config")
