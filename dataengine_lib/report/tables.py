"""Tables, numbers and sentences of the reports (all steps); all text in them is escaped."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dataengine_lib.core.significance.sign_flip import equals_p
from dataengine_lib.core.statistics import FEW_OF_TYPE, cannot_tell, in_points
from dataengine_lib.report.names import without_turning

# Classes of elements that MathJax leaves alone: of version 3 (JupyterLab) and version 2 (older notebooks). Source:
# MathJax's documentation, options ignoreHtmlClass and ignoreClass.
NO_MATHEMATICS = "mathjax_ignore tex2jax_ignore"
# Classes of everything that a notebook displays: those, and that to which the style sheet (`show_style`) applies.
DISPLAY = f"dataengine {NO_MATHEMATICS}"
TEMPLATES = Path(__file__).parent / "templates"  # of pages, with their styles and scripts
METADATA_KEY = "dataengine"  # of what a notebook's output says to programs, beside what it shows
STYLE_METADATA = {"style": True}  # of the output that is the style sheet
SORTABLE = "sortable"  # the class of tables that `templates/tables.js` makes sortable
ALL_TYPES = "all types"  # in a column of types, the row of all of them together
# heads of columns with question types, which are shown as chips
_TYPE_HEADS = {"question type", "question_type", "type", "known type", "teacher's type"}


@dataclass(frozen=True)
class Html:
    """A piece of a report that a notebook displays."""

    text: str = field(repr=False)  # a notebook keeps the repr beside the HTML

    def _repr_html_(self) -> str:
        return displayed(self.text)


class Bar(NamedTuple):
    """An interval to draw below a number: shares from 0 to 1 or, `signed`, differences on one scale in a column."""

    at: float
    low: float
    high: float
    signed: bool = False


@dataclass(frozen=True)
class Figure:
    """A number in a table, formatted, with its unit; it is aligned to the right, above the `bar` of its interval."""

    text: str
    bar: Bar | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Link:
    """A cell of a table that leads to another place of the report."""

    text: str
    href: str


def template_text(name: str) -> str:
    """The text of a file of `report/templates`."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class StyleSheet:
    """The style sheet and the script of everything that is displayed, as a notebook displays them.

    A page has its own. A notebook that JupyterLab does not trust, such as one from somebody else, has neither: its tables
    are plain and keep the order of the report.
    """

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        style, script = template_text("displays.css"), template_text("tables.js")
        return {"text/html": f"<style>{style}</style><script>{script}</script>"}, {
            METADATA_KEY: STYLE_METADATA
        }


def show_style() -> None:
    """Display the style sheet in a notebook, once, for all tables, charts and cards in it: light, dark and print.

    With it, a click on the head of a table's column sorts the table.
    """
    from IPython.display import display

    display(StyleSheet())  # type: ignore[no-untyped-call]


def displayed(text: str) -> str:
    """HTML as a notebook displays it: data such as `$5 … $10` is not typeset as mathematics."""
    return f'<div class="{DISPLAY}">{text}</div>'


def escaped(value: object) -> str:
    """`value` as text that is safe between tags and in attributes; it cannot turn the text around it."""
    return html.escape(without_turning(str(value)), quote=True)


def percent(share: float | None, low: float | None = None, high: float | None = None) -> Figure:
    """A share (0 to 1) as `62.0 %`, with its interval where given: `62.0 % [50.1, 72.3]`; None is a dash."""
    if share is None:
        return Figure("–")
    if low is None or high is None:
        return Figure(f"{100 * share:.1f} %")
    return Figure(f"{100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]", Bar(share, low, high))


def accuracy(score: Any) -> Figure:
    """An accuracy with its interval, and with the words that so few questions cannot tell where they cannot.

    `score` has `accuracy` (None is a dash), `low`, `high` and `total`.
    """
    shown = percent(score.accuracy, score.low, score.high)
    return few_marked(shown, score.total, 0 < score.total < FEW_OF_TYPE)


def few_marked(figure: Figure, questions: int, few: bool) -> Figure:
    """The figure; where its questions are `few`, with the words that so many cannot tell."""
    return Figure(f"{figure.text}, {cannot_tell(questions)}", figure.bar) if few else figure


def p_value(value: float | None) -> Figure:
    """A p-value in a cell: `0.0312`, `< 0.0001`; None is a dash."""
    return Figure("–" if value is None else equals_p(value).removeprefix("= "))


def points(gain: float, low: float, high: float) -> Figure:
    """A difference of two shares (-1 to 1) in points with its interval: `+8.3 [+2.1, +14.0]`."""
    bar = Bar(gain, low, high, signed=True)
    return Figure(f"{in_points(gain)} [{in_points(low)}, {in_points(high)}]", bar)


