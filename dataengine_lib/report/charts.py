"""Charts of the reports (all steps): each has a title, units, intervals and a text for readers who cannot see it."""

import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, GREY, RED = "#0072B2", "#E69F00", "#009E73", "#6b7280", "#D55E00"
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "dataengine", "font.family": "sans-serif", "font.size": 10.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 13, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.edgecolor": "#9ca3af", "axes.grid": True, "axes.grid.axis": "x",
    "grid.color": "#e5e7eb", "axes.axisbelow": True, "xtick.color": "#374151", "ytick.color": "#374151",
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """A drawn chart: SVG for the page, and what it says in words."""

    svg: str
    alt: str

    def _repr_html_(self) -> str:
        return (
            f'<figure class="chart" role="img" aria-label="{html.escape(self.alt, quote=True)}">{self.svg}'
            f"<figcaption>{html.escape(self.alt)}</figcaption></figure>"
        )


def _label(question_type: str) -> str:
    # matplotlib reads $…$ as mathematics; names come from data files
    return question_type.replace("_", " ").replace("$", r"\$")


def _chart(height: float, draw: Any, alt: str, width: float = 9.0) -> Chart:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    return Chart(svg[svg.index("<svg") :].replace("<svg ", '<svg aria-hidden="true" ', 1), alt)


def _whiskers(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> list[list[float]]:
    return [
        [max(0.0, value - low) for value, low in zip(values, lows, strict=True)],
        [max(0.0, high - value) for value, high in zip(values, highs, strict=True)],
    ]


def score_chart(scores: Mapping[str, Any], title: str, chance: float | None = 0.25) -> Chart:
    """Accuracy per question type, weakest at the top, with its interval and the number of questions.

    `scores` maps a type to something with `accuracy`, `low`, `high` (0 to 1) and `total`; types without questions are left out.
    """
    rows = sorted(((kind, s) for kind, s in scores.items() if s.total), key=lambda row: -row[1].accuracy)
    values = [100 * s.accuracy for _, s in rows]
    bars = _whiskers(values, [100 * s.low for _, s in rows], [100 * s.high for _, s in rows])

    def draw(axes: "Axes") -> None:
        axes.barh(range(len(rows)), values, color=BLUE, height=0.66)
        axes.errorbar(values, range(len(rows)), xerr=bars, fmt="none", ecolor="#111827", elinewidth=1.3, capsize=3)
        axes.set_yticks(range(len(rows)), [f"{_label(kind)}  (n={s.total})" for kind, s in rows])
        if chance is not None:
            axes.axvline(100 * chance, color=RED, linestyle="--", linewidth=1.2, label="chance")
            axes.legend(loc="lower right", frameon=False)
        axes.set(xlim=(0, 100), xlabel="accuracy in %, with 95 % Wilson interval", title=title)

    weakest = ", ".join(f"{_label(kind)} {s.accuracy:.0%}" for kind, s in rows[::-1][:4])
    return _chart(0.9 + 0.31 * max(1, len(rows)), draw, f"{title}. Weakest: {weakest or 'none'}.")


def share_chart(shares: Mapping[str, Any]) -> Chart:
    """Drawn share of every type beside the share of its weight; `shares` maps a type to a TypeShare."""
    rows = sorted(shares.items(), key=lambda row: row[1].weight_share)

    def draw(axes: "Axes") -> None:
        places = range(len(rows))
        axes.barh([p - 0.2 for p in places], [100 * s.drawn_share for _, s in rows], height=0.38, color=BLUE, label="drawn queries")
        axes.barh([p + 0.2 for p in places], [100 * s.weight_share for _, s in rows], height=0.38, color=ORANGE, label="weight")
        axes.set_yticks(places, [f"{_label(kind)}  (n={s.filled})" for kind, s in rows])
        axes.set(xlabel="share in %", title="Drawn question types against their weights")
        axes.legend(loc="lower right", frameon=False)

    apart = max((abs(s.drawn_share - s.weight_share) for _, s in rows), default=0.0)
    alt = f"Drawn question types against their weights. The largest difference is {100 * apart:.1f} points."
    return _chart(0.9 + 0.36 * max(1, len(rows)), draw, alt)


def count_chart(counts: Mapping[str, int], title: str, unit: str, highlight: str = "") -> Chart:
    """How often each thing occurred, most often first; `highlight` names the bar in another colour."""
    rows = sorted(counts.items(), key=lambda row: (row[1], row[0]))

    def draw(axes: "Axes") -> None:
        colors = [GREEN if name == highlight else BLUE for name, _ in rows]
        bars = axes.barh(range(len(rows)), [count for _, count in rows], color=colors, height=0.66)
        axes.bar_label(bars, padding=3)
        axes.set_yticks(range(len(rows)), [_label(name) for name, _ in rows])
        axes.set(xlabel=unit, title=title)
        axes.margins(x=0.1)

    said = ", ".join(f"{_label(name)} {count}" for name, count in rows[::-1][:6])
    return _chart(0.9 + 0.31 * max(1, len(rows)), draw, f"{title}: {said or 'nothing'}.")


def kept_chart(by_type: Mapping[str, Any]) -> Chart:
    """Kept and dropped replies per question type; `by_type` maps a type to something with `kept` and `dropped`."""
    rows = sorted(by_type.items(), key=lambda row: row[1].kept + row[1].dropped)

    def draw(axes: "Axes") -> None:
        places, kept = range(len(rows)), [c.kept for _, c in rows]
        axes.barh(places, kept, color=GREEN, height=0.66, label="kept")
        axes.barh(places, [c.dropped for _, c in rows], left=kept, color=ORANGE, hatch="//", edgecolor="white", height=0.66, label="dropped")
        axes.set_yticks(places, [_label(kind) for kind, _ in rows])
        axes.set(xlabel="replies", title="Kept and dropped replies per question type")
        axes.legend(loc="lower right", frameon=False)

    kept, dropped = sum(c.kept for _, c in rows), sum(c.dropped for _, c in rows)
    return _chart(0.9 + 0.31 * max(1, len(rows)), draw, f"Kept and dropped replies per question type: {kept} kept, {dropped} dropped.")


def loss_chart(points: Sequence[Any]) -> Chart:
    """The training loss over the steps, raw and smoothed; `points` have `step` and `loss`."""
    steps, losses = [p.step for p in points], [p.loss for p in points]
    smooth: list[float] = []
    for loss in losses:
        smooth.append(loss if not smooth else 0.9 * smooth[-1] + 0.1 * loss)

    def draw(axes: "Axes") -> None:
        axes.plot(steps, losses, color="#93c5fd", linewidth=1, label="each step")
        axes.plot(steps, smooth, color=BLUE, linewidth=2, label="smoothed")
        axes.set(xlabel="optimizer step", ylabel="cross-entropy per answer token (nats)", title="Training loss")
        axes.grid(True, axis="both")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)

    alt = f"Training loss from {smooth[0]:.2f} to {smooth[-1]:.2f} over {len(steps)} steps." if smooth else "No step was trained."
    return _chart(3.6, draw, alt)


