"""What is saved: trained weights rounded once, all others with the bytes of the base model's files."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_families import save_family
from tiny_models import save_tiny_llava
from transformers import AutoModelForImageTextToText

from dataengine_lib.students.loading import load_student
from dataengine_lib.training import trainable
from dataengine_lib.training.checkpoint import save_checkpoint
from dataengine_lib.training.trainable import Trainable, TrainableSettings, load_trainable

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    save_tiny_llava(folder / "tiny_llava")
    for family in ("qwen2_5_vl", "instructblip_t5", "gemma3"):
        save_family(family, folder / family)
    return folder


def in_precision(folder: Path, dtype: torch.dtype, to: Path, **more: Any) -> Path:
    """A copy of the student with weights of `dtype`."""
    student = load_student(str(folder), "cpu")
    student.model.to(dtype).save_pretrained(to, **more)
    student.processor.save_pretrained(to)
    return to


def changed(folder: Path, **more: Any) -> Trainable:
    """The student with other weights in what is trained, as after a training."""
    settings = {
        "train_vision": False,
        "method": "lora",
        "lora_rank": 2,
        "dtype": "float32",
        "device": "cpu",
        "seed": 0,
    }
    student = load_trainable(str(folder), TrainableSettings(**(settings | more)))
    torch.manual_seed(1)
    for parameter in student.parameters:
        torch.nn.init.normal_(parameter, std=0.1)
    return student


def weights_of(folder: Path) -> Weights:
    return {key: value for file in folder.glob("*.safetensors") for key, value in load_file(file).items()}


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def changes(student: Trainable) -> Weights:
    """What the adapters add to each weight in float32, by the end of its name."""
    found = {}
    for name, module in student.model.named_modules():
        if hasattr(module, "get_delta_weight"):
            layer = name.removeprefix("base_model.model.")
            a, b = (part["default"].weight.detach().float() for part in (module.lora_A, module.lora_B))
            found[f"{layer}.{getattr(module, 'parameter_name', 'weight')}"] = (b @ a) * 2
    return found


@pytest.mark.parametrize("family", ["tiny_llava", "qwen2_5_vl", "instructblip_t5", "gemma3"])
@pytest.mark.parametrize("held", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
def test_merged_weights_are_rounded_once_and_others_keep_their_bytes(
    students: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    held: torch.dtype,
    stored: torch.dtype,
) -> None:
    """Also on a GPU, which holds the weights in half precision while the adapters are trained."""
    monkeypatch.setattr(trainable, "_held_dtype", lambda *_: held)
    base = in_precision(students / family, stored, tmp_path / "base")
    student = changed(base)
    assert {one.dtype for one in student.parameters} == {torch.float32}
    added = changes(student)
    save_checkpoint(student, tmp_path / "saved", keep_adapter=False)
    before, after = weights_of(base), weights_of(tmp_path / "saved")
    assert {name: one.dtype for name, one in before.items()} == {
        name: one.dtype for name, one in after.items()
    }
    different = {name for name in before if bytes_of(before[name]) != bytes_of(after[name])}
    assert len(different) == len(added) > 0
    # files may have other names for weights than the model
    plain, saved = (load_student(str(one), "cpu").model.state_dict() for one in (base, tmp_path / "saved"))
    for name, change in added.items():
        assert torch.equal(saved[name], (plain[name] + change).to(stored).float()), name


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
def test_all_weights_of_a_part_are_trained_and_the_others_keep_their_bytes(
    students: Path, tmp_path: Path, stored: torch.dtype
) -> None:
    base = in_precision(students / "qwen2_5_vl", stored, tmp_path / "base")
    student = changed(base, method="full", train_parts=["projector"])
    save_checkpoint(student, tmp_path / "saved", keep_adapter=False)
    before, after = weights_of(base), weights_of(tmp_path / "saved")
    different = {name for name in before if bytes_of(before[name]) != bytes_of(after[name])}
    assert before.keys() == after.keys() and different == {name for name in before if "merger" in name}


@pytest.mark.parametrize("held", [torch.float32, torch.bfloat16])
def test_each_tensor_of_a_base_of_several_precisions_keeps_its_own(
    students: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: torch.dtype
) -> None:
    """In files of several shards, and with a config that names another precision."""
    monkeypatch.setattr(trainable, "_held_dtype", lambda *_: held)
    base = in_precision(students / "tiny_llava", torch.float32, tmp_path / "base", max_shard_size="40KB")
    files = sorted(base.glob("*.safetensors"))
    assert len(files) > 1
    for file in files:
        weights = load_file(file)
        kept = {name: one if "norm" in name else one.to(torch.float16) for name, one in weights.items()}
        save_file(kept, file, {"format": "pt"})
    save_checkpoint(changed(base), tmp_path / "saved", keep_adapter=False)
    before, after = weights_of(base), weights_of(tmp_path / "saved")
    assert {one.dtype for one in before.values()} == {torch.float16, torch.float32}
    different = {name for name in before if bytes_of(before[name]) != bytes_of(after[name])}
    assert before.keys() == after.keys()
    assert {name: one.dtype for name, one in before.items()} == {
        name: one.dtype for name, one in after.items()
    }
    assert different and all("_proj" in name or "linear_" in name for name in different)
    assert not any("vision_tower" in name for name in different)
    AutoModelForImageTextToText.from_pretrained(tmp_path / "saved")


@pytest.mark.parametrize("family", ["tiny_llava", "gemma3"])
@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_a_kept_adapter_gives_exactly_the_merged_weights(
    students: Path, tmp_path: Path, stored: torch.dtype, family: str
) -> None:
    base = in_precision(students / family, stored, tmp_path / "base")
    save_checkpoint(changed(base), tmp_path / "merged", keep_adapter=False)
    save_checkpoint(changed(base), tmp_path / "adapter", keep_adapter=True)
    joined = load_student(str(base), "cpu", adapter=tmp_path / "adapter").model.state_dict()
    whole = load_student(str(tmp_path / "merged"), "cpu").model.state_dict()
    torch.testing.assert_close(joined, whole, rtol=0, atol=0)


def test_an_adapter_trained_on_top_of_another_holds_both(students: Path, tmp_path: Path) -> None:
    """It is one for the base model, which it names, and adapts the layers of both."""
    from peft import PeftConfig

    base = students / "qwen2_5_vl"
    first, second, merged = (tmp_path / name for name in ("first", "second", "merged"))
    save_checkpoint(changed(base, target_modules=["q_proj", "visual.merger.mlp.0"]), first, keep_adapter=True)
    more = {"adapter": str(first), "target_modules": ["q_proj", "up_proj"], "lora_rank": 3}
    save_checkpoint(changed(base, **more), second, keep_adapter=True)
    save_checkpoint(changed(base, **more), merged, keep_adapter=False)
    settings = PeftConfig.from_pretrained(str(second))
    assert settings.base_model_name_or_path == str(base) and settings.r == 5
    joined = load_student(str(base), "cpu", adapter=second).model.state_dict()
    whole = load_student(str(merged), "cpu").model.state_dict()
    torch.testing.assert_close(joined, whole)
    plain = load_student(str(base), "cpu").model.state_dict()
    different = {name for name in plain if not torch.equal(plain[name], joined[name])}
    assert {name.split(".")[-2] for name in different} == {"q_proj", "0", "up_proj"}
