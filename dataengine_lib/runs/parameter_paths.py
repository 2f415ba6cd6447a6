"""Files and folders that the parameters of a run name (all steps): which values are paths, and where they are found."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dataengine_lib.core.step_config import StepConfig

# Text parameters that may name a folder as well as a model: its Hugging Face name, or `KIND:REST`.
_MODEL_OR_FOLDER = ("student", "adapter", "encoder")


def relative_to_here(path: Path) -> Path:
    """Relative if it is inside the current folder, so that data files and reports hold no path of this machine."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def yaml_roots(file: Path) -> list[Path]:
    """Where an experiment's relative paths may start, beside the current folder: the YAML's, and the one above params/."""
    folder = file.absolute().parent
    return [folder, folder.parent] if folder.name == "params" else [folder]


def with_found_paths(config: StepConfig, run: Path, roots: list[Path], own: Collection[str]) -> StepConfig:
    """The config with paths as seen from the current folder; what is missing there is looked for in `roots`.

    Files of the folder `run` are never looked for elsewhere: a run of that name below a root is another one. Neither are
    those of the parameters `own`, which the workflow has set.
    """
    found = {name: value if name in own else _found(name, value, run, roots) for name, value in config}
    return config.model_copy(update=found)


def _found(name: str, value: Any, run: Path, roots: list[Path]) -> Any:
    if isinstance(value, list):
        return [_found(name, item, run, roots) for item in value]
    # these are text, but may name a folder: data_demo/models/tiny-llava
    if not isinstance(value, Path) and (name not in _MODEL_OR_FOLDER or value is None):
        return value
    path = Path(value).expanduser()
    # every relative path is below "."; there, data may lie beside the run
    if run != Path() and path.is_relative_to(run):
        return value
    if not path.is_absolute() and not path.exists():
        path = next((root / path for root in roots if (root / path).exists()), path)
    path = relative_to_here(path)
    if isinstance(value, Path):
        return path
    # a hub name such as llava-hf/llava-1.5-7b-hf stays as it is
    return str(path) if path.exists() and os.sep in value else value


def named_paths(name: str, value: Any) -> list[Path]:
    """The files and folders that the value of the parameter `name` names; also those inside a text (`replay:FILE`)."""
    values = value if isinstance(value, list) else [value]
    return [path for item in values if (path := _named_path(name, item)) is not None]


def _named_path(name: str, value: Any) -> Path | None:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        return None
    kind, colon, rest = value.partition(":")
    if name == "teacher":
        return Path(rest) if kind == "replay" else None
    if name not in _MODEL_OR_FOLDER:
        return None
    if colon and kind == "recorded":
        return Path(rest)
    # A Hugging Face name is `owner/name` at most; text with more slashes is meant as a folder.
    looks_like_path = value.count("/") > 1 or value.startswith((".", "/", "~", "{"))
    return Path(value) if not colon and (looks_like_path or Path(value).exists()) else None
