"""Report of step 4: how the current student answers the new questions, and what is kept of them for that."""

from typing import TYPE_CHECKING

from dataengine_lib.core.statistics import wilson
from dataengine_lib.curation.counts import ChecksSummary
from dataengine_lib.curation.difficulty.band import BINS, DifficultyFigures
from dataengine_lib.report.drawing.chart import Chart, drawn_chart
from dataengine_lib.report.drawing.colors import BLUE, DARK, ORANGE, PAPER, PURPLE
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Html, percent, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOT_ASKED = "the student was not asked, because difficulty is off"
_OUTCOMES = {"known": "the student knows it", "kept": "in the band", "too_hard": "too hard"}


def difficulty_chart(summary: ChecksSummary) -> Chart | Html:
    """Histogram of the student's probability of the right option, with the ends of the band that is kept."""
    figures = summary.difficulty
    if figures is None:
        return table([], [], _NOT_ASKED)
    title = "The student's probability of the right option" + (", without the image" if figures.blind else "")
    styles = {"too_hard": (PURPLE, "\\\\"), "kept": (BLUE, ""), "known": (ORANGE, "//")}
    total = figures.total

    def draw(axes: "Axes") -> None:
        places = [(number + 0.5) / BINS for number in range(BINS)]
        below = [0] * BINS
        for name, (color, hatch) in styles.items():
            counts = figures.bins[name]  # type: ignore[index]  # the three outcomes
            if sum(counts):
                axes.bar(
                    places, counts, width=0.9 / BINS, bottom=below, color=color, hatch=hatch,
                    edgecolor=PAPER, label=f"{_OUTCOMES[name]} ({sum(counts):,})",
                )  # fmt: skip
                below = [one + other for one, other in zip(below, counts, strict=True)]
        for end in _ends(figures):
            axes.axvline(end, color=DARK, linestyle="--", linewidth=1.3)
            side = "right" if end > 0.5 else "left"
            axes.annotate(
                f"{end:g} ", (end, 1), xycoords=("data", "axes fraction"), ha=side, va="top", color=DARK,
                xytext=(-2 if side == "right" else 2, 0), textcoords="offset points",
            )  # fmt: skip
        axes.grid(visible=True, axis="y")
        axes.set_ylim(0, 1.12 * max(1, *below))  # room for the numbers at the ends of the band
        axes.set(
            xlim=(0, 1), xlabel=f"probability of the right option (softmax of its options' scores); n = {total:,}",
            ylabel="number of questions",
        )  # fmt: skip
        axes.locator_params(axis="y", integer=True)

    texts = [
        f"{number / BINS:g} to {(number + 1) / BINS:g}: "
        + ", ".join(f"{words} {figures.bins[name][number]:,}" for name, words in _OUTCOMES.items())  # type: ignore[index]
        for number in range(BINS)
    ]
    bands = [(number / BINS, (number + 1) / BINS) for number in range(BINS)]
    return drawn_chart(9, title, f"{title}: {_in_words(figures)}.", draw, texts, bands)


def _ends(figures: DifficultyFigures) -> list[float]:
    """The ends of the band that cut something off."""
    return [end for end in (figures.low, figures.high) if 0 < end < 1]


def _in_words(figures: DifficultyFigures) -> str:
    total = figures.total
    if not total:
        return "no questions"
    sums = {name: sum(row) for name, row in figures.bins.items()}
    texts = [
        f"{sums['known']:,} of {total:,} questions are known (above {figures.high:g} and answered right)"
    ]
    if figures.low:
        texts.append(f"{sums['too_hard']:,} are too hard (below {figures.low:g})")
    return ", ".join([*texts, f"{sums['kept']:,} are in the band"])


def difficulty_table(summary: ChecksSummary) -> Html:
    """Every type's questions by what the student makes of them, the type that it knows best first."""
    figures = summary.difficulty
    if figures is None:
        return table([], [], _NOT_ASKED)
    counts = sorted(
        figures.by_type.items(),
        key=lambda row: (-row[1].known / (row[1].known + row[1].kept + row[1].too_hard), row[0]),
    )
    rows = []
    for kind, count in counts:
        asked = count.known + count.kept + count.too_hard
        ends = wilson(asked - count.missed, asked)
        right = percent((asked - count.missed) / asked, ends.low, ends.high)
        rows.append((plain_name(kind), asked, right, count.known, count.kept, count.too_hard))
    caption = f"known and too hard questions are {'dropped' if figures.dropped else 'kept, and marked'}"
    head = ["question type", "asked", "student is right", "known", "in the band", "too hard"]
    return table(rows, head, caption)
