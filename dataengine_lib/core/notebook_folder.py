"""Where the relative paths of a notebook start (all steps), whichever folder its kernel was started in."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# The variable that a run puts into the notebooks it executes; `from_notebook` reads it when they run once more.
ORIGIN = "executed_by_run"


def origin(notebook: Path, run: Path) -> dict[str, str]:
    """The value of `ORIGIN` for a notebook executed from the current folder as a part of `run`."""
    return {"start": str(Path.cwd()), "run": str(run), "notebook": str(notebook)}


def enter_start_folder(names: dict[str, Any], parameters: Iterable[str]) -> None:
    """Change to the folder in which the relative paths of a notebook start; `names` are its globals.

    An executed notebook goes back to the folder its run was started in. A notebook of the project or a copy of it
    starts in the folder above its own where that holds `data_demo`, and in the current folder otherwise.
    """
    here = Path.cwd()
    if ORIGIN not in names:
        if (
            not (here / "data_demo").is_dir()
            and _is_notebook_folder(here)
            and (here.parent / "data_demo").is_dir()
        ):
            os.chdir(here.parent)
        return
    start, run, notebook = (Path(names[ORIGIN][key]) for key in ("start", "run", "notebook"))
    moved_run = None if here == start else _moved_run(here, start, run, notebook)
    if moved_run is not None:
        parts = () if run.is_absolute() else run.parts
        if (
            parts and moved_run.parts[-len(parts) :] == parts
        ):  # the whole project was moved: `reports/demo` still fits
            start = moved_run.parents[len(parts) - 1]
        else:
            names |= _at_new_place(
                {name: names[name] for name in parameters if name in names}, start, run, moved_run
            )
    if start.is_dir():
        os.chdir(start)


def _is_notebook_folder(folder: Path) -> bool:
    return next(folder.glob("[0-9]_*.ipynb"), None) is not None


def _moved_run(here: Path, start: Path, run: Path, notebook: Path) -> Path | None:
    """The run's folder now, if the kernel was started beside the executed notebook and that is not where it was made."""
    made_in = (start / notebook).parent
    depth = len(
        made_in.relative_to(start / run).parts
    )  # 1 for reports/demo/round1, below the run reports/demo
    found = here.parents[depth - 1] if depth else here
    beside = (here / notebook.with_suffix(".manifest.json").name).is_file() and (found / "run.json").is_file()
    return found if beside and here != made_in else None


def _at_new_place(values: dict[str, Any], start: Path, run: Path, moved_run: Path) -> dict[str, Any]:
    """The parameters `values`, where those that name a file of the run name it in the folder it was moved to."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        inside = isinstance(value, str) and (start / value).is_relative_to(start / run)
        return str(moved_run / (start / value).relative_to(start / run)) if inside else value

    return {name: moved(value) for name, value in values.items()}
