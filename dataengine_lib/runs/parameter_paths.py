"""Files and folders that the parameters of a run name (all steps): which values are paths, and where they are found."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.user_files.yaml_file import read_yaml
from dataengine_lib.errors import ParameterError
from dataengine_lib.queries.spares import with_asked_spares
from dataengine_lib.questions.companion_files import companion_files

# Text parameters that may name a folder as well as a model: its Hugging Face name, or `KIND:REST`.
_MODEL_OR_FOLDER = ("student", "adapter", "encoder")
# Parameters that name question files, beside which others may lie that are read with them.
_QUESTION_FILES = ("questions", "base_data", "train_data", "panel")
# Parameters that name files of queries, beside which may lie those of the spares that were asked.
_QUERY_FILES = ("exclude_queries", "teacher_queries")
# Text parameters, and what stands before the colon where the rest of their value is a file.
_FILE_KINDS = {
    "student": ("recorded", "vllm"),
    "encoder": ("clip",),
    "teacher": ("replay", "local"),
}


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
    if isinstance(value, dict):
        return {key: _found(key, item, run, roots) for key, item in value.items()}
    if isinstance(value, BaseModel):
        found = {inner: _found(inner, item, run, roots) for inner, item in value}
        return value.model_copy(update=found)
    if isinstance(value, str):
        kind, colon, rest = value.partition(":")
        if colon and rest and kind in _FILE_KINDS.get(name, ()):
            return f"{kind}:{_found_text(rest, run, roots)}"
        # these are text, but may name a folder: data_demo/models/tiny-llava
        return _found_text(value, run, roots) if name in _MODEL_OR_FOLDER else value
    return _found_path(value, run, roots) if isinstance(value, Path) else value


def _found_text(value: str, run: Path, roots: list[Path]) -> str:
    """The path that a text names; a hub name such as llava-hf/llava-1.5-7b-hf stays as it is."""
    path = _found_path(Path(value), run, roots)
    return str(path) if value and path.exists() else value


def _found_path(given: Path, run: Path, roots: list[Path]) -> Path:
    path = given.expanduser()
    # every relative path is below "."; there, data may lie beside the run
    if run != Path() and path.is_relative_to(run):
        return given
    if not path.is_absolute() and not path.exists():
        path = next((root / path for root in roots if (root / path).exists()), path)
    return relative_to_here(path)


def named_paths(name: str, value: Any) -> list[Path]:
    """The files and folders that the value of the parameter `name` names; also those inside a text (`replay:FILE`).

    The file of `local:` is not among them: a model of gigabytes is no input whose content is compared.
    """
    if isinstance(value, list):
        return [path for item in value for path in named_paths(name, item)]
    if isinstance(value, dict):
        return [path for key, item in value.items() for path in named_paths(key, item)]
    if isinstance(value, BaseModel):
        return [path for inner, item in value for path in named_paths(inner, item)]
    path = _named_path(name, value)
    return [] if path is None else [path]


def read_with(name: str, paths: list[Path]) -> list[Path]:
    """The files that are read with those that the parameter `name` names: VQA's annotations, spares, DeepSpeed's config."""
    if name in _QUESTION_FILES:
        found = [other for path in paths for other in companion_files(path)]
    elif name in _QUERY_FILES:
        found = with_asked_spares(paths)
    elif name == "accelerate_config":
        found = [other for path in paths for other in _deepspeed_config(path)]
    else:
        found = []
    return [path for path in dict.fromkeys(found) if path not in paths]


def _deepspeed_config(file: Path) -> list[Path]:
    """The file of DeepSpeed that a config of `accelerate config` names; a config that cannot be read names none."""
    try:
        content = read_yaml(file, "") if file.is_file() else None
    except ParameterError:
        return []  # step 5 says what is wrong with it
    settings = content.get("deepspeed_config") if isinstance(content, dict) else None
    named = settings.get("deepspeed_config_file") if isinstance(settings, dict) else None
    return [Path(named)] if isinstance(named, str) and Path(named).is_file() else []


def settings_beside_paths(value: Any) -> Any:
    """What the value of an input parameter says beside the paths in it: the fields of a list's models; None for none.

    A path is replaced by an empty text, because its content is compared and not its name.
    """
    if isinstance(value, list):
        found = [settings_beside_paths(item) for item in value]
        return found if any(item is not None for item in found) else None
    if isinstance(value, dict):
        inside = {key: settings_beside_paths(item) for key, item in value.items()}
        return inside if any(item is not None for item in inside.values()) else None
    if isinstance(value, BaseModel):
        return {name: "" if isinstance(item, Path) else item for name, item in value}
    return None


def _named_path(name: str, value: Any) -> Path | None:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        return None
    if name == "student":
        value = value.removeprefix("vllm:")  # behind it, a model as without it
    kind, colon, rest = value.partition(":")
    if colon and rest and kind in _FILE_KINDS.get(name, ()):
        # clip:ViT-B/32 is a name of OpenAI's package, clip:FILE a checkpoint
        is_file = kind in ("replay", "recorded") or (kind == "clip" and _is_checkpoint(rest))
        return Path(rest) if is_file else None
    if name not in _MODEL_OR_FOLDER or not value:  # Path("") would be the current folder
        return None
    # A Hugging Face name is `owner/name` at most; text with more slashes is meant as a folder.
    looks_like_path = value.count("/") > 1 or value.startswith((".", "/", "~", "{"))
    if name == "adapter" and value and "/" not in value:  # the hub has adapters only as owner/name
        looks_like_path = True
    return Path(value) if not colon and (looks_like_path or Path(value).exists()) else None


def _is_checkpoint(name: str) -> bool:
    return Path(name).suffix in (".pt", ".pth", ".bin", ".safetensors") or Path(name).is_file()
