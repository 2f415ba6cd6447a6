"""Charts of the reports (all steps): each has a title, units, intervals and a text for readers who cannot see it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dataengine_lib.core.statistics import FEW_OF_TYPE
from dataengine_lib.report.drawing.chart import Chart, drawn_chart, label_rows, whiskers
from dataengine_lib.report.drawing.colors import BLUE, DARK, GREEN, ORANGE, PAPER, RED, SKY
from dataengine_lib.report.names import plain_name, short_label, top_rows
from dataengine_lib.report.tables import accuracy
from dataengine_lib.training.log import BASE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 60  # of a curve that the mouse and a screen reader get in figures


def weakest_first(scores: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The types and their scores (`accuracy` 0 to 1, None without questions) in the order of the charts, top to bottom."""
    return sorted(
        scores.items(),
        key=lambda row: (-1.0 if row[1].accuracy is None else 1.0 - row[1].accuracy, row[0]),
        reverse=True,
    )


def heaviest_first(shares: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The types and their shares in the order of `share_chart`, top to bottom."""
    return sorted(shares.items(), key=lambda row: (row[1].weight_share, row[0]), reverse=True)


def score_chart(scores: Mapping[str, Any], title: str, chance: float | None = 0.25) -> Chart:
    """Accuracy per question type, weakest at the top, with its interval and the number of questions.

    `scores` maps a type to something with `accuracy`, `low`, `high` (0 to 1) and `total`; types without
    questions are left out. `chance` is what guessing gives, None for no line.
    """
    # the strongest first: a chart's first row is at the bottom
    asked = {kind: score for kind, score in scores.items() if score.total}
    ordered = weakest_first(asked)[::-1]
    rows, note = top_rows(ordered)
    values = [100 * score.accuracy for _, score in rows]

    def draw(axes: "Axes") -> None:
        places = range(len(rows))
        axes.barh(places, values, color=BLUE, height=0.66)
        bars = whiskers([(score.accuracy, score.low, score.high) for _, score in rows])
        axes.errorbar(values, places, xerr=bars, fmt="none", ecolor=DARK, elinewidth=1.3, capsize=3)
        if chance is not None:
            axes.axvline(
                100 * chance, color=RED, linestyle="--", linewidth=1.3, label=f"chance, {chance:.0%}"
            )
        label_rows(axes, [f"{short_label(kind)}  (n={score.total}{_unsure(score)})" for kind, score in rows])
        few = "; ?: too few to tell" if any(map(_unsure, (score for _, score in rows))) else ""
        axes.set(
            xlim=(0, 100),
            xlabel=f"accuracy in %, with 95 % Wilson interval by images; n: number of questions{few}",
        )

    weakest = ", ".join(f"{plain_name(kind)} {score.accuracy:.0%}" for kind, score in rows[::-1][:4])
    texts = [f"{plain_name(kind)}: {accuracy(score).text}, n = {score.total:,}" for kind, score in rows]
    kinds = [kind for kind, _ in rows]
    return drawn_chart(
        len(rows), title, f"{title}. Weakest: {weakest or 'no questions'}.{note}", draw, texts, kinds=kinds
    )


def _unsure(score: Any) -> str:
    """A question mark beside the number of questions where they are too few to tell."""
    return " ?" if score.total < FEW_OF_TYPE else ""


def share_chart(shares: Mapping[str, Any]) -> Chart:
    """Every type's share of the drawn queries beside its share of the weights, heaviest type at the top.

    `shares` maps a type to something with `drawn_share`, `weight_share` (0 to 1) and `filled` queries.
    """
    title = "Drawn question types against their weights"
    rows, note = top_rows(heaviest_first(shares)[::-1])

    def draw(axes: "Axes") -> None:
        above, below = (
            [place + 0.2 for place in range(len(rows))],
            [place - 0.2 for place in range(len(rows))],
        )
        axes.barh(
            above, [100 * share.drawn_share for _, share in rows], height=0.38, color=BLUE, label="drawn"
        )
        axes.barh(
            below,
            [100 * share.weight_share for _, share in rows],
            height=0.38,
            color=ORANGE,
            hatch="//",
            edgecolor=PAPER,
            label="weight",
        )
        label_rows(axes, [f"{short_label(kind)}  (n={share.filled})" for kind, share in rows])
        axes.set(xlabel="share in %; n: number of queries")

    apart = max((abs(share.drawn_share - share.weight_share) for share in shares.values()), default=0.0)
    alt = f"{title}. The largest difference is {100 * apart:.1f} points.{note}"
    texts = [
        f"{plain_name(kind)}: drawn {share.drawn_share:.1%}, weight {share.weight_share:.1%}, n = {share.filled:,}"
        for kind, share in rows
    ]
    return drawn_chart(1.25 * len(rows), title, alt, draw, texts, kinds=[kind for kind, _ in rows])


def count_chart(counts: Mapping[str, int], title: str, unit: str) -> Chart:
    """A bar for each count, the largest at the top; `unit` is what is counted, such as `replies`."""
    rows, note = top_rows(sorted(counts.items(), key=lambda row: (row[1], row[0])))

    def draw(axes: "Axes") -> None:
        bars = axes.barh(range(len(rows)), [count for _, count in rows], color=BLUE, height=0.66)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        label_rows(axes, [short_label(name) for name, _ in rows])
        axes.margins(x=0.08)
        axes.set_xlim(left=0)
        axes.set(xlabel=f"number of {unit}")
        axes.locator_params(axis="x", integer=True)

    most = ", ".join(f"{plain_name(name)} {count:,}" for name, count in rows[::-1][:6])
    texts = [f"{plain_name(name)}: {count:,} {unit}" for name, count in rows]
    return drawn_chart(len(rows), title, f"{title}: {most or 'none'}.{note}", draw, texts)


def kept_chart(by_type: Mapping[str, Any]) -> Chart:
    """Kept and dropped per question type; `by_type` maps a type to something with `kept` and `dropped`."""
    title = "Kept and dropped per question type"
    ordered = sorted(by_type.items(), key=lambda row: (row[1].kept + row[1].dropped, row[0]))
    rows, note = top_rows(ordered)
    kept, dropped = [count.kept for _, count in rows], [count.dropped for _, count in rows]

    def draw(axes: "Axes") -> None:
        places = range(len(rows))
        axes.barh(places, kept, color=GREEN, height=0.66, label="kept")
        axes.barh(
            places,
            dropped,
            left=kept,
            color=ORANGE,
            hatch="//",
            edgecolor=PAPER,
            height=0.66,
            label="dropped",
        )
        label_rows(
            axes,
            [f"{short_label(kind)}  ({count.kept} of {count.kept + count.dropped})" for kind, count in rows],
        )
        axes.set(xlabel="number of questions written by the teacher")
        axes.locator_params(axis="x", integer=True)

    all_kept, all_dropped = (
        sum(getattr(row, name) for row in by_type.values()) for name in ("kept", "dropped")
    )
    alt = f"{title}: {all_kept:,} kept, {all_dropped:,} dropped.{note}"
    texts = [f"{plain_name(kind)}: {one.kept:,} kept, {one.dropped:,} dropped" for kind, one in rows]
    return drawn_chart(len(rows), title, alt, draw, texts, kinds=[kind for kind, _ in rows])


def mix_chart(parts: Sequence[Any]) -> Chart:
    """What the training data is made of, one bar per data set; `parts` have `name`, `rows`, `drawn` and `share`."""
    title = "Data mix of the training"
    # the first data set at the top: a chart's first row is at the bottom
    rows, note = top_rows(list(parts)[::-1])

    def draw(axes: "Axes") -> None:
        colors = [ORANGE if part.name.partition(" ")[0] == BASE else BLUE for part in rows]
        bars = axes.barh(range(len(rows)), [100 * part.share for part in rows], color=colors, height=0.6)
        axes.bar_label(bars, [f"{part.drawn:,} drawn from {part.rows:,} rows" for part in rows], padding=4)
        label_rows(axes, [short_label(part.name) for part in rows])
        # the space from 100 to 128 % is for the labels of long bars
        axes.set(xlim=(0, 128), xticks=range(0, 101, 20), xlabel="share of all training examples in %")

    shares = ", ".join(f"{part.name} {part.share:.0%}" for part in rows[::-1])
    texts = [
        f"{plain_name(part.name)}: {part.share:.1%}, {part.drawn:,} drawn from {part.rows:,} rows"
        for part in rows
    ]
    return drawn_chart(1.2 * len(rows), title, f"{title}: {shares or 'nothing'}.{note}", draw, texts)


def loss_chart(points: Sequence[Any], validation: Sequence[Any] = ()) -> Chart:
    """The training loss over the steps, raw and smoothed, and the validation loss; points have `step` and `loss`."""
    title = "Training loss"
    steps, losses = [point.step for point in points], [point.loss for point in points]
    smooth: list[float] = []  # exponential moving average
    for loss in losses:
        smooth.append(0.9 * smooth[-1] + 0.1 * loss if smooth else loss)

    def draw(axes: "Axes") -> None:
        # a line of one point is only seen by its marker
        marker = "o" if len(steps) == 1 else ""
        axes.plot(steps, losses, color=SKY, linewidth=1, marker=marker, label="each step")
        axes.plot(steps, smooth, color=BLUE, linewidth=2.2, label="smoothed (exponential moving average)")
        if validation:
            axes.plot(
                [point.step for point in validation],
                [point.loss for point in validation],
                color=ORANGE,
                linewidth=1.5,
                marker="o",
                label="validation rows",
            )
        axes.set(xlabel="optimizer step", ylabel="cross-entropy per answer token (nats)")
        axes.grid(True, axis="both")
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", integer=True)

    change = (
        f"from {smooth[0]:.2f} to {smooth[-1]:.2f} over {len(steps):,} steps"
        if smooth
        else "no loss was logged"
    )
    if validation:
        best = min(validation, key=lambda point: point.loss)
        change += f"; the validation loss is smallest at step {best.step:,}, {best.loss:.2f}"
    shown = range(0, len(steps), max(1, len(steps) // _MOST_POINTS))
    texts = [f"step {steps[at]:,}: loss {losses[at]:.3f}, smoothed {smooth[at]:.3f}" for at in shown]
    ends = [*(float(steps[at]) for at in shown), float(steps[-1])] if steps else []
    bands = list(pairwise(ends)) if len(steps) > 1 else []
    return drawn_chart(9, title, f"{title}: {change}.", draw, texts if bands else (), bands)
