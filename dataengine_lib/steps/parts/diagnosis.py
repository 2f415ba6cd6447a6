"""Step 1: what the diagnose split says about the next round: bad cases, weights, what types gained in earlier rounds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataengine_lib.core.records import Answer
from dataengine_lib.evaluation.bad_cases import BadCases, collect_bad_cases
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.evaluation.progress.history import EarlierRounds
from dataengine_lib.evaluation.progress.learning_progress import (
    TypeProgress,
    learning_progress,
    progress_weights,
)
from dataengine_lib.evaluation.weights import WeightRule, type_weights
from dataengine_lib.questions.splits import DIAGNOSE


@dataclass(frozen=True)
class Diagnosis:
    """Bad cases, and by type weights and learning progress; all are empty without diagnose questions."""

    cases: BadCases = field(default_factory=lambda: BadCases({}, {}))
    weights: dict[str, float] = field(default_factory=dict)
    progress: dict[str, TypeProgress] = field(default_factory=dict)  # empty without earlier rounds


def diagnose(
    answers: Sequence[Answer],
    metrics: Metrics,
    rule: WeightRule,
    near_duplicate: float,
    seed: int,
    earlier: EarlierRounds,
    questions: Path,
) -> Diagnosis:
    """Of the answers to the diagnose split alone: the holdout split is never used to improve.

    `metrics` are those of all answers, `rule`, `near_duplicate` and `seed` as in EvaluateConfig, and `questions` is the
    file for messages.
    """
    if DIAGNOSE not in metrics.splits:
        return Diagnosis()
    of_split = [answer for answer in answers if answer.split == DIAGNOSE]
    cases = collect_bad_cases(of_split, metrics.splits[DIAGNOSE].per_type, near_duplicate, seed)
    weights = type_weights(metrics.counts(), rule)
    progress = learning_progress(earlier.histories(of_split, questions))
    if rule == "progress":
        weights = progress_weights(weights, progress)
    return Diagnosis(cases, weights, progress)
