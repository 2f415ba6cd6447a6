"""Report of step 6: accuracies and gains with what they show, and the chart of all rounds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dataengine_lib.core.statistics import in_points
from dataengine_lib.evaluation.rounds.figures import Accuracy, Comparison, Figures, RoundScores
from dataengine_lib.evaluation.rounds.verdicts import verdict_words
from dataengine_lib.report.charts import weakest_first
from dataengine_lib.report.drawing.chart import Chart, drawn_chart, label_rows, marked_intervals
from dataengine_lib.report.drawing.colors import DARK, GREY, RED, ROW_LINE, round_style
from dataengine_lib.report.names import plain_name, short_label, top_rows
from dataengine_lib.report.tables import (
    ALL_TYPES,
    Figure,
    Html,
    accuracy,
    few_marked,
    p_value,
    percent,
    points,
    table,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rounds_table(figures: Figures) -> Html:
    """Each evaluation's accuracy on all compared questions."""
    rows = [
        (one.name, one.overall.total, one.overall.correct, _accuracy(one.overall)) for one in figures.rounds
    ]
    head = ["evaluation", "questions", "right", "accuracy"]
    return table(rows, head, f"{figures.split} split; 95 % intervals by images")


def _accuracy(score: Accuracy) -> Figure:
    return few_marked(percent(score.accuracy, score.low, score.high), score.total, score.too_few)


def gains_table(comparison: Comparison, method: str, before: Mapping[str, Accuracy] | None = None) -> Html:
    """Gain, p-values and verdict of all questions and of each type; `method` says how they were made.

    With the accuracies `before`, types have the order of `round_chart`.
    """
    order = [kind for kind, _ in weakest_first(before or {}) if kind in comparison.by_type]
    by_type = {kind: comparison.by_type[kind] for kind in [*order, *comparison.by_type]}
    rows = [
        (
            kind,
            points(paired.gain.gain, paired.gain.low, paired.gain.high),
            paired.fixed,
            paired.broken,
            p_value(paired.p_value),
            p_value(paired.p_holm),
            verdict_words(paired.verdict, paired.gain.questions),
            p_value(paired.p_mcnemar),
        )
        for kind, paired in {ALL_TYPES: comparison.overall, **by_type}.items()
    ]
    head = ["question type", "gain in points", "fixed", "broken", "p", "p, Holm", "shows", "McNemar p"]
    return table(rows, head, method)


def round_chart(
    rounds: Sequence[RoundScores],
    weak_types: Sequence[str] = (),
    title: str = "Accuracy per question type, round by round",
) -> Chart:
    """All evaluations side by side, one row per type, the one that was weakest at the top, gains at the right.

    The first of `rounds` is the evaluation before training. Types in `weak_types` are marked with *, and types with too
    few questions to tell are gray and say so.
    """
    first, last = rounds[0].by_type, rounds[-1].by_type
    kinds, cut = top_rows([kind for kind, _ in weakest_first(first)][::-1])

    def draw(axes: "Axes") -> None:
        for number, scored in enumerate(rounds):
            color, marker = round_style(number)
            # spread over 0.52 of a row, the first evaluation at the top
            offset = 0.26 - 0.52 * number / max(1, len(rounds) - 1)
            rows = [scored.by_type[kind] for kind in kinds]
            ends = [(score.accuracy, score.low, score.high) for score in rows]
            places = [place + offset for place in range(len(kinds))]
            marked_intervals(axes, ends, places, color, marker, short_label(scored.name))
        for place, kind in enumerate(kinds):
            gain = last[kind].accuracy - first[kind].accuracy
            few = first[kind].too_few
            text = in_points(gain, 0) + (" ?" if few else "")
            color = GREY if few else RED if text.startswith("-") else DARK
            # to the right of the axes, which end at 100
            axes.text(101.5, place, text, va="center", color=color, weight="normal" if few else "bold")
            axes.axhline(place + 0.5, color=ROW_LINE, linewidth=0.8)
        label_rows(axes, [f"{'* ' if kind in weak_types else ''}{short_label(kind)}" for kind in kinds])
        unsure = "; ?: too few questions to tell" if any(first[kind].too_few for kind in kinds) else ""
        axes.set(xlim=(0, 100), xlabel=f"accuracy in %, with 95 % intervals; right: gain in points{unsure}")

    # the last kinds are the weakest: a chart's first row is at the bottom
    named = [kind for kind in weak_types if kind in first] or kinds[-4:]
    gains = ", ".join(f"{plain_name(k)} {in_points(last[k].accuracy - first[k].accuracy, 0)}" for k in named)
    note = " * marks the types that were weakest at the start." if weak_types else ""
    few = sum(first[kind].too_few for kind in kinds)
    note += f" {few} of {len(kinds)} types have too few questions to tell (?)." if few else ""
    alt = f"{title}. Gains in points: {gains}.{note}{cut}"
    texts = [
        f"{plain_name(kind)}: "
        + ", ".join(f"{one.name} {accuracy(one.by_type[kind]).text}" for one in rounds)
        + f", gain {in_points(last[kind].accuracy - first[kind].accuracy)} points"
        for kind in kinds
    ]
    return drawn_chart((1.0 + 0.15 * len(rounds)) * len(kinds), title, alt, draw, texts, kinds=kinds)
