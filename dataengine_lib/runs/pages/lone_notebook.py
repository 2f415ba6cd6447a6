"""The page of a notebook that papermill ran alone, outside of a run (all steps)."""

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from dataengine_lib.core.text import first_named
from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.summary import Rendered
from dataengine_lib.runs.workflow import STEPS, STUDY, Step


def render_lone_notebook(notebook: Path) -> Rendered:
    """Write the notebook's page beside it, with links to the files that its step wrote, and what is missing of them.

    A notebook of a run gets the page that the run gives it. Raises ParameterError when there is no such file, and
    DataEngineError for one that is no notebook.
    """
    from dataengine_lib.report.html import belongs_to_run, render_with_notes
    from dataengine_lib.report.pages.notebook import made_from

    if not notebook.is_file():
        raise ParameterError(f"{notebook}: there is no such file; give the notebook that papermill wrote")
    page = notebook.with_suffix(".html")
    if belongs_to_run(notebook):
        return Rendered(*render_with_notes(notebook, page))
    source, parameters = made_from(notebook)
    step = _step(source, notebook)
    outputs = _outputs(step, parameters) if step else []
    files = [found for path in outputs if (found := _found(path, notebook)) is not None]
    notes = []
    # each file that is named by a parameter is written; others depend on the parameters
    named = outputs[: len(step.writes)] if step else []
    if missing := [str(path) for path in named if _found(path, notebook) is None]:
        notes.append(f"Not found, so the page has no link to it: {first_named(missing)}.")
    return Rendered(*render_with_notes(notebook, page, files, notes))


def _step(source: str, notebook: Path) -> Step | None:
    """The step whose notebook papermill executed, else the one that this notebook is named after."""
    # PureWindowsPath reads both kinds of slashes
    names = (PureWindowsPath(source).stem, notebook.stem)
    return next((step for name in names for step in (*STEPS, STUDY) if step.notebook == name), None)


def _outputs(step: Step, parameters: Mapping[str, Any]) -> list[Path]:
    """What the parameters of the step name, then what it may write beside that."""
    given = (parameters.get(name) for name in step.writes)
    named = [Path(value) for value in given if isinstance(value, str) and value]
    if not named:
        return []
    beside = named[0] if "output_dir" in step.writes else named[0].parent
    return [*named, *(beside / name for name in step.more_files)]


def _found(path: Path, notebook: Path) -> Path | None:
    """The file that a relative path means: from the current folder, or from one above the notebook's; else None."""
    for start in (Path(), *notebook.resolve().parents):
        try:
            if (start / path).exists():
                return start / path
        except (OSError, ValueError):  # a name that is too long, or holds a null byte
            return None
    return None