def share_table(shares: Mapping[str, Any], caption: str) -> Html:
    """Counts of answers with their shares; each has `count`, `share` (0 to 1, None is a dash), `low` and `high`."""
    rows = [
        (name, share.count, percent(share.share, share.low, share.high)) for name, share in shares.items()
    ]
    return table(rows, ["answers", "questions", "share, 95 % Wilson interval by images"], caption)


def table(rows: Sequence[Sequence[object]], head: Sequence[str], caption: str = "") -> Html:
    """An HTML table; columns of numbers are aligned to the right. Without rows only the caption is shown.

    Question types are chips, and numbers with an interval have its bar. A reader sorts it by a click on a column's head,
    where scripts run: on pages, and in notebooks after `show_style`.
    """
    if not rows:
        return Html(f'<p class="empty">{escaped(caption)}{"; " if caption else ""}nothing to list.</p>')
    # a column is aligned to the right when all its cells are numbers
    numeric = [all(_is_number(row[column]) for row in rows) for column in range(len(head))]
    sides = [' class="number"' if right else "" for right in numeric]
    top = "".join(
        f'<th scope="col"{side}>{escaped(name)}</th>' for name, side in zip(head, sides, strict=True)
    )
    ends = [_bar_end([row[column] for row in rows]) for column in range(len(head))]
    shown = [
        [
            _chip(value) if name in _TYPE_HEADS else _cell(value, end)
            for value, name, end in zip(row, head, ends, strict=True)
        ]
        for row in rows
    ]
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{cell}</td>" for cell, side in zip(row, sides, strict=True)) + "</tr>"
        for row in shown
    )
    title = f"<caption>{escaped(caption)}</caption>" if caption else ""
    look = f"figures {SORTABLE}" if len(rows) > 1 else "figures"
    # wide tables scroll: the keyboard must reach them too, and a screen reader name them
    place = (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escaped(caption or ", ".join(head))}">'
    )
    return Html(
        f'{place}<table class="{look}">{title}<thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float | Figure)


def _chip(value: object) -> str:
    """A question type as a chip; the row of all types, and what is no text, as any other cell."""
    if not isinstance(value, str) or value in ("", ALL_TYPES):
        return _cell(value)
    return f'<span class="kind">{escaped(value)}</span>'


def _bar_end(column: Sequence[object]) -> float:
    """The largest end of the signed intervals in a column, at least a point; their bars reach from minus that to it."""
    bars = [value.bar for value in column if isinstance(value, Figure) and value.bar is not None]
    return max([0.01, *(abs(end) for bar in bars if bar.signed for end in (bar.at, bar.low, bar.high))])


def _bar_svg(bar: Bar, end: float) -> str:
    """The interval as a line on its scale, with a tick at the number; its text says the same."""

    def place(value: float) -> str:
        share = (value / end + 1) / 2 if bar.signed else value
        return f"{100 * min(max(share, 0.0), 1.0):.1f}"

    zero = '<path class="zero" d="M50 0V8"/>' if bar.signed else ""
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><path d="M0 4H100"/>'
        f'{zero}<path class="range" d="M{place(bar.low)} 4H{place(bar.high)}"/>'
        f'<path class="at" d="M{place(bar.at)} 0V8"/></svg>'
    )


def _cell(value: object, bar_end: float = 1.0) -> str:
    if value is None:
        return "–"
    if isinstance(value, Html):
        return value.text
    if isinstance(value, Figure):
        return escaped(value.text) + (_bar_svg(value.bar, bar_end) if value.bar else "")
    if isinstance(value, Link):
        return f'<a href="{escaped(value.href)}">{escaped(value.text)}</a>'
    if isinstance(value, float):
        # 1234.567 is 1,235 and 0.0123456 is 0.01235
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else escaped(value)


@dataclass(frozen=True)
class Conclusion(Html):
    """A conclusion with the step's warnings and facts, which runs and pages read back from the executed notebook."""

    warnings: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        # metadata travels with the output in the notebook, and no page shows it
        own: dict[str, Any] = {"warnings": list(self.warnings)}
        if self.facts:
            own["facts"] = dict(self.facts)
        return {"text/html": displayed(self.text)}, {METADATA_KEY: own}


def conclusion(*sentences: str, warnings: Sequence[str] = (), data: str = "", cost: str = "") -> Conclusion:
    """The conclusion of a report, with the step's `warnings` below it; empty sentences are left out.

    `data` (what the step read, with counts) and `cost` are shown at the head of the page.
    """
    text = f'<p class="conclusion">{escaped(" ".join(filter(None, sentences)))}</p>'
    if warnings:
        # the sign and the word say it without colour; the words stand out without a style sheet, as in JupyterLab
        lines = "".join(f"<p><strong>⚠ Warning:</strong> {escaped(line)}</p>" for line in warnings)
        text += f'<div class="warnings" role="alert">{lines}</div>'
    facts = (("data", data), ("cost", cost))
    return Conclusion(text, tuple(warnings), tuple((name, value) for name, value in facts if value))
