"""Charts of the reports (all steps): each has a title, units, intervals and a text for readers who cannot see it."""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataengine_lib.core.statistics import FEW_OF_TYPE
from dataengine_lib.report.names import plain_name, short_label, top_rows
from dataengine_lib.report.tables import NO_MATHEMATICS, escaped
from dataengine_lib.training.log import BASE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that colour-blind readers can tell apart; marker shapes and hatches differ as well.
# Source: Okabe and Ito, Color Universal Design (2008), https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
GREY, DARK = "#6b7280", "#111827"
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched and copied
    "svg.hashsalt": "dataengine",  # the same data gives the same bytes
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "xtick.color": "#374151",
    "ytick.color": "#374151",
}
_WIDTH, _ROW_HEIGHT = 9.0, 0.31  # inches


@dataclass(frozen=True)
class Chart:
    """A drawn chart: SVG for the page, and its message in words (`alt`)."""

    svg: str
    alt: str

    def _repr_html_(self) -> str:
        text = escaped(self.alt)
        return (
            f'<figure class="chart {NO_MATHEMATICS}" role="img" aria-label="{text}">{self.svg}'
            f"<figcaption>{text}</figcaption></figure>"
        )


def drawn_chart(rows: float, title: str, alt: str, draw: Callable[["Axes"], None]) -> Chart:
    """A chart in the style of all reports, high enough for `rows` bars; `draw` fills its axes.

    `alt` is its message in words. The same data gives the same bytes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        figure = Figure(figsize=(_WIDTH, 1.35 + _ROW_HEIGHT * max(1.0, rows)), layout="constrained")
        figure.suptitle(title.replace("$", r"\$"), x=0.01, ha="left", fontsize=13, fontweight="bold")
        axes = figure.add_subplot()
        draw(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.2)
        stream = io.StringIO()
        # None leaves these entries out: a date would make every drawing another file
        # text stays text, so a font that lacks a letter only measures it wrongly
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(["Date", "Creator", "Format", "Type"]))
    svg = stream.getvalue()
    # without the XML declaration and document type, which are not allowed inside an HTML page
    return Chart(svg[svg.index("<svg") :].replace("<svg ", '<svg aria-hidden="true" ', 1), alt)


def label_rows(axes: "Axes", labels: Sequence[str]) -> None:
    """Label the rows of a bar chart, the first one at the bottom."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(-0.6, max(1, len(labels)) - 0.4)


Ends = tuple[float, float, float]  # a value, and the lower and upper end of its interval


def whiskers(values: Sequence[Ends], scale: float = 100.0) -> list[list[float]]:
    """Distances, times `scale`, from each value down and up to the ends of its interval, as errorbar takes them."""
    # max: errorbar refuses negative lengths, which rounding gives at 0 and 100 %
    return [
        [scale * max(0.0, value - low) for value, low, _ in values],
        [scale * max(0.0, high - value) for value, _, high in values],
    ]


def marked_intervals(
    axes: "Axes",
    values: Sequence[Ends],
    places: Sequence[float],
    color: str,
    marker: str,
    label: str | None,
    scale: float = 100.0,
) -> None:
    """A marker for each value, times `scale`, with its interval, at its place on the vertical axis."""
    axes.errorbar(
        [scale * value for value, _, _ in values],
        places,
        xerr=whiskers(values, scale),
        fmt=marker,
        color=color,
        markersize=5.5,
        elinewidth=1.4,
        capsize=2.5,
        label=label,
        clip_on=False,  # a marker at an end of the axis is not cut off
    )


def score_chart(scores: Mapping[str, Any], title: str, chance: float | None = 0.25) -> Chart:
    """Accuracy per question type, weakest at the top, with its interval and the number of questions.

    `scores` maps a type to something with `accuracy`, `low`, `high` (0 to 1) and `total`; types without
    questions are left out. `chance` is what guessing gives, None for no line.
    """
    # the strongest first: a chart's first row is at the bottom
    ordered = sorted(
        ((kind, score) for kind, score in scores.items() if score.total),
        key=lambda row: (-row[1].accuracy, row[0]),
    )
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
    return drawn_chart(len(rows), title, f"{title}. Weakest: {weakest or 'no questions'}.{note}", draw)


def _unsure(score: Any) -> str:
    """A question mark beside the number of questions where they are too few to tell."""
    return " ?" if score.total < FEW_OF_TYPE else ""


def share_chart(shares: Mapping[str, Any]) -> Chart:
    """Every type's share of the drawn queries beside its share of the weights, heaviest type at the top.

    `shares` maps a type to something with `drawn_share`, `weight_share` (0 to 1) and `filled` queries.
    """
    title = "Drawn question types against their weights"
    rows, note = top_rows(sorted(shares.items(), key=lambda row: (row[1].weight_share, row[0])))

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
            edgecolor="white",
            label="weight",
        )
        label_rows(axes, [f"{short_label(kind)}  (n={share.filled})" for kind, share in rows])
        axes.set(xlabel="share in %; n: number of queries")

    apart = max((abs(share.drawn_share - share.weight_share) for share in shares.values()), default=0.0)
    alt = f"{title}. The largest difference is {100 * apart:.1f} points.{note}"
    return drawn_chart(1.25 * len(rows), title, alt, draw)


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
    return drawn_chart(len(rows), title, f"{title}: {most or 'none'}.{note}", draw)


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
            edgecolor="white",
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
    return drawn_chart(len(rows), title, f"{title}: {all_kept:,} kept, {all_dropped:,} dropped.{note}", draw)


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
    return drawn_chart(1.2 * len(rows), title, f"{title}: {shares or 'nothing'}.{note}", draw)


def loss_chart(points: Sequence[Any], validation: Sequence[Any] = ()) -> Chart:
    """The training loss over the steps, raw and smoothed, and the validation loss; points have `step` and `loss`."""
    title = "Training loss"
    steps, losses = [point.step for point in points], [point.loss for point in points]
    smooth: list[float] = []  # exponential moving average
    for loss in losses:
        smooth.append(0.9 * smooth[-1] + 0.1 * loss if smooth else loss)

    def draw(axes: "Axes") -> None:
        axes.plot(steps, losses, color=SKY, linewidth=1, label="each step")
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
    return drawn_chart(9, title, f"{title}: {change}.", draw)
