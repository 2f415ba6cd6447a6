"""Steps 1 to 4: figures by question type and round, and by round, as frames."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dataengine_lib.core.records import NO_TYPE, OPEN, Answer
from dataengine_lib.core.statistics import clustered_wilson
from dataengine_lib.evaluation.paired.scores import image_of_answer
from dataengine_lib.frames.columns import make_frame
from dataengine_lib.questions.splits import SPLITS

if TYPE_CHECKING:
    import pandas as pd


class RoundCounts(NamedTuple):
    """What the figures of one round are made of: its answers and weights, and the type of each row of steps 1 to 4."""

    round: int
    evaluation: str
    folder: str
    answers: Sequence[Answer]
    weights: Mapping[str, float]
    bad_cases: Sequence[str]
    queries: Sequence[str]
    replies: Sequence[str]
    failed: Sequence[str]
    kept: Sequence[str]
    dropped: Sequence[str]
    cost_usd: float | None  # None: no reply, or one of unknown cost
    seconds: float | None


_COUNTED = ("bad_cases", "queries", "replies", "failed", "kept", "dropped")


def types_frame(rounds: Iterable[RoundCounts]) -> "pd.DataFrame":
    """A row for each question type of each round, types in the order of their names."""
    rows = []
    for one in rounds:
        by_type: dict[str, list[Answer]] = {}
        for answer in one.answers:
            by_type.setdefault(answer.question_type or NO_TYPE, []).append(answer)
        counts = {name: Counter(kind or NO_TYPE for kind in getattr(one, name)) for name in _COUNTED}
        for kind in sorted({*by_type, *one.weights, *(kind for count in counts.values() for kind in count)}):
            rows.append(
                accuracies(by_type.get(kind, []))
                | {name: count[kind] for name, count in counts.items()}
                | {
                    "round": one.round,
                    "evaluation": one.evaluation,
                    "question_type": kind,
                    "weight": one.weights.get(kind),
                }
            )
    return make_frame("types", rows)


def rounds_frame(rounds: Iterable[RoundCounts]) -> "pd.DataFrame":
    """A row for each round; the last evaluation, after which nothing was trained, is one too."""
    rows = [
        accuracies(one.answers)
        | {name: len(getattr(one, name)) for name in _COUNTED}
        | {
            "round": one.round,
            "evaluation": one.evaluation,
            "folder": one.folder,
            "cost_usd": one.cost_usd,
            "seconds": one.seconds,
        }
        for one in rounds
    ]
    return make_frame("rounds", rows)


def accuracies(answers: Sequence[Answer]) -> dict[str, Any]:
    """Questions, right answers and accuracies with intervals as in step 1: of all answers, and of each split's."""
    found: dict[str, Any] = {"correct": sum(answer.correct for answer in answers)}
    for prefix in ("", *(f"{split}_" for split in SPLITS)):
        part = [answer for answer in answers if prefix in ("", f"{answer.split}_")]
        found[f"{prefix}questions"] = len(part)
        if part:
            scores = np.array(
                [row.score if row.answer_kind == OPEN else row.correct for row in part], dtype=float
            )
            low, high = clustered_wilson(scores, [image_of_answer(row) for row in part])
            found |= {f"{prefix}accuracy": float(scores.mean()), f"{prefix}low": low, f"{prefix}high": high}
    return found
