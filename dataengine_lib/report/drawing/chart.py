"""One chart (all steps): the look that all of them share, a wide and a narrow drawing, and the text of every row."""

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dataengine_lib.report.drawing.colors import AXIS, DARK, GRID, TICK, themed
from dataengine_lib.report.tables import DISPLAY, escaped
from dataengine_lib.report.type_pages.anchors import TYPE_ATTRIBUTE, type_anchor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched and copied
    "svg.hashsalt": "dataengine",  # the same data gives the same bytes
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": AXIS,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": GRID,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "text.color": DARK,
    "axes.labelcolor": DARK,
    "xtick.color": TICK,
    "ytick.color": TICK,
}
# inches; a narrow chart is shown where there are less than 520 pixels (templates/displays.css)
_WIDTH, _NARROW_WIDTH, _ROW_HEIGHT, _LABEL_HEIGHT = 9.0, 4.6, 0.31, 0.2
_NARROW_LETTERS = 46  # of a line of the title or of an axis in a narrow chart
_NARROW_KEY = 22  # letters of the longest entry of a key with two columns
_LABEL = "row-label"  # the id of a row's label in a narrow chart
_ROW_ID = "row-"  # begins the id of a row's area in the SVG, on which the mouse shows the row's text
_URL = re.compile(r'<a xlink:href="#([^"]*)"[^>]*>')  # some versions of matplotlib add target="_blank"
_AREA = re.compile(rf'<g id="{_ROW_ID}(\d+)">')


Band = tuple[float, float]  # from here to there on the horizontal axis


@dataclass(frozen=True)
class Chart:
    """A drawn chart: SVG for wide and narrow pages, its message in words (`alt`), and the text of every row."""

    svg: str = field(repr=False)  # a notebook keeps the repr beside the HTML
    alt: str
    narrow: str = field(default="", repr=False)
    rows: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        text = escaped(self.alt)
        figures = f' aria-description="{escaped("; ".join(self.rows))}"' if self.rows else ""
        # hidden without a style sheet; with one, the width decides which of the two is seen
        narrow = (
            f'<div class="narrow" style="display:none">{themed(self.narrow)}</div>' if self.narrow else ""
        )
        return (
            f'<figure class="chart {DISPLAY}" role="img" aria-label="{text}"{figures}>'
            f'<div class="wide">{themed(self.svg)}</div>{narrow}<figcaption>{text}</figcaption></figure>'
        )


def drawn_chart(
    rows: float,
    title: str,
    alt: str,
    draw: Callable[["Axes"], None],
    texts: Sequence[str] = (),
    bands: Sequence[Band] = (),
    kinds: Sequence[str] = (),
) -> Chart:
    """A chart in the style of all reports, high enough for `rows` bars; `draw` fills its axes, once for each width.

    `alt` is its message in words, `texts` what each row shows in figures, the row at the bottom first, or with `bands`
    what is between those places of the horizontal axis. A text is shown while the mouse is over its area; there is no
    area where it is empty. `kinds` are the question types of the rows: on a page of a run, a click on one leads to its
    section of the page of types. The same data gives the same bytes.
    """
    wide, narrow = (_drawn(rows, title, draw, texts, bands, kinds, narrow=narrow) for narrow in (False, True))
    spoken = texts if bands else texts[::-1]
    return Chart(wide, alt, narrow, tuple(filter(None, spoken)))


def _drawn(
    rows: float,
    title: str,
    draw: Callable[["Axes"], None],
    texts: Sequence[str],
    bands: Sequence[Band],
    kinds: Sequence[str],
    *,
    narrow: bool,
) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # the two drawings stand on one page: of parts with the same id, the hidden one's would be used, which shows nothing
    salt = {"svg.hashsalt": "dataengine-narrow"} if narrow else {}
    with matplotlib.rc_context(_STYLE | salt), warnings.catch_warnings():
        height = 1.35 + _ROW_HEIGHT * max(1.0, rows)
        size = (_NARROW_WIDTH, height + 0.4) if narrow else (_WIDTH, height)
        figure = Figure(figsize=size, layout="constrained")
        heading = textwrap.fill(title, _NARROW_LETTERS - 8) if narrow else title
        figure.suptitle(heading.replace("$", r"\$"), x=0.01, ha="left", fontsize=13, fontweight="bold")
        axes = figure.add_subplot()
        draw(axes)
        if narrow:
            # rows have their labels above them: see label_rows
            lines = sum(text.get_text().count("\n") + 1 for text in axes.texts if text.get_gid() == _LABEL)
            figure.set_figheight(size[1] + _LABEL_HEIGHT * lines)
            axes.set_xlabel(textwrap.fill(axes.get_xlabel(), _NARROW_LETTERS))
        places = bands or [(number - 0.5, number + 0.5) for number in range(len(texts))]
        for number, (place, text) in enumerate(zip(places, texts, strict=True)):
            if text:  # an area without colour, on which the mouse shows the text
                area = axes.axvspan if bands else axes.axhspan
                url = f"#{type_anchor(kinds[number])}" if kinds else None
                area(*place, alpha=0, linewidth=0, zorder=10, gid=f"{_ROW_ID}{number}", url=url)
        _draw_key(axes, narrow)
        stream = io.StringIO()
        # None leaves these entries out: a date would make every drawing another file
        # text stays text, so a font that lacks a letter only measures it wrongly
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        # not savefig, which draws all of it twice
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(stream, metadata=dict.fromkeys(["Date", "Creator", "Format", "Type"]))
    return _for_page(stream.getvalue(), texts)


def _draw_key(axes: "Axes", narrow: bool) -> None:
    labels = axes.get_legend_handles_labels()[1]
    if labels:
        columns = 4 if not narrow else 2 if max(map(len, labels)) <= _NARROW_KEY else 1
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.2,
            columnspacing=1.2, handletextpad=0.5,
        )  # fmt: skip


def _for_page(drawn: str, texts: Sequence[str]) -> str:
    """The SVG as a page can hold it, with the texts in their areas."""
    # without the XML declaration and document type, which are not allowed inside an HTML page
    svg = drawn[drawn.index("<svg") :]
    # matplotlib's own rule of style would be one for the whole page
    svg = re.sub(r"\s*<defs>\s*<style[^>]*>\*\{[^}]*\}</style>\s*</defs>", "", svg, count=1)
    look = 'style="stroke-linejoin: round; stroke-linecap: butt"'
    svg = svg.replace("<svg ", f'<svg aria-hidden="true" {look} ', 1)
    svg = svg.replace(f'<g id="{_LABEL}">', "<g>")
    # only a page knows whether the run has a page of types, and where: see html.render_notebook
    svg = _URL.sub(rf'<a {TYPE_ATTRIBUTE}="\1">', svg)
    return _AREA.sub(
        lambda area: f'<g class="row" pointer-events="all"><title>{escaped(texts[int(area[1])])}</title>', svg
    )


def label_rows(axes: "Axes", labels: Sequence[str]) -> None:
    """Label the rows of a bar chart, the first one at the bottom: at the left, or above them in a narrow chart."""
    if axes.figure.get_figwidth() > _NARROW_WIDTH:  # type: ignore[union-attr]  # no figure within a figure
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(-0.6, max(1, len(labels)) - 0.4)
        return
    axes.set_yticks([])
    # bars end 0.33 above the middle of their row
    for place, label in enumerate(labels):
        axes.text(
            0, place + 0.35, label, transform=axes.get_yaxis_transform(), va="bottom", color=TICK, gid=_LABEL
        )
    axes.set_ylim(-0.6, max(1, len(labels)) - 0.1)


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
