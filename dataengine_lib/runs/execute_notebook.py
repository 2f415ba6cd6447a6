"""Execution of one notebook with papermill (all steps), with a one-line reason when it fails."""

import ast
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dataengine_lib.core.files import read_json
from dataengine_lib.core.notebook_folder import Origin
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.report.tables import METADATA_KEY

_START_TIMEOUT_SECONDS = 300  # importing packages from a network disk takes minutes the first time
_ANSI = re.compile(r"\x1b\[[0-9;]*m")  # the colours of a traceback: "\x1b[0;31mValueError\x1b[0m"


class NotebookFailed(DataEngineError):
    """A cell raised. The message is the library's own error message, or the class and first line of another exception."""


class Executed(NamedTuple):
    """What an executed notebook says of its step: the seconds of its own work, and its warnings."""

    seconds: float
    warnings: list[str]


def execute(notebook: Path, output: Path, parameters: dict[str, Any], function: str, run: Path) -> Executed:
    """Run `notebook` with `parameters` in the current folder; `output`, in the folder `run`, is saved after every cell.

    The seconds are those of cells that call `function`. Raises NotebookFailed; `output` is then the notebook up to the
    failed cell, with its traceback.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    logging.getLogger("papermill").setLevel(logging.ERROR)
    _prefer_own_kernel()
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = papermill.execute_notebook(
            str(notebook),
            str(output),
            parameters | Origin.here(run, output).as_parameter(),
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
            log_output=False,
            extra_arguments=["--IPKernelApp.log_level=50"],  # the kernel's own warnings do not concern users
            start_timeout=_START_TIMEOUT_SECONDS,
        )
    except papermill.PapermillExecutionError as error:
        raise NotebookFailed(_one_line(error.ename, error.evalue)) from error
    except DeadKernelError as error:
        raise NotebookFailed("its kernel died, most likely for lack of memory; lower batch_size") from error
    # matches "result = evaluate(config)" for the function evaluate; papermill stores each cell's duration in seconds
    call = re.compile(rf"\b{re.escape(function)}\(")
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    seconds = sum(
        cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in code if call.search(cell.source)
    )
    # each warning once, where several cells show it
    found = [line for cell in code for shown in cell.outputs for line in _warnings_of(shown)]
    return Executed(seconds, list(dict.fromkeys(found)))


def _warnings_of(output: Any) -> list[str]:
    """The warnings in the metadata of a cell's output, as `report.tables.Conclusion` puts them there."""
    own = output.get("metadata", {}).get(METADATA_KEY, {})
    return [str(line) for line in own.get("warnings", [])]


def _prefer_own_kernel() -> None:
    """Let Jupyter find the kernel of this Python first, not one of the same name in the user's home folder."""
    own = str(Path(sys.prefix) / "share" / "jupyter")
    paths = os.environ.get("JUPYTER_PATH", "").split(os.pathsep)
    if paths[0] != own:
        os.environ["JUPYTER_PATH"] = os.pathsep.join([own, *filter(None, paths)])


def _one_line(name: str, message: str) -> str:
    """One line for an exception: the library's own messages stand alone, others need the name of their class."""
    lines = [line.strip() for line in _ANSI.sub("", message).splitlines() if line.strip()]
    # the kernel sends exceptions as text, so the class is known by name only
    if name in _names_of_errors(DataEngineError):
        return " | ".join(lines)
    return f"{name}: {lines[0]}" if lines else name


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
