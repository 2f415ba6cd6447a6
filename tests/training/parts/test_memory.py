"""Gradient checkpointing and a base model in 4 bits."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_families import FAMILIES
from tqdm.auto import tqdm

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.errors import ParameterError
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune
from dataengine_lib.students.encoder_decoder import is_encoder_decoder
from dataengine_lib.students.loading import load_student
from dataengine_lib.training import trainable
from dataengine_lib.training.checkpoint import save_checkpoint
from dataengine_lib.training.examples import ExampleEncoder
from dataengine_lib.training.row_files import read_training_rows
from dataengine_lib.training.trainable import TrainableSettings, load_trainable

SETTINGS: dict[str, Any] = {
    "method": "lora",
    "lora_rank": 2,
    "train_vision": False,
    "dtype": "float32",
    "device": "cpu",
    "seed": 0,
}
ROW = {
    "image_id": 0,
    "image_path": "0.png",
    "raw_instructions": "",
    "question_type": "attribute_recognition",
    "question": "Which colour?",
    "choices": ["red", "blue", "green", "white"],
    "correct_choice_idx": 0,
    "rationales": [],
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "0.png")
    return write_json(tmp_path / "train.json", [ROW])


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("family", ["tiny_llava", *FAMILIES])
def test_checkpointing_changes_no_gradient(students: Path, rows: Path, family: str, method: str) -> None:
    """Computed twice, activations are the same, so that loss and gradients are equal to the last bit."""

    def gradients(checkpointing: bool) -> tuple[float, dict[str, torch.Tensor]]:
        settings = SETTINGS | {
            "method": method,
            "gradient_checkpointing": checkpointing,
            "train_vision": True,
        }
        student = load_trainable(str(students / family), TrainableSettings(**settings))
        skipped = BadRows(rows, 1)
        examples = ExampleEncoder(
            student.processor, {rows: skipped}, encoder_decoder=is_encoder_decoder(student.model.config)
        )
        read = read_training_rows(rows, rows.parent, ["QM-A"], skipped)
        made = examples.make([(one, one.formats[0]) for one in read], tqdm(disable=True))
        student.model.train()
        assert student.model.is_gradient_checkpointing == checkpointing
        loss = student.model(**examples.batch([one for one in made if one]), use_cache=False).loss
        loss.backward()
        named = student.model.named_parameters()
        return loss.item(), {name: one.grad for name, one in named if one.grad is not None}

    (loss, plain), (again, checkpointed) = gradients(False), gradients(True)
    assert loss == again and plain.keys() == checkpointed.keys() and plain
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)
    assert any(one.abs().sum() > 0 for one in plain.values())


def four_bit(folder: Path, rows: Path, **more: Any) -> FineTuneConfig:
    return FineTuneConfig(
        student=str(folder), train_data=[rows], image_root=rows.parent, output_dir=rows.parent / "out",
        quantize="4bit", **more,
    )  # fmt: skip


def test_4_bits_without_bitsandbytes_or_gpu_are_refused_before_anything_is_read(
    rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = four_bit(Path("/nowhere"), rows)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ParameterError, match="needs bitsandbytes, which is not installed; run: pip install"):
        fine_tune(config)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ParameterError, match=r"4bit needs an NVIDIA GPU \(device is auto, .* leave quantize out"
    ):
        fine_tune(config)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ParameterError, match="needs an NVIDIA GPU"):
        fine_tune(config.model_copy(update={"device": "cpu"}))


@pytest.mark.parametrize("more", [{"method": "full"}, {"adapter": "owner/lora"}])
def test_4_bits_are_for_new_adapters(rows: Path, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="quantize is for new adapters on a whole model"):
        four_bit(Path("student"), rows, **more)


def test_a_base_in_4_bits_has_qloras_settings_and_its_adapter_is_merged_into_the_files_weights(
    students: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU, weights rounded to multiples of 1/4 stand in for packed ones."""
    given: list[Any] = []

    def packed(name: str, device: str, adapter: Any = None, *, quantization: Any = None) -> Any:
        given.append(quantization)
        loaded = load_student(name, device, adapter)
        for weight in loaded.model.parameters():
            weight.data = (weight.data * 4).round() / 4
        return loaded

    monkeypatch.setattr(trainable, "load_student", packed)
    base = students / "tiny_llava"
    student = load_trainable(str(base), TrainableSettings(**SETTINGS, quantize="4bit"))
    settings = given[0].to_dict()
    assert settings["load_in_4bit"] and settings["bnb_4bit_use_double_quant"]
    assert settings["bnb_4bit_quant_type"] == "nf4" and settings["bnb_4bit_compute_dtype"] == "float32"
    assert {one.dtype for one in student.parameters} == {torch.float32}
    for weight in student.parameters:
        torch.nn.init.normal_(weight, std=0.1)
    save_checkpoint(student, tmp_path / "merged", keep_adapter=False)
    save_checkpoint(student, tmp_path / "adapter", keep_adapter=True)
    merged = load_student(str(tmp_path / "merged"), "cpu").model.state_dict()
    expected = load_student(str(base), "cpu", tmp_path / "adapter").model.state_dict()
    torch.testing.assert_close(merged, expected, rtol=0, atol=0)
    plain = load_student(str(base), "cpu").model.state_dict()
    assert torch.equal(plain["lm_head.weight"], merged["lm_head.weight"])
