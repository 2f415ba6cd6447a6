"""Step 5: the parts of a student: vision tower, projector (or merger), Q-Former and language model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dataengine_lib.errors import DataEngineError

Part = Literal["vision", "projector", "q_former", "language_model"]
PARTS: tuple[Part, ...] = get_args(Part)

# Qwen-VL's `visual.merger` and `deepstack_merger_list`, Llama 4's `vision_model.vision_adapter`: inside the tower
_PROJECTOR_IN_TOWER = re.compile(r"merger|projector|adapter|aligner|connector")
# towers beside the one that transformers names: of high resolution, of sound, of image tokens
_MORE_TOWERS = re.compile(r"(vision|audio|speech)_(model|tower|encoder)$|^vqmodel$")
_Q_FORMER = re.compile(r"^(qformer|query_tokens)$")
# the whole of it: of a T5, transformers names the decoder alone
_LANGUAGE_MODEL = re.compile(r"^(language_model|text_model|text_decoder)$")


@dataclass(frozen=True)
class StudentParts:
    """The part that each module and parameter of a student belongs to."""

    model_class: str
    """Of transformers, as messages name it."""
    prefixes: dict[str, Part]
    """Module names whose contents belong to the part; the longest that fits a name decides."""
    otherwise: Part
    """The part of everything else."""
    present: tuple[Part, ...]
    """Those that hold a parameter."""

    def of(self, name: str) -> Part:
        """The part of a module or parameter, given by its name in the model."""
        return _part_of(name, self.prefixes, self.otherwise)

    def chosen(self, wanted: Sequence[Part], train_vision: bool) -> set[Part]:
        """The parts to train: `wanted`, or all but the vision tower where it is empty; `train_vision` adds the tower.

        Raises DataEngineError for a wanted part that the student does not have.
        """
        for part in wanted:
            if part not in self.present:
                raise DataEngineError(
                    f"train_parts: {self.model_class} has no {part}; its parts: {', '.join(self.present)}"
                )
        parts = set(wanted) or set(PARTS) - {"vision"}
        return parts | {"vision"} if train_vision else parts


def find_parts(model: Any) -> StudentParts:
    """The parts of a model of transformers that reads images and writes text.

    The language model is its decoder with the output layer, the vision tower its image encoder without the merger in
    it; what belongs to neither nor to a Q-Former is the projector between them.
    """
    names = {id(module): name for name, module in model.named_modules()}
    prefixes: dict[str, Part] = {}
    for name, _ in model.named_parameters():
        # the first two levels hold the parts: `query_tokens`, `model.high_res_vision_model.…`
        for depth, word in enumerate(name.split(".")[:2], 1):
            whole = ".".join(name.split(".")[:depth])
            if _Q_FORMER.search(word):
                prefixes[whole] = "q_former"
            elif _LANGUAGE_MODEL.search(word):
                prefixes[whole] = "language_model"
            elif _MORE_TOWERS.search(word):
                prefixes[whole] = "vision"
    decoder, output = model.get_decoder(), model.get_output_embeddings()
    for module in (decoder, output):
        if module is not None and module is not model:
            prefixes[names[id(module)]] = "language_model"
    for tower in (model.get_encoder(modality="image"), model.get_encoder(modality="audio")):
        if tower is model:  # no tower of its own, as in Fuyu
            continue
        name = names[id(tower)]
        prefixes[name] = "vision"
        for child, _ in tower.named_children():
            if _PROJECTOR_IN_TOWER.search(child):
                prefixes[f"{name}.{child}"] = "projector"
    # without a decoder of its own, the model is the language model
    otherwise: Part = "language_model" if decoder is model else "projector"
    found = {_part_of(name, prefixes, otherwise) for name, _ in model.named_parameters()}
    present = tuple(part for part in PARTS if part in found)
    return StudentParts(type(model).__name__, prefixes, otherwise, present)


def _part_of(name: str, prefixes: dict[str, Part], otherwise: Part) -> Part:
    words = name.split(".")
    for size in range(len(words), 0, -1):
        part = prefixes.get(".".join(words[:size]))
        if part is not None:
            return part
    return otherwise
