"""Report of step 1: which question types respond to the QAs that they get, and what that does to their weights."""

from collections.abc import Mapping

from dataengine_lib.core.statistics import in_points
from dataengine_lib.evaluation.progress.learning_progress import TypeProgress
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Figure, Html, percent, table

_NOT_YET = "no earlier round: the error rate alone decides"


def progress_table(
    progress: Mapping[str, TypeProgress], weights: Mapping[str, float], weight_rule: str
) -> Html:
    """QAs and gain of each type since the first round, least responding first; `weights` are those of this round."""
    rows = [
        (
            plain_name(kind),
            one.questions,
            one.trained,
            Figure(f"{in_points(one.gain)} [{in_points(one.low)}, {in_points(one.high)}]"),
            percent(one.response) if one.response is not None else "not known",
            Figure(f"{one.factor:.2f}"),
            weights.get(kind),
        )
        for kind, one in sorted(progress.items(), key=lambda row: (row[1].factor, row[0]))
    ]
    head = [
        "question type",
        "questions",
        "QAs so far",
        "gain in points",
        "errors removed by 100 QAs",
        "factor",
        "weight",
    ]
    used = "the factor is part of the weights" if weight_rule == "progress" else "shown only"
    return table(rows, head, f"weight rule {weight_rule}: {used if progress else _NOT_YET}")


def progress_sentence(progress: Mapping[str, TypeProgress], weight_rule: str) -> str:
    """The types that do not respond, and what happens to their weights; empty where all respond."""
    silent = sorted((one.factor, kind) for kind, one in progress.items() if not one.responds)
    if not silent:
        return ""
    named = [
        f"{plain_name(kind)} ({progress[kind].trained:,} QAs, × {factor:.2f})" for factor, kind in silent
    ]
    done = (
        "their weights are multiplied as shown"
        if weight_rule == "progress"
        else "weight_rule: progress would multiply their weights as shown"
    )
    return f"Types that hardly respond to their QAs: {', '.join(named)}; {done}."
