"""Charts of a study (step 7): arms with intervals over seeds and images, differences by type, learning curves."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dataengine_lib.core.statistics import in_points
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.evaluation.studies.curves import learning_curves
from dataengine_lib.evaluation.studies.figures import OVERALL, Difference, MeanScore, StudyFigures
from dataengine_lib.evaluation.studies.summary import measure_name
from dataengine_lib.report.drawing.chart import Chart, drawn_chart, label_rows
from dataengine_lib.report.drawing.colors import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    ROW_LINE,
    SKY,
)
from dataengine_lib.report.names import plain_name, short_label, top_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of the arms in order, in every chart of the study: shapes differ for readers who cannot tell the colours apart.
_COLORS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, GREY)
_MARKERS = "os^DvPX<>*ph"
_MOST_ARMS = len(_MARKERS)  # in a chart: colours repeat, shapes do not


def arms_chart(figures: StudyFigures) -> Chart:
    """Every arm after the last round, measure by measure, beside the accuracy before; the values at the right."""
    title = f"Arms of {plain_name(figures.study)} after {_rounds(figures)}"
    arms, note = figures.arms[:_MOST_ARMS], _cut(figures)
    measures = list(arms[0].last.measures)
    labels: list[str] = []
    rows: list[tuple[int, int, MeanScore]] = []  # place of the row, number of the arm, score
    starts: list[tuple[float, float, float]] = []  # accuracy before, from this place to that
    # from the bottom: a chart's first row is there
    for measure in reversed(measures):
        bottom = len(labels)
        for number in reversed(range(len(arms))):
            rows.append((len(labels), number, arms[number].last.measures[measure]))
            labels.append(short_label(arms[number].name))
        starts.append((100 * arms[0].rounds[0].measures[measure].value, bottom - 0.4, len(labels) - 0.6))
        labels.append("")

    def draw(axes: "Axes") -> None:
        for number, (_, low, high) in enumerate(starts):
            axes.plot(
                [starts[number][0]] * 2, [low, high], color=GREY, linestyle=":", linewidth=1.8,
                label="" if number else "before",
            )  # fmt: skip
        for place, number, score in rows:
            color, marker = _style(number)
            _interval(axes, score, place, color, marker)
            axes.text(
                1.01,
                place,
                f"{100 * score.value:.1f}",
                transform=axes.get_yaxis_transform(),
                va="center",
                color=DARK,
            )
        label_rows(axes, labels)
        for number, measure in enumerate(reversed(measures)):
            place = (number + 1) * (len(arms) + 1) - 1
            axes.text(
                0.008, place, measure_name(measure, figures), transform=axes.get_yaxis_transform(), va="center",
                weight="bold", color=DARK,
            )  # fmt: skip
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.04)
        axes.set(xlabel="accuracy in %, mean over seeds, with 95 % intervals over seeds and images")

    spoken = "; ".join(
        f"{measure_name(measure, figures)}: "
        + ", ".join(f"{plain_name(arm.name)} {_spoken(arm.last.measures[measure])}" for arm in arms)
        for measure in measures
    )
    texts = [""] * len(labels)
    for place, number, score in rows:
        texts[place] = f"{plain_name(arms[number].name)}: {_spoken(score)}"
    return drawn_chart(len(labels), title, f"{title}. Accuracy in %, {spoken}.{note}", draw, texts)


def study_types_chart(figures: StudyFigures) -> Chart:
    """Every other arm minus the reference, type by type, the type that was weakest at the start at the top."""
    reference = figures.reference
    title = f"Difference to {plain_name(reference)} per question type"
    before = next(arm for arm in figures.arms if arm.name == reference).rounds[0].by_type
    kinds, cut = top_rows(sorted(before, key=lambda kind: (-before[kind].value, kind)))
    numbers = {arm.name: number for number, arm in enumerate(figures.arms[:_MOST_ARMS])}
    shown = [one for one in figures.by_type if one.arm in numbers]

    def draw(axes: "Axes") -> None:
        axes.axvline(0, color=DARK, linewidth=1)
        for order, one in enumerate(shown):
            color, marker = _style(numbers[one.arm])
            offset = 0.28 - 0.56 * order / max(1, len(shown) - 1) if len(shown) > 1 else 0.0
            for place, kind in enumerate(kinds):
                difference = one.by_type[kind]
                _interval(axes, difference, place + offset, color, marker, filled=difference.real)
            # outside of the chart: the legend's mark is filled, whatever the first type's is
            axes.plot([], [], marker=marker, color=color, linestyle="", label=short_label(one.arm))
        for place in range(len(kinds)):
            axes.axhline(place + 0.5, color=ROW_LINE, linewidth=0.8, zorder=0)
        weak = figures.weak_types
        label_rows(
            axes,
            [
                f"{'* ' if kind in weak else ''}{short_label(kind)}  (n={figures.questions_by_type[kind]})"
                for kind in kinds
            ],
        )
        axes.set(
            xlabel=f"points above {short_label(reference)}, with 95 % intervals; filled: real after Holm's correction"
        )

    spoken = "; ".join(
        f"{plain_name(one.arm)} is above in {_real(one.by_type.values(), 1)} and below in "
        f"{_real(one.by_type.values(), -1)} of {len(one.by_type)} types"
        for one in shown
    )
    alt = f"{title}. After Holm's correction, {spoken or 'there is no other arm'}.{cut}{_cut(figures)}"
    if figures.weak_types:
        alt += " * marks the types that were weakest at the start."
    texts = [
        f"{plain_name(kind)}: "
        + ", ".join(f"{plain_name(one.arm)} {_points(one.by_type[kind])}" for one in shown)
        for kind in kinds
    ]
    return drawn_chart((0.8 + 0.22 * len(shown)) * len(kinds), title, alt, draw, texts)


def learning_chart(figures: StudyFigures, measure: str = OVERALL) -> Chart:
    """Accuracy by number of QAs trained on: a line an arm over its rounds, dashed across arms that differ in maxnum."""
    title = f"Learning curves, {measure_name(measure, figures)}"
    numbers = {arm.name: number for number, arm in enumerate(figures.arms[:_MOST_ARMS])}
    curves = [one for one in learning_curves(figures, measure) if all(arm in numbers for arm in one.arms)]
    most = max((point.qas for one in curves for point in one.points), default=0.0)

    def draw(axes: "Axes") -> None:
        for curve in curves:
            joined = len(curve.arms) > 1
            color, marker = _style(numbers[curve.arms[0]])
            # a little apart, so that arms with as many QAs do not hide each other
            shift = 0.0 if joined else 0.008 * most * (numbers[curve.arms[0]] - (len(numbers) - 1) / 2)
            places = [point.qas + (shift if number else 0.0) for number, point in enumerate(curve.points)]
            values = [100 * point.score.value for point in curve.points]
            label = " → ".join(short_label(point.arm) for point in curve.points[1:])
            if joined:
                axes.plot(places, values, color=GREY, linestyle="--", linewidth=1.4, label=label, zorder=1)
                continue
            axes.plot(
                places, values, color=color, linewidth=1.8, marker=marker, label=short_label(curve.arms[0])
            )
            for place, point in zip(places, curve.points, strict=True):
                axes.vlines(place, 100 * point.score.low, 100 * point.score.high, color=color, linewidth=1.4)
        axes.grid(True, axis="both")
        axes.set(xlabel="QAs trained on, mean over seeds", ylabel="accuracy in %, with 95 % intervals")
        axes.set_xlim(left=-0.03 * max(most, 1.0))

    spoken = "; ".join(
        f"{plain_name(one.arms[0])} "
        + ", ".join(f"{100 * point.score.value:.1f} % with {point.qas:,.0f} QAs" for point in one.points)
        for one in curves
        if len(one.arms) == 1
    )
    return drawn_chart(11, title, f"{title}: {spoken or 'no number of QAs is known'}.{_cut(figures)}", draw)


def saved_chart(chart: Chart, file: Path) -> Chart:
    """Write the chart as an SVG file, for a README or a paper, and return it for display."""
    with replacing(file, "w") as stream:
        stream.write(chart.svg)
    return chart


def _interval(
    axes: "Axes", score: MeanScore | Difference, place: float, color: str, marker: str, *, filled: bool = True
) -> None:
    value, low, high = 100 * score.value, 100 * score.low, 100 * score.high
    axes.plot([low, high], [place, place], color=color, linewidth=1.8, solid_capstyle="butt")
    axes.plot(
        [value],
        [place],
        marker=marker,
        color=color,
        markersize=6.5,
        markerfacecolor=color if filled else PAPER,
    )


def _style(number: int) -> tuple[str, str]:
    return _COLORS[number % len(_COLORS)], _MARKERS[number]


def _spoken(score: MeanScore) -> str:
    return f"{100 * score.value:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"


def _points(one: Difference) -> str:
    return f"{in_points(one.value)} [{in_points(one.low)}, {in_points(one.high)}]"


def _real(found: Iterable[Difference], sign: int) -> int:
    return sum(one.real and sign * one.value > 0 for one in found)


def _rounds(figures: StudyFigures) -> str:
    return "one round" if figures.rounds == 1 else f"{figures.rounds} rounds"


def _cut(figures: StudyFigures) -> str:
    arms = len(figures.arms)
    return f" Of {arms} arms the first {_MOST_ARMS} are drawn." if arms > _MOST_ARMS else ""
