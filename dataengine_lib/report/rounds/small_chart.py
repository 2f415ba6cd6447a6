"""A small before-and-after chart for the index pages (all steps), drawn without matplotlib after every step."""

from collections.abc import Mapping
from typing import Any

from dataengine_lib.report.names import MOST_ROWS, cut_to_width, plain_name
from dataengine_lib.report.tables import Html, escaped

_LONGEST_TITLE = 500  # characters of the whole name, which is shown when the mouse is over a name
_NAME_COLUMNS = 32  # of a name, which fit into _NAME pixels
# pixels: width of names, bars and gains, height of a row, margin at the top
_NAME, _BAR, _GAIN, _ROW, _TOP = 210, 300, 48, 17, 22


def small_round_chart(before: Mapping[str, Any], after: Mapping[str, Any]) -> Html:
    """Accuracy per type before (ring) and after (dot), weakest first; both map a type to something with `accuracy`.

    Types that are `too_few` in `before` get a question mark, with the reason in the caption.
    """
    shared = sorted(
        (kind for kind in before if kind in after), key=lambda kind: (before[kind].accuracy, kind)
    )
    kinds = shared[:MOST_ROWS]
    # SVG by hand, because drawing with matplotlib after every step would slow a run down
    lines = [_axis(_TOP + _ROW * len(kinds))]
    for row, kind in enumerate(kinds):
        y = _TOP + _ROW * row + _ROW // 2
        start, end = (_NAME + _BAR * scores[kind].accuracy for scores in (before, after))
        points = 100 * (after[kind].accuracy - before[kind].accuracy)
        few = before[kind].too_few
        look = "few" if few else "up" if points >= 0 else "down"
        name = escaped(cut_to_width(plain_name(kind), _NAME_COLUMNS))
        whole = escaped(kind[:_LONGEST_TITLE])
        # SVG places a text by its base line: 4 pixels lower, it is in the middle of the row
        lines.append(
            f'<text x="{_NAME - 8}" y="{y + 4}" text-anchor="end">{name}<title>{whole}</title></text>'
            f'<line class="{look}" x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="before" cx="{start:.1f}" cy="{y}" r="4"/>'
            f'<circle class="{look}" cx="{end:.1f}" cy="{y}" r="4.5"/>'
            f'<text class="{look}" x="{_NAME + _BAR + 10}" y="{y + 4}">{points:+.0f}{" ?" if few else ""}</text>'
        )
    width, height = _NAME + _BAR + _GAIN, _TOP + _ROW * len(kinds) + 20
    text = f"Accuracy in % of {_counted(len(shared))} before (ring) and after (dot); right: gain in points."
    if any(before[kind].too_few for kind in kinds):
        text += " ?: too few questions to tell."
    return Html(
        f'<figure class="small-chart" role="img" aria-label="{text}">'
        f'<svg viewBox="0 0 {width} {height}" width="{width}" aria-hidden="true">{"".join(lines)}</svg>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _counted(types: int) -> str:
    return (
        f"{types} question types"
        if types <= MOST_ROWS
        else f"the {MOST_ROWS} weakest of {types:,} question types"
    )


def _axis(bottom: int) -> str:
    marks = []
    for share in (0, 25, 50, 75, 100):
        x = _NAME + _BAR * share / 100
        marks.append(
            f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 4}" y2="{bottom}"/>'
            f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{share}</text>'
        )
    return "".join(marks)
