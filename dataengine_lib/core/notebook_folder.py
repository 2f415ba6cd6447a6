"""Where the relative paths of a notebook start (all steps), whichever folder its kernel was started in."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError

# The variable that a run adds to the parameters of the notebooks it executes.
ORIGIN = "executed_by_run"
# The variable in which the first call keeps the folder that the kernel was started in.
_KERNEL_FOLDER = "_kernel_folder"


@dataclass(frozen=True)
class Origin:
    """Where a run executed a notebook; relative `run` and `notebook` start at `start`, as the parameters do."""

    start: Path  # the folder in which the run was started; absolute
    run: Path  # the run's folder: reports/demo
    notebook: Path  # reports/demo/round1/1_evaluate.ipynb

    @classmethod
    def here(cls, run: Path, notebook: Path) -> Self:
        """Of a notebook that is executed from the current folder."""
        return cls(Path.cwd(), run, notebook)

    @classmethod
    def of(cls, names: dict[str, Any]) -> Self | None:
        """What an executed notebook says in its globals; None for a notebook that no run has executed."""
        found = names.get(ORIGIN)
        return cls(**{name: Path(value) for name, value in found.items()}) if found else None

    def as_parameter(self) -> dict[str, dict[str, str]]:
        """The parameter by which `of` finds it."""
        return {ORIGIN: {"start": str(self.start), "run": str(self.run), "notebook": str(self.notebook)}}

    @property
    def folder(self) -> Path:
        """Where the notebook was written."""
        return (self.start / self.notebook).parent


def enter_start_folder(names: dict[str, Any], parameters: Iterable[str]) -> None:
    """Change to the folder in which the relative paths of a notebook start; `names` are its globals.

    An executed notebook goes back to the folder in which its run was started, or stays in a copy of that folder. When
    the run's folder was moved and the kernel was started beside the notebook, as JupyterLab does, those of
    `parameters` that name files of the run are changed to the new place. Any other notebook starts in the current
    folder or, when the folder above holds `data_demo`, there: so do the project's `notebooks/` and copies of it.
    """
    origin = Origin.of(names)
    if origin is None:
        here = Path.cwd()
        if _is_notebooks_of_project(here):
            os.chdir(here.parent)
        return
    # "Run All Cells" a second time sets the parameters anew, but the kernel has left its folder by then.
    here = Path(names.setdefault(_KERNEL_FOLDER, str(Path.cwd())))
    start = origin.start
    if _is_copy_of_start(here, origin):
        start = here
    elif moved := _moved_run(here, origin):
        if project := _moved_project(moved, origin):
            start = project
        else:
            given = {name: names[name] for name in parameters if name in names}
            names |= {name: _at_new_place(value, origin, moved) for name, value in given.items()}
    if start.is_dir():
        os.chdir(start)


def _is_notebooks_of_project(folder: Path) -> bool:
    has_notebooks = next(folder.glob("[0-9]_*.ipynb"), None) is not None
    return has_notebooks and not (folder / "data_demo").is_dir() and (folder.parent / "data_demo").is_dir()


def _is_copy_of_start(here: Path, origin: Origin) -> bool:
    """Whether `here` holds the executed notebook at the same place as the folder in which the run was started.

    So it does when papermill is called in a copy of the project. papermill stores the parameters in the notebook, which
    tells it from the notebook of another run of that name.
    """
    file = here / origin.notebook
    # the same file: a run outside the start folder, such as ../reports/demo, or reports that two projects link to
    if file.resolve() == (origin.start / origin.notebook).resolve():
        return False
    try:
        notebook: dict[str, Any] = read_json(file, dict[str, Any])
    except DataEngineError:
        return False
    parameters = notebook.get("metadata", {}).get("papermill", {}).get("parameters", {})
    return bool(parameters.get(ORIGIN) == origin.as_parameter()[ORIGIN])


def _moved_run(here: Path, origin: Origin) -> Path | None:
    """The run's folder now, if `here` holds the executed notebook and is not where it was written."""
    # Resolved as `here` is: the system names the current folder without links (reports -> /data/reports) and "..".
    if here == origin.folder.resolve():
        return None
    depth = len(origin.folder.relative_to(origin.start / origin.run).parts)  # 1 in reports/demo/round1
    run = here.parents[depth - 1] if depth else here
    # Either may be missing: the manifest after a step that failed, the notebook after it was renamed.
    names = (origin.notebook.name, f"{origin.notebook.stem}.manifest.json")
    return run if (run / "run.json").is_file() and any((here / name).is_file() for name in names) else None


def _moved_project(moved: Path, origin: Origin) -> Path | None:
    """The new start folder, if everything was moved together: `moved` still ends in `reports/demo`."""
    if origin.run.is_absolute():
        return None
    start = Path(*moved.parts[: len(moved.parts) - len(origin.run.parts)])
    return start if start / origin.run == moved else None


def _at_new_place(value: Any, origin: Origin, moved: Path) -> Any:
    """A parameter's value, with the run's folder replaced by `moved` where it names a file of the run.

    It stays relative where the new place is below the start folder too, so that data files hold no path of this machine.
    """
    if isinstance(value, list):
        return [_at_new_place(item, origin, moved) for item in value]
    if isinstance(value, dict):
        return {name: _at_new_place(item, origin, moved) for name, item in value.items()}
    old_run = origin.start / origin.run
    if not isinstance(value, str) or not (path := origin.start / value).is_relative_to(old_run):
        return value
    new = moved / path.relative_to(old_run)
    return str(new.relative_to(origin.start) if new.is_relative_to(origin.start) else new)
