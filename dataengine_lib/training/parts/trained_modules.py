"""Step 5: which modules were trained, as a short list for the log and the report."""

from collections.abc import Iterable
from typing import Any

from dataengine_lib.training.log import TrainedModules
from dataengine_lib.training.parts.student_parts import StudentParts

_PEFT_PREFIX = "base_model.model."


def trained_modules(model: Any, parts: StudentParts) -> list[TrainedModules]:
    """The modules with trained parameters in the model's order; those that differ in numbers alone are one entry.

    An adapter counts for the layer that it adapts. Sixteen layers with a `q_proj` each make one entry,
    `language_model.layers.0-15.self_attn.q_proj`.
    """
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            module = adapted_name(name) if ".lora_" in name else name.rpartition(".")[0] or name
            counts[module] = counts.get(module, 0) + parameter.numel()
    grouped: dict[tuple[str, ...], tuple[str, int]] = {
        tuple(name.split(".")): (parts.of(name), count) for name, count in counts.items()
    }
    for place in range(max(map(len, grouped), default=0)):
        grouped = _with_ranges(grouped, place)
    return [
        TrainedModules(part, ".".join(words).removeprefix("model."), count)
        for words, (part, count) in grouped.items()
    ]


def adapted_name(name: str) -> str:
    """The layer that an adapter's parameter belongs to, by its name in the model without adapters.

    `base_model.model.lm.q_proj.lora_A.default.weight` gives `lm.q_proj`.
    """
    return name.removeprefix(_PEFT_PREFIX).partition(".lora_")[0]


def _with_ranges(
    grouped: dict[tuple[str, ...], tuple[str, int]], place: int
) -> dict[tuple[str, ...], tuple[str, int]]:
    """Names that differ only in the number at `place` become one, with the numbers as ranges; their counts are added."""
    numbers: dict[tuple[str, ...], list[int]] = {}
    merged: dict[tuple[str, ...], tuple[str, int]] = {}
    for words, (part, count) in grouped.items():
        key = words
        if place < len(words) and words[place].isdecimal():
            key = (*words[:place], "#", *words[place + 1 :])
            numbers.setdefault(key, []).append(int(words[place]))
        merged[key] = (part, count + (merged[key][1] if key in merged else 0))
    return {
        (*key[:place], _ranges(numbers[key]), *key[place + 1 :]) if key in numbers else key: value
        for key, value in merged.items()
    }


def _ranges(numbers: Iterable[int]) -> str:
    """`0-3,5` for 0, 1, 2, 3 and 5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
