"""Weights of question types: written by step 1 from accuracies, read by step 2 to distribute its queries."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.statistics import Z_95, Interval
from dataengine_lib.core.text import shown, shown_key
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.progress.random_effects import random_effects
from dataengine_lib.questions.categories import type_name

AccuracyRule = Literal["1-acc", "sqrt(1-acc)", "shrunk", "shrunk^2"]
ACCURACY_RULES: tuple[AccuracyRule, ...] = get_args(AccuracyRule)
WeightRule = Literal["1-acc", "sqrt(1-acc)", "shrunk", "shrunk^2", "uniform", "progress"]
_POWERS = {"1-acc": 1.0, "sqrt(1-acc)": 0.5}  # of the error rate
_FLOOR = 0.1  # share of the overall error rate: the least weight by `shrunk`, so that every type gets queries
_DECIMALS = 3  # of weight.json
_MOST = 1e100  # of a weight in a file
_log = logging.getLogger(__name__)

# type -> (right answers, questions); of open-ended questions, the sum of the scores, which may lie between 0 and 1
TypeCounts = Mapping[str, tuple[float, int]]
_Estimate = tuple[float, float, float]  # weight, and the lower and upper end of its interval


class WeightInterval(msgspec.Struct, frozen=True):
    """A type's weight by one rule, with its 95 % interval; all in [0, 1], rounded to three decimals."""

    weight: float
    low: float
    high: float


def type_weights(counts: TypeCounts, rule: WeightRule) -> dict[str, float]:
    """Each type's weight in [0, 1] from its (right answers, questions), rounded to three decimals.

    `1-acc` is the error rate, `sqrt(1-acc)` its root. `shrunk` pulls the error rate towards the overall one the more,
    the less certain it is, so that a few wrong answers do not outweigh many; `shrunk^2` is its square, which gives most
    to the weakest types. A type without questions gets the mean of the other types, under `shrunk` the overall error
    rate, and under `shrunk^2` its square.
    `uniform` gives every type 1, whatever its accuracy: the control of a comparison. `progress` gives the error rate
    here, which `progress_weights` multiplies once there are earlier rounds. Raises DataEngineError when no type
    has a question.
    Source: MLLM-DataEngine v1 (`1-acc`), v2 (`sqrt(1-acc)`); DerSimonian and Laird 1986 (`shrunk`).
    """
    if rule == "uniform":
        _check_any_question(counts)
        return dict.fromkeys(counts, 1.0)
    rule = "1-acc" if rule == "progress" else rule
    # the weight alone, which no interval changes
    return {kind: found.weight for kind, found in _intervals(counts, rule, {}).items()}


def weight_table(
    counts: TypeCounts, accuracies: Mapping[str, Interval]
) -> dict[str, dict[AccuracyRule, WeightInterval]]:
    """Every type's weight by every rule of accuracies: type -> rule -> weight with its 95 % interval.

    `accuracies` has the interval of each type's accuracy, from which that of `1-acc` follows; `sqrt(1-acc)` has the
    roots of its ends; `shrunk` the normal one of the estimate, of questions that do not depend on each other, and
    `shrunk^2` the squares of its ends. For a type without questions the interval by the first two is (0, 1).
    Raises DataEngineError as `type_weights` does.
    """
    by_rule = {rule: _intervals(counts, rule, accuracies) for rule in ACCURACY_RULES}
    return {kind: {rule: by_rule[rule][kind] for rule in ACCURACY_RULES} for kind in counts}


def _check_any_question(counts: TypeCounts) -> None:
    if not any(total for _, total in counts.values()):
        raise DataEngineError(
            "no question was answered in the diagnose split, so there are no weights; check questions"
        )


def _intervals(
    counts: TypeCounts, rule: AccuracyRule, accuracies: Mapping[str, Interval]
) -> dict[str, WeightInterval]:
    _check_any_question(counts)
    match rule:
        case "shrunk":
            found = _shrunk(counts)
        case "shrunk^2":
            found = _squares(_shrunk(counts))
        case _:
            found = _error_rates(counts, rule, accuracies)
    return {
        kind: WeightInterval(*(round(part, _DECIMALS) for part in parts)) for kind, parts in found.items()
    }


def _error_rates(
    counts: TypeCounts, rule: AccuracyRule, accuracies: Mapping[str, Interval]
) -> dict[str, _Estimate]:
    known: dict[str, _Estimate] = {}
    for kind, (correct, total) in counts.items():
        if total:
            ends = accuracies.get(kind, Interval(0.0, 1.0))
            errors = (total - correct) / total, 1 - ends.high, 1 - ends.low
            value, low, high = (error ** _POWERS[rule] for error in errors)
            known[kind] = (value, low, high)
    # types without a question: the mean, with an interval that excludes nothing
    mean = sum(parts[0] for parts in known.values()) / len(known)
    return {kind: known.get(kind, (mean, 0.0, 1.0)) for kind in counts}


