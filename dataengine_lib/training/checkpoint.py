"""Step 5: the trained student is saved; what was not trained is saved as it was in the base model's files."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dataengine_lib.core.torch_loading import quiet_in_logs
from dataengine_lib.students.adapter_merging import merged, with_adapter
from dataengine_lib.students.loading import load_student
from dataengine_lib.training.parts.joined_adapter import join_adapters
from dataengine_lib.training.trainable import BaseStudent, Trainable


def save_checkpoint(student: Trainable, folder: Path, *, keep_adapter: bool) -> None:
    """Write model and processor; adapters are merged unless `keep_adapter`, which writes the adapter alone.

    Each tensor has the precision that it has in the base model's files, and those that were not trained have the same
    bytes. A kept adapter is one for the base model: the one that the training began with is part of it.
    """
    adapted = hasattr(student.model, "merge_and_unload")
    if adapted and keep_adapter:
        _save_adapter(student, folder)
    else:
        model = _merged(student) if adapted else student.model
        _save_model(model, student.base, folder)
    student.processor.save_pretrained(folder)


def _save_adapter(student: Trainable, folder: Path) -> None:
    # the base is what a reader of the folder has to load first
    student.model.peft_config["default"].base_model_name_or_path = student.base.name
    student.model.save_pretrained(folder)
    if student.base.adapter is not None:
        join_adapters(student.base.adapter, folder)


def _merged(student: Trainable) -> Any:
    base = student.base
    if base.held_exactly:
        return merged(student.model, _saving_dtype(base))
    # the weights in memory are rounded or packed: the adapter is merged into the files' weights
    with tempfile.TemporaryDirectory() as adapter:
        student.model.save_pretrained(adapter)
        model = load_student(base.name, "cpu", base.adapter, dtype=_dtype_name(_saving_dtype(base))).model
        return with_adapter(model, adapter, _saving_dtype(base))


def _saving_dtype(base: BaseStudent) -> torch.dtype:
    """Float32 where the files hold several precisions, which it can hold all; saving gives each tensor its own."""
    return base.stored if set(base.file_dtypes.values()) <= {base.stored} else torch.float32


def _dtype_name(dtype: torch.dtype) -> Any:
    return str(dtype).removeprefix("torch.")


def _save_model(model: Any, base: BaseStudent, folder: Path) -> None:
    model.to(_saving_dtype(base))
    with quiet_in_logs():
        model.save_pretrained(folder)
    if _saving_dtype(base) == base.stored:
        return
    # each tensor to its own precision, file by file
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            tensors = {key: weights.get_tensor(key) for key in weights.keys()}  # noqa: SIM118
            metadata = weights.metadata()
        for key, tensor in tensors.items():
            if tensor.is_floating_point():
                tensors[key] = tensor.to(base.file_dtypes.get(key, base.stored))
        save_file(tensors, file, metadata)
    settings = folder / "config.json"
    config = json.loads(settings.read_text(encoding="utf-8")) | {"dtype": _dtype_name(base.stored)}
    settings.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
