"""Which parts of a student are found and trained, in every family."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.parts.adapted_layers import adapted_layers
from dataengine_lib.training.parts.student_parts import PARTS, StudentParts, find_parts
from dataengine_lib.training.parts.trained_modules import trained_modules
from dataengine_lib.training.trainable import Trainable, TrainableSettings, load_trainable

# The modules of the projector that get adapters by default.
PROJECTORS = {
    "tiny_llava": ["multi_modal_projector.linear_1", "multi_modal_projector.linear_2"],
    "llava_next": ["multi_modal_projector.linear_1", "multi_modal_projector.linear_2"],
    "qwen2_5_vl": ["visual.merger.mlp.0,2"],
    "qwen3_vl": [
        *("visual.merger.linear_fc1", "visual.merger.linear_fc2"),
        *("visual.deepstack_merger_list.0.linear_fc1", "visual.deepstack_merger_list.0.linear_fc2"),
    ],
    "qwen3_5": ["visual.merger.linear_fc1", "visual.merger.linear_fc2"],
    "mllama": ["multi_modal_projector"],
    "idefics3": ["connector.modality_projection.proj"],
    "smolvlm": ["connector.modality_projection.proj"],
    "instructblip": ["language_projection"],
    "instructblip_t5": ["language_projection"],
    "blip2_opt": ["language_projection"],
    "blip2_t5": ["language_projection"],
    "paligemma": ["multi_modal_projector.linear"],
    "gemma3": ["multi_modal_projector"],
}


def loaded(folder: Path, **more: Any) -> Trainable:
    settings = {
        "method": "lora",
        "lora_rank": 2,
        "train_vision": False,
        "dtype": "float32",
        "device": "cpu",
        "seed": 0,
    }
    return load_trainable(str(folder), TrainableSettings(**(settings | more)))


def trained_in(student: Trainable) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in student.trained_modules():
        found.setdefault(one.part, []).append(one.modules)
    return found


@pytest.mark.parametrize("family", PROJECTORS)
def test_adapters_are_on_projector_q_former_and_language_model(students: Path, family: str) -> None:
    student = loaded(students / family)
    modules = trained_in(student)
    assert modules.pop("projector") == PROJECTORS[family]
    language = modules.pop("language_model")
    assert all("language_model" in one or "text_model" in one for one in language)
    assert not any("lm_head" in one for one in language)
    q_former = modules.pop("q_former", [])
    assert bool(q_former) == ("blip" in family) and all("qformer." in one for one in q_former)
    assert not modules  # the vision tower is left as it is
    counted = sum(one.parameters for one in student.trained_modules())
    assert counted == sum(parameter.numel() for parameter in student.parameters) > 0


@pytest.mark.parametrize("family", PROJECTORS)
def test_each_weight_belongs_to_one_part_and_each_part_has_layers_to_adapt(
    students: Path, family: str
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(students / family)
    parts = find_parts(model)
    assert set(parts.present) == set(PARTS) - ({"q_former"} if "blip" not in family else set())
    for part in parts.present:
        layers = adapted_layers(model, parts, {part}, [])
        assert {parts.of(name) for name in (*layers.modules, *layers.parameters)} == {part}
    assert parts.of("lm_head") == "language_model" or "blip" in family
    towers = [name for name, _ in model.named_parameters() if parts.of(name) == "vision"]
    assert all(
        re.search(r"vision_(tower|model)|visual\.(blocks|patch_embed|pos_embed)", name) for name in towers
    )


@pytest.mark.parametrize("method", ["lora", "full"])
def test_one_part_is_trained_alone_and_train_vision_adds_the_tower(students: Path, method: str) -> None:
    student = loaded(students / "qwen3_vl", train_parts=["projector"], method=method)
    assert set(trained_in(student)) == {"projector"}
    both = loaded(students / "qwen3_vl", train_parts=["language_model"], train_vision=True, method=method)
    assert set(trained_in(both)) == {"vision", "language_model"}


def test_the_list_of_trained_modules_groups_layers(students: Path) -> None:
    modules = loaded(students / "qwen3_5", target_modules=["in_proj_z", "q_proj", "*.mlp.up_proj"])
    assert [(one.modules, one.parameters) for one in modules.trained_modules()] == [
        ("language_model.layers.0.linear_attn.in_proj_z", 128),
        ("language_model.layers.0-1.mlp.up_proj", 320),
        ("language_model.layers.1.self_attn.q_proj", 192),
    ]


def test_all_layers_of_a_large_model_with_gaps_are_one_line() -> None:
    class Block(torch.nn.Module):
        def __init__(self, attention: bool) -> None:
            super().__init__()
            name = "attention" if attention else "mixer"
            self.add_module(name, torch.nn.ModuleList(torch.nn.Linear(2, 2, bias=False) for _ in range(2)))

    layers = torch.nn.ModuleDict({"layers": torch.nn.ModuleList(Block(n % 4 == 3) for n in range(32))})
    parts = StudentParts("Made", {"layers": "language_model"}, "projector", ("language_model",))
    shown = [(one.modules, one.parameters) for one in trained_modules(layers, parts)]
    assert shown == [
        ("layers.0-2,4-6,8-10,12-14,16-18,20-22,24-26,28-30.mixer.0-1", 24 * 2 * 4),
        ("layers.3,7,11,15,19,23,27,31.attention.0-1", 8 * 2 * 4),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_parts": ["q_former"]},
         r"train_parts: LlavaForConditionalGeneration has no q_former; its parts: vision, projector, language_model"),
        ({"target_modules": ["q_pro"]},
         r"target_modules: q_pro names no linear layer of Llava\w+ that can be adapted; near: .*q_proj"),
        ({"target_modules": ["lm_head"]}, r"lm_head names no linear layer of Llava\w+ that can be adapted; near: "),
        ({"target_modules": ["*.vision_tower.*"]},
         r"target_modules: \*\.vision_tower\.\* is in vision, which is not trained; add it to train_parts"),
    ],
)  # fmt: skip
def test_parts_and_layers_that_are_not_there_are_refused(
    students: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataEngineError, match=message):
        loaded(students / "tiny_llava", **settings)


def test_dropout_of_a_bare_matrix_is_refused(students: Path) -> None:
    with pytest.raises(DataEngineError, match=r"mm_input_projection_weight .* set lora_dropout to 0"):
        loaded(students / "gemma3", lora_dropout=0.1)
    assert loaded(students / "gemma3", lora_dropout=0.1, train_parts=["language_model"]).parameters


def test_alpha_and_dropout_reach_the_adapters(students: Path) -> None:
    adapters = loaded(students / "tiny_llava").model.peft_config["default"]
    assert (adapters.r, adapters.lora_alpha, adapters.lora_dropout) == (2, 4, 0)
    adapters = loaded(students / "tiny_llava", lora_alpha=3, lora_dropout=0.25).model.peft_config["default"]
    assert (adapters.r, adapters.lora_alpha, adapters.lora_dropout) == (2, 3, 0.25)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_projector_has_a_learning_rate_of_its_own(students: Path, method: str) -> None:
    student = loaded(students / "qwen2_5_vl", method=method, projector_rate=0.5)
    named = {id(parameter): name for name, parameter in student.model.named_parameters()}
    rates: dict[float, set[bool]] = {}
    groups = student.parameter_groups(0.25, weight_decay=0.1)
    for group in groups:
        merger = {"merger" in named[id(parameter)] for parameter in group["params"]}
        rates.setdefault(group["lr"], set()).update(merger)
        assert {parameter.dim() > 1 for parameter in group["params"]} == {group["weight_decay"] == 0.1}
    assert rates == {0.5: {True}, 0.25: {False}}
    assert sum(len(group["params"]) for group in groups) == len(student.parameters)
    (one,) = loaded(students / "qwen2_5_vl", method=method).parameter_groups(0.25)
    assert one["lr"] == 0.25 and one["weight_decay"] == 0.0