def _shrunk(counts: TypeCounts) -> dict[str, _Estimate]:
    """Weight and ends of the interval by type, none below the floor.

    The interval combines the type's remaining uncertainty with that of the overall error rate; without the latter,
    the weights of types that do not differ would look exactly known.
    """
    spread = Spread.of(counts)
    least = _FLOOR * spread.overall
    if spread.overall:
        least = max(least, 10.0**-_DECIMALS)  # a weight that rounds to zero would get no query either

    def clamped(value: float) -> float:
        return min(1.0, max(least, value))

    found: dict[str, _Estimate] = {}
    for kind, (correct, total) in counts.items():
        # pull: how far the type's error rate moves to the overall one, 0 to 1
        pull, remaining = 1.0, spread.between  # without questions: what is known of types in general
        if total:
            within = _within_variance(total - correct, total)
            # few questions give a large `within`, and so a strong pull
            pull = within / (within + spread.between)
            remaining = within * (1 - pull)
        own = (total - correct) / total if total else 0.0
        value = pull * spread.overall + (1 - pull) * own
        half = Z_95 * math.sqrt(remaining + pull**2 * spread.overall_variance)
        found[kind] = (clamped(value), clamped(value - half), clamped(value + half))
    return found


def _squares(estimates: dict[str, _Estimate]) -> dict[str, _Estimate]:
    # a weight that rounds to zero would get no query
    least = 10.0**-_DECIMALS if any(value for value, _, _ in estimates.values()) else 0.0
    return {
        kind: (max(least, value**2), max(least, low**2), max(least, high**2))
        for kind, (value, low, high) in estimates.items()
    }


@dataclass(frozen=True)
class Spread:
    """How much the types' error rates differ beyond chance.

    `overall` is the error rate of all questions in [0, 1], `overall_variance` its sampling variance, `between` the
    variance between types (0 when chance alone explains the differences).
    """

    overall: float
    overall_variance: float
    between: float

    @classmethod
    def of(cls, counts: TypeCounts) -> "Spread":
        """Estimated from (right answers, questions); types without questions are ignored.

        Source: DerSimonian and Laird 1986, see `random_effects`.
        """
        asked = [(total - correct, total) for correct, total in counts.values() if total]
        errors, totals = (np.array(column, dtype=float) for column in zip(*asked, strict=True))
        rates = errors / totals
        variances = np.array([_within_variance(wrong, total) for wrong, total in asked])
        between = random_effects(rates, variances).between
        wrong, total = float(errors.sum()), float(totals.sum())
        return cls(wrong / total, _within_variance(wrong, total), between)


def _within_variance(wrong: float, total: float) -> float:
    """Sampling variance of an error rate; two wrong and two right answers are added to keep it positive at 0 and 1.

    Source: Agresti and Coull 1998.
    """
    rate = (wrong + 2) / (total + 4)
    return rate * (1 - rate) / total


def write_weights(folder: Path, weights: Mapping[str, float]) -> list[Path]:
    """Write `weight.json`, and the same content to `weight.txt`, the name that MLLM-DataEngine reads."""
    return [write_json(Path(folder) / name, weights) for name in ("weight.json", "weight.txt")]


def read_weights(
    file: Path | None, types: list[str], warn: Callable[[str], object] = _log.warning
) -> dict[str, float]:
    """A weight for each of `types`: 1 each without a file; types missing in it get its mean, and `warn` is called.

    Types of the file that are not in `types` are ignored.
    Raises DataEngineError for negative, infinite or all-zero weights, and for a file of another format.
    """
    if file is None:
        return dict.fromkeys(types, 1.0)
    if not Path(file).exists():
        warn(f"{file}: no such weight file; all question types get the same weight")
        return dict.fromkeys(types, 1.0)
    # a file written by hand may say `Identity reasoning` for `identity_reasoning`
    read = {type_name(kind): value for kind, value in _weights_in(file).items()}
    given = {kind: read[type_name(kind)] for kind in types if type_name(kind) in read}
    if missing := [kind for kind in types if kind not in given]:
        default = sum(given.values()) / len(given) if given else 1.0
        names = ", ".join(missing)
        warn(f"{file}: no weight for {names}; using the mean of the other types, {default:.3f}")
        given |= dict.fromkeys(missing, default)
    if not any(given.values()):
        raise DataEngineError(f"{file}: all weights are zero, so no type can be drawn; raise at least one")
    return {kind: given[kind] for kind in types}


def _weights_in(file: Path) -> dict[str, float]:
    content: Any = read_json(file)
    values = content.values() if isinstance(content, dict) else [None]
    if values and not any(isinstance(value, int | float | str) for value in values):
        raise DataEngineError(
            f"{file}: not weights by question type: {looks_like(file)}; give weight.json of evaluate"
        )
    weights: dict[str, float] = {}
    for kind, value in content.items():
        try:
            # numbers may stand in quotes; true is no number although Python counts it as 1
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        # of larger ones the sum may be no number
        if not 0 <= number <= _MOST:
            raise DataEngineError(
                f"{file}: {shown_key(kind)}: weight {shown(str(value), 40)} must be a number of at least 0 and at most "
                f"{_MOST:g}; correct that key"
            )
        weights[kind] = number
    return weights
