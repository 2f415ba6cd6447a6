"""The notebooks of the loop (all steps): where they are, and copies of them to work in."""

from pathlib import Path

import dataengine_lib
from dataengine_lib.errors import DataEngineError, ParameterError


def notebooks_folder() -> Path:
    """The folder of `0_classify_questions.ipynb` and the others: inside an installed wheel, beside it in a checkout."""
    package = Path(dataengine_lib.__file__).parent
    inside = package / "notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def copy_notebooks(folder: Path, *, force: bool = False) -> list[Path]:
    """Copy every notebook into `folder`; returns the copies.

    Raises ParameterError, before anything is written, when a file there differs from the package's and `force` is not
    given: it may hold a person's work. Raises DataEngineError when the installation has no notebooks.
    """
    found = {file.name: file.read_bytes() for file in sorted(notebooks_folder().glob("*.ipynb"))}
    if not found:
        raise DataEngineError(
            f"{notebooks_folder()}: no notebooks in this installation; install it once more"
        )
    copies = [folder / name for name in found]
    changed = [copy.name for copy in copies if copy.is_file() and copy.read_bytes() != found[copy.name]]
    if changed and not force:
        raise ParameterError(
            f"{folder}: {', '.join(changed)} {'was' if len(changed) == 1 else 'were'} changed and would be overwritten; "
            "choose another folder or give --force"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for copy in copies:
            copy.write_bytes(found[copy.name])
    except OSError as error:
        raise ParameterError(
            f"{folder}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    return copies
