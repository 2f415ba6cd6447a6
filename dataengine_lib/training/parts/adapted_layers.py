"""Step 5: the layers of a student that get LoRA adapters."""

import difflib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch

from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.parts.student_parts import Part, StudentParts

# Gemma 3's projector multiplies by a bare matrix, `multi_modal_projector.mm_input_projection_weight`
_BARE_MATRIX = "projection_weight"


@dataclass(frozen=True)
class AdaptedLayers:
    """Names of what peft adapts: linear layers, and matrices that are parameters of other modules."""

    modules: list[str]
    parameters: list[str]


def adapted_layers(
    model: Any, parts: StudentParts, trained: AbstractSet[Part], target_modules: Sequence[str]
) -> AdaptedLayers:
    """The linear layers of the `trained` parts without the output layer, which often is the embedding itself.

    `target_modules` keeps those that one of its entries names: whole (`model.language_model.layers.0.mlp.up_proj`),
    by the end (`q_proj`, `mlp.up_proj`) or by a pattern (`*.layers.1?.self_attn.*`). Raises DataEngineError, which
    lists near names, for an entry that names none, and when there is no linear layer to adapt.
    """
    output = model.get_output_embeddings()
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not output
    ]
    bare = [name for name, weight in model.named_parameters() if _is_bare_matrix(name, weight)]
    trainable = [name for name in (*linear, *bare) if parts.of(name) in trained]
    if target_modules:
        kept: set[str] = set()
        for entry in target_modules:
            found = [name for name in trainable if _names(entry, name)]
            if not found:
                raise DataEngineError(_without_layer(entry, [*linear, *bare], trainable, parts))
            kept.update(found)
        trainable = [name for name in trainable if name in kept]
    if not trainable:
        there = [part for part in parts.present if part in trained]
        raise DataEngineError(
            f"train_parts: {parts.model_class} has no linear layer in {', '.join(there) or 'these parts'}; add another "
            "part, or set method to full"
        )
    return AdaptedLayers(
        [name for name in linear if name in set(trainable)], [name for name in bare if name in set(trainable)]
    )


def _is_bare_matrix(name: str, weight: torch.Tensor) -> bool:
    return name.endswith(_BARE_MATRIX) and weight.dim() == 2


def _names(entry: str, name: str) -> bool:
    return name == entry or name.endswith(f".{entry}") or fnmatchcase(name, entry)


def _without_layer(entry: str, adaptable: list[str], trainable: list[str], parts: StudentParts) -> str:
    """Why `entry` names no layer that could be adapted, with what to do."""
    elsewhere = sorted({parts.of(name) for name in adaptable if _names(entry, name)})
    if elsewhere:
        return f"target_modules: {entry} is in {', '.join(elsewhere)}, which is not trained; add it to train_parts"
    # q_proj rather than each of its 32 places
    short = list(dict.fromkeys(name.rpartition(".")[2] for name in trainable))
    near = difflib.get_close_matches(entry.rpartition(".")[2], short, n=3, cutoff=0.5) or short[:6]
    return (
        f"target_modules: {entry} names no linear layer of {parts.model_class} that can be adapted; near: "
        f"{', '.join(near) or 'none'}"
    )
