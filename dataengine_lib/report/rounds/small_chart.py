"""A small before-and-after chart for the index pages (all steps), drawn without matplotlib after every step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataengine_lib.core.statistics import in_points
from dataengine_lib.report.drawing.colors import css_color, round_style
from dataengine_lib.report.names import MOST_ROWS, cut_to_width, plain_name
from dataengine_lib.report.tables import Html, escaped
from dataengine_lib.report.type_pages.anchors import TYPE_ATTRIBUTE, type_anchor

_LONGEST_TITLE = 500  # characters of the whole name, which is shown when the mouse is over a row
_GAIN, _ROW, _TOP = 48, 17, 22  # pixels: width of gains, height of a row, margin at the top


@dataclass(frozen=True)
class _Layout:
    """Widths in pixels of names and bars, and the columns of a name that fit; `narrow` is for telephones."""

    name: int
    bar: int
    columns: int


_WIDE, _NARROW = _Layout(210, 300, 32), _Layout(172, 120, 26)


def small_round_chart(before: Mapping[str, Any], after: Mapping[str, Any], rounds: int = 1) -> Html:
    """Accuracy per type before (ring) and after (dot), weakest first; both map a type to something with `accuracy`.

    The dots have the colour of the evaluation after so many `rounds`. Types that are `too_few` in `before` get a question
    mark, with the reason in the caption. `type_pages.anchors.with_type_links` makes links of the rows.
    """
    shared = sorted(
        (kind for kind in before if kind in after), key=lambda kind: (before[kind].accuracy, kind)
    )
    kinds = shared[:MOST_ROWS]
    text = f"Accuracy in % of {_counted(len(shared))} before (ring) and after (dot); right: gain in points."
    if any(before[kind].too_few for kind in kinds):
        text += " ?: too few questions to tell."
    rows = [
        f"{kind[:_LONGEST_TITLE]}: {before[kind].accuracy:.1%} before, {after[kind].accuracy:.1%} after"
        for kind in kinds
    ]
    wide, narrow = (_drawn(kinds, before, after, rows, rounds, layout) for layout in (_WIDE, _NARROW))
    return Html(
        f'<figure class="small-chart" role="img" aria-label="{text}" aria-description="{escaped("; ".join(rows))}">'
        f'<div class="wide">{wide}</div><div class="narrow" style="display:none">{narrow}</div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _drawn(
    kinds: Sequence[str],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    rows: Sequence[str],
    rounds: int,
    layout: _Layout,
) -> str:
    # SVG by hand, because drawing with matplotlib after every step would slow a run down
    lines = [_axis(_TOP + _ROW * len(kinds), layout)]
    color = css_color(round_style(rounds)[0])
    for row, kind in enumerate(kinds):
        y = _TOP + _ROW * row + _ROW // 2
        start, end = (layout.name + layout.bar * scores[kind].accuracy for scores in (before, after))
        difference = after[kind].accuracy - before[kind].accuracy
        few = before[kind].too_few
        name = escaped(cut_to_width(plain_name(kind), layout.columns))
        # SVG places a text by its base line: 4 pixels lower, it is in the middle of the row
        gain = in_points(difference, 0) + (" ?" if few else "")
        look = "few" if few else "down" if gain.startswith("-") else "up"
        lines.append(
            f'<g class="row" pointer-events="all"><title>{escaped(rows[row])}</title>'
            f'<a {TYPE_ATTRIBUTE}="{type_anchor(kind)}">'
            f'<rect x="0" y="{y - _ROW // 2}" width="{layout.name + layout.bar + _GAIN}" height="{_ROW}" fill="none"/>'
            f'<text x="{layout.name - 8}" y="{y + 4}" text-anchor="end">{name}</text>'
            f'<line class="{look}" x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="before" cx="{start:.1f}" cy="{y}" r="4"/>'
            f'<circle style="fill: {color}" cx="{end:.1f}" cy="{y}" r="4.5"/>'
            f'<text class="{look}" x="{layout.name + layout.bar + 10}" y="{y + 4}">{gain}</text>'
            "</a></g>"
        )
    width, height = layout.name + layout.bar + _GAIN, _TOP + _ROW * len(kinds) + 20
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" aria-hidden="true">{"".join(lines)}</svg>'


def _counted(types: int) -> str:
    return (
        f"{types} question types"
        if types <= MOST_ROWS
        else f"the {MOST_ROWS} weakest of {types:,} question types"
    )


def _axis(bottom: int, layout: _Layout) -> str:
    marks = []
    for share in (0, 25, 50, 75, 100):
        x = layout.name + layout.bar * share / 100
        marks.append(
            f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 4}" y2="{bottom}"/>'
            f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{share}</text>'
        )
    return "".join(marks)
