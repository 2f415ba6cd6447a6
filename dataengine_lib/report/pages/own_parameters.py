"""The parameters of an executed notebook (all steps), and the command by which papermill made it, from the notebook."""

import ast
import json
import shlex
from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from dataengine_lib.core.notebook_folder import ORIGIN

_TAG = "parameters"  # of the cell that holds the defaults; papermill adds a cell with those that it was given
_MOST_TEXT = 100_000  # characters of that cell; a longer one was not written by a person
_LONGEST_COMMAND = 2_000
_READ_BY_PAPERMILL = {"True", "False", "None"}  # words that `-p` does not pass on as texts


def own_parameters(book: Any) -> dict[str, Any]:
    """The notebook's defaults, and over them what papermill was given."""
    found: dict[str, Any] = {}
    for cell in book.cells:
        if cell.cell_type == "code" and _TAG in cell.metadata.get("tags", []):
            found |= _assigned(str(cell.source))
    given = _papermill(book.metadata).get("parameters")
    found |= dict(given) if isinstance(given, Mapping) else {}
    return {str(name): value for name, value in found.items() if name != ORIGIN}


def papermill_command(metadata: Any) -> str:
    """What one types to have papermill make the notebook once more; empty where another program made it, or too long.

    Also empty where it names folders of the machine, which are of no use to who reads the page elsewhere.
    """
    made = _papermill(metadata)
    source, output, given = (made.get(name) for name in ("input_path", "output_path", "parameters"))
    if not (isinstance(source, str) and isinstance(output, str)) or "parameters" not in made:
        return ""
    # PureWindowsPath knows both C:\\coco and /data/coco
    if any(PureWindowsPath(path).root for path in (source, output)):
        return ""
    words = ["papermill", source, output]
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if isinstance(value, list | dict):
            words += ["-y", json.dumps({name: value}, ensure_ascii=False)]
        elif isinstance(value, str) and _is_read(value):
            words += ["-r", str(name), value]
        else:
            words += ["-p", str(name), str(value)]
    command = shlex.join(words)
    return command if len(command) <= _LONGEST_COMMAND else ""


def papermill_source(metadata: Any) -> str:
    """The notebook that papermill executed; empty where another program did."""
    source = _papermill(metadata).get("input_path")
    return source if isinstance(source, str) else ""


def _papermill(metadata: Any) -> Mapping[str, Any]:
    made = metadata.get("papermill") if isinstance(metadata, Mapping) else None
    return made if isinstance(made, Mapping) else {}


def _assigned(source: str) -> dict[str, Any]:
    """`student: str = "tiny"  # the model` is {"student": "tiny"}; nothing is evaluated but literals."""
    if len(source) > _MOST_TEXT:
        return {}
    try:
        statements = ast.parse(source).body
    except (
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ):  # Python's parser, of a text that is no Python
        return {}
    found = {}
    for statement in statements:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    found[target.id] = ast.literal_eval(statement.value)
                except (ValueError, TypeError, RecursionError, MemoryError):  # no literal
                    continue
    return found


def _is_read(text: str) -> bool:
    """Whether papermill's `-p` makes something else of the text than a text."""
    try:
        float(text)
    except ValueError:
        return text in _READ_BY_PAPERMILL
    return True