def round_chart(rounds: Sequence[Any], weak_types: Sequence[str] = ()) -> Chart:
    """First and last evaluation side by side, one line a type, with intervals; the weak types are marked.

    `rounds` have `name` and `by_type` of scores (`accuracy`, `low`, `high`).
    """
    first, last = rounds[0], rounds[-1]
    kinds = sorted(first.by_type, key=lambda kind: -first.by_type[kind].accuracy)

    def draw(axes: "Axes") -> None:
        for offset, color, marker, scores in ((0.14, GREY, "o", first), (-0.14, BLUE, "D", last)):
            rows = [scores.by_type[kind] for kind in kinds]
            values = [100 * s.accuracy for s in rows]
            bars = _whiskers(values, [100 * s.low for s in rows], [100 * s.high for s in rows])
            axes.errorbar(values, [p + offset for p in range(len(kinds))], xerr=bars, fmt=marker, color=color, markersize=6,
                          elinewidth=1.4, capsize=2.5, label=scores.name)  # fmt: skip
        for place, kind in enumerate(kinds):
            a, b = 100 * first.by_type[kind].accuracy, 100 * last.by_type[kind].accuracy
            axes.annotate("", (b, place), (a, place), arrowprops={"arrowstyle": "->", "color": "#9ca3af", "lw": 1})
            axes.text(101.5, place, f"{b - a:+.0f}", va="center", color=BLUE if b >= a else RED, weight="bold")
        axes.set_yticks(range(len(kinds)), [f"{_label(kind)}{' *' if kind in weak_types else ''}" for kind in kinds])
        axes.set(xlim=(0, 100), xlabel="accuracy in %, with 95 % Wilson intervals; right: gain in points",
                 title="Accuracy per question type before and after")  # fmt: skip
        axes.legend(loc="lower right", frameon=False)

    gains = ", ".join(
        f"{_label(kind)} {100 * (last.by_type[kind].accuracy - first.by_type[kind].accuracy):+.0f}" for kind in (weak_types or kinds[-4:])
    )
    note = " * weakest types at the start." if weak_types else ""
    return _chart(1.1 + 0.36 * len(kinds), draw, f"Accuracy per question type before and after; gains in points: {gains}.{note}")
