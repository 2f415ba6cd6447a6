"""Step 5, `trainer: command`: the model or adapter that another trainer has written, loaded as step 1 loads it."""

import re
import shutil
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from dataengine_lib.core.files import read_json
from dataengine_lib.core.model_files.model_folder import (
    check_adapter_folder,
    check_model_folder,
    has_processor,
    has_weights,
)
from dataengine_lib.core.records import ANSWERS_FILE
from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.log import LossPoint

_NUMBERED = re.compile(r"checkpoint-(\d+)")  # as transformers' Trainer names its folders
_DEEPEST = 3  # folders below the output: ms-swift writes OUTPUT/v0-20250101-120000/checkpoint-20
# states of a training, which no model needs: the optimizer alone is twice as large as the weights
_STATES = re.compile(r"checkpoint-\d+|global_step\d+|runs|(optimizer|scheduler|scaler)\.pt|rng_state.*\.pth")
_STATE = "trainer_state.json"
ANSWERS = ANSWERS_FILE  # what a trainer whose models step 1 cannot load leaves instead: its own evaluation's answers


class TrainedCurve(NamedTuple):
    """What the trainer's own log says: its number of steps and its losses; 0 and none where it keeps no such log."""

    steps: int
    loss: list[LossPoint]


def find_checkpoint(output: Path) -> Path:
    """The folder in `output` that holds the model or the adapter: itself, or the last `checkpoint-N` below it.

    It is `output` too where that holds ANSWERS and no model.

    Raises DataEngineError when there is none, or several of which none is the last.
    """
    if _is_checkpoint(output) or (output / ANSWERS).is_file():
        return output
    found = [
        file.parent
        for depth in range(1, _DEEPEST + 1)
        for file in output.glob("/".join(["*"] * depth + ["*config.json"]))
        if _is_checkpoint(file.parent)
    ]
    found = sorted(set(found))
    numbers = [int(match[1]) if (match := _NUMBERED.fullmatch(one.name)) else -1 for one in found]
    if not found:
        there = ", ".join(sorted(path.name for path in output.iterdir())[:5])
        raise DataEngineError(
            f"{output}: the command left no model and no adapter here ({there or 'nothing at all'}); let it write "
            f"to {{output}} a folder with config.json or adapter_config.json, or {ANSWERS} of its own evaluation"
        )
    best = max(numbers)
    if len(found) > 1 and (best < 0 or numbers.count(best) > 1):
        names = ", ".join(str(one.relative_to(output)) for one in found[:5])
        raise DataEngineError(f"{output}: holds {len(found)} models ({names}); let the command write one")
    return found[numbers.index(best)]


def _is_checkpoint(folder: Path) -> bool:
    return (folder / "config.json").is_file() or is_adapter(folder)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter of peft and no whole model."""
    return (folder / "adapter_config.json").is_file() and not has_weights(folder)


def holds_answers(folder: Path) -> bool:
    """Whether a folder holds the answers of a trainer's evaluation in place of a model."""
    return (folder / ANSWERS).is_file() and not _is_checkpoint(folder)


def take_checkpoint(
    found: Path,
    student: str,
    folder: Path,
    *,
    device: str,
    keep_adapter: bool,
    check_answers: Callable[[Path], object],
) -> int:
    """Check the trainer's model by loading it as step 1 does, and put it into `folder`; returns its parameters.

    ANSWERS in place of a model, 0 parameters, are checked by `check_answers`.

    An adapter, whose own parameters are counted, is merged into the student unless `keep_adapter`. Where the trainer
    saved no processor, the student's is put beside the weights. Raises DataEngineError, which says what to do and where
    the trainer's files are, when it cannot be loaded.
    """
    from dataengine_lib.students.loading import load_student
    from dataengine_lib.students.processor_loading import load_processor

    try:
        if is_adapter(found):
            check_adapter_folder(str(found))
            loaded = load_student(student, device, adapter=found)
            parameters = _adapter_parameters(found)
            loaded.processor.save_pretrained(folder)
            if not keep_adapter:
                _save_merged(loaded.model, student, folder)
                return parameters
        elif holds_answers(found):
            check_answers(found / ANSWERS)
            parameters = 0
        else:
            check_model_folder(str(found), "student")
            if not has_processor(found):
                load_processor(student).save_pretrained(found)
            model: Any = load_student(str(found), device).model
            parameters = sum(one.numel() for one in model.parameters())
    except DataEngineError as error:
        raise DataEngineError(f"{error}; what the command wrote stays in {found}") from error
    for path in sorted(found.iterdir()):
        if not _STATES.fullmatch(path.name):
            # a rename within one file system: gigabytes are not copied
            shutil.move(path, folder / path.name)
    return parameters


def _save_merged(model: Any, student: str, folder: Path) -> None:
    """Write the model in the precision of the student's files."""
    from transformers import AutoConfig

    from dataengine_lib.core.torch_loading import quiet_in_logs

    stored = getattr(AutoConfig.from_pretrained(student, trust_remote_code=False), "dtype", None)
    with quiet_in_logs():
        (model.to(stored) if stored else model).save_pretrained(folder)


def _adapter_parameters(folder: Path) -> int:
    """The number of an adapter's own parameters; 0 where its weights are no safetensors."""
    from safetensors import safe_open

    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        return 0
    with safe_open(file, "np") as tensors:
        return sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118


def trained_curve(found: Path) -> TrainedCurve:
    """What transformers' Trainer logs in `trainer_state.json`, in the model's folder or the one above."""
    file = next((one / _STATE for one in (found, found.parent) if (one / _STATE).is_file()), None)
    if file is None:
        return TrainedCurve(0, [])
    state: dict[str, Any] = read_json(file, dict[str, Any])
    entries = state.get("log_history")
    points = [
        LossPoint(entry["step"], float(entry["loss"]), float(entry.get("learning_rate") or 0))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        and isinstance(entry.get("step"), int)
        and isinstance(entry.get("loss"), int | float)
    ]
    steps = state.get("global_step")
    return TrainedCurve(steps if isinstance(steps, int) else 0, points)
