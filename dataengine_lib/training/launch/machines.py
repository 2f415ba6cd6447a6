"""Step 5 on several machines: what a printed command trains, and whether a checkpoint is the one that it made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.files import fingerprint, read_json, sha256, write_json

_INPUTS = "train_inputs.json"  # in the checkpoint of a printed command
# parameters that do not say what is trained, or that the paths of files stand for
_NOT_COMPARED = (
    "output_dir",
    "processes",
    "accelerate_config",
    "device",
    "workers",
    "report_to",
    "save_steps",
)


def settings_file(output_dir: Path) -> Path:
    """The parameters for the printed command, beside the checkpoint that it makes."""
    return output_dir.with_name(f"{output_dir.name}.fine_tune.json")


def write_inputs(folder: Path, parameters: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Write down beside a checkpoint what it was made of."""
    write_json(folder / _INPUTS, _inputs(parameters, files))


def was_made_of(checkpoint: Path, parameters: Mapping[str, Any], files: Sequence[Path]) -> bool:
    """Whether a printed command made `checkpoint` of these parameters, data files, student and adapter."""
    found = checkpoint / _INPUTS
    return found.is_file() and read_json(found) == _inputs(parameters, files)


def _inputs(parameters: Mapping[str, Any], files: Sequence[Path]) -> dict[str, Any]:
    """Parameters with absolute paths, and what the files hold: it may be compared in another folder."""
    kept: dict[str, Any] = {name: value for name, value in parameters.items() if name not in _NOT_COMPARED}
    models = {name: Path(str(kept[name])) for name in ("student", "adapter") if kept.get(name)}
    found = {
        "parameters": {name: _absolute(value) for name, value in kept.items()},
        "files": [sha256(file) for file in files],
        **{
            name: fingerprint(model.absolute()) if model.is_dir() else str(model)
            for name, model in models.items()
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return plain


def _absolute(value: Any) -> Any:
    """Paths of files that exist as absolute ones, also in lists; other values as they are."""
    if isinstance(value, list):
        return [_absolute(one) for one in value]
    if isinstance(value, dict):
        return {key: _absolute(one) for key, one in value.items()}
    return str(Path(value).absolute()) if isinstance(value, str) and value and Path(value).exists() else value
