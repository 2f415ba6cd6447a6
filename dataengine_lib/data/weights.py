"""Weights of question types: written by step 1 from accuracies, read by step 2 to share out its queries."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dataengine_lib.data.bad_cases import type_name
from dataengine_lib.data.files import read_json, write_json
from dataengine_lib.errors import DataEngineError

WeightRule = Literal["1-acc", "sqrt(1-acc)"]
log = logging.getLogger(__name__)


def weights_of(accuracies: Mapping[str, float | None], rule: WeightRule = "1-acc") -> dict[str, float]:
    """Each type's weight, rounded to 3; a type of which nothing was asked (None) gets the mean of the others.

    Raises DataEngineError when nothing was asked of any type.
    Source: MLLM-DataEngine v1 (`1-acc`), v2 (`sqrt(1-acc)`).
    """
    known = {kind: _weight(accuracy, rule) for kind, accuracy in accuracies.items() if accuracy is not None}
    if not known:
        raise DataEngineError(
            "no question was answered in the diagnose split, so there are no weights; check questions"
        )
    mean = sum(known.values()) / len(known)
    return {kind: round(known.get(kind, mean), 3) for kind in accuracies}


def _weight(accuracy: float, rule: WeightRule) -> float:
    missed = max(0.0, 1.0 - accuracy)
    return math.sqrt(missed) if rule == "sqrt(1-acc)" else missed


def write_weights(folder: Path, weights: Mapping[str, float]) -> list[Path]:
    """Write `weight.json`, and the same content as `weight.txt`, the name that the original reads."""
    return [write_json(Path(folder) / name, weights) for name in ("weight.json", "weight.txt")]


def read_weights(file: Path | None, types: list[str]) -> dict[str, float]:
    """A weight for each of `types`: uniform without a file; types missing in it get its mean, with a warning.

    Types of the file that are not in `types` are ignored.
    Raises DataEngineError for negative, infinite or all-zero weights.
    """
    if file is None:
        return dict.fromkeys(types, 1.0)
    if not Path(file).exists():
        log.warning("%s: no such weight file; all question types weigh the same", file)
        return dict.fromkeys(types, 1.0)
    content: dict[str, float] = read_json(file, dict[str, float])
    for kind, value in content.items():
        if not (math.isfinite(value) and value >= 0):
            raise DataEngineError(f"{file}: {kind}: weight {value} must be a number from 0; mend that key")
    read = {type_name(kind): value for kind, value in content.items()}
    given = {kind: read[type_name(kind)] for kind in types if type_name(kind) in read}
    if missing := [kind for kind in types if kind not in given]:
        default = sum(given.values()) / len(given) if given else 1.0
        names = ", ".join(missing)
        log.warning("%s: no weight for %s; taken as the mean of the others, %.3f", file, names, default)
        given |= dict.fromkeys(missing, default)
    if not any(given.values()):
        raise DataEngineError(f"{file}: all weights are zero, so no type can be drawn; raise at least one")
    return {kind: given[kind] for kind in types}
