"""Tables, numbers and sentences of the reports (all steps); all text in them is escaped."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.core.significance.sign_flip import equals_p
from dataengine_lib.core.statistics import FEW_OF_TYPE, cannot_tell
from dataengine_lib.report.names import without_turning

# Classes of elements that MathJax leaves alone: of version 3 (JupyterLab) and version 2 (older notebooks). Source:
# MathJax's documentation, options ignoreHtmlClass and ignoreClass.
NO_MATHEMATICS = "mathjax_ignore tex2jax_ignore"
# Classes of everything that a notebook displays: those, and that to which the style sheet (`show_style`) applies.
DISPLAY = f"dataengine {NO_MATHEMATICS}"
TEMPLATES = Path(__file__).parent / "templates"  # of pages, with their styles and scripts
METADATA_KEY = "dataengine"  # of what a notebook's output says to programs, beside what it shows
STYLE_METADATA = {"style": True}  # of the output that is the style sheet


@dataclass(frozen=True)
class Html:
    """A piece of a report that a notebook displays."""

    text: str

    def _repr_html_(self) -> str:
        return displayed(self.text)


@dataclass(frozen=True)
class Figure:
    """A number in a table, formatted, with its unit; it is aligned to the right."""

    text: str


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
    """The style sheet of everything that is displayed, as a notebook displays it; a page has it in its head."""

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        return {"text/html": f"<style>{template_text('displays.css')}</style>"}, {
            METADATA_KEY: STYLE_METADATA
        }


def show_style() -> None:
    """Display the style sheet in a notebook, once, for all tables, charts and cards in it: light, dark and print."""
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
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return Figure(f"{100 * share:.1f} %{interval}")


def accuracy(score: Any) -> Figure:
    """An accuracy with its interval, and with the words that so few questions cannot tell where they cannot.

    `score` has `accuracy` (None is a dash), `low`, `high` and `total`.
    """
    shown = percent(score.accuracy, score.low, score.high)
    return few_marked(shown, score.total, 0 < score.total < FEW_OF_TYPE)


def few_marked(figure: Figure, questions: int, few: bool) -> Figure:
    """The figure; where its questions are `few`, with the words that so many cannot tell."""
    return Figure(f"{figure.text}, {cannot_tell(questions)}") if few else figure


def p_value(value: float | None) -> Figure:
    """A p-value in a cell: `0.0312`, `< 0.0001`; None is a dash."""
    return Figure("–" if value is None else equals_p(value).removeprefix("= "))


def points(gain: float, low: float, high: float) -> Figure:
    """A difference of two shares (-1 to 1) in points with its interval: `+8.3 [+2.1, +14.0]`."""
    return Figure(f"{100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")


def share_table(shares: Mapping[str, Any], caption: str) -> Html:
    """Counts of answers with their shares; each has `count`, `share` (0 to 1, None is a dash), `low` and `high`."""
    rows = [
        (name, share.count, percent(share.share, share.low, share.high)) for name, share in shares.items()
    ]
    return table(rows, ["answers", "questions", "share, 95 % Wilson interval by images"], caption)


def table(rows: Sequence[Sequence[object]], head: Sequence[str], caption: str = "") -> Html:
    """An HTML table; columns of numbers are aligned to the right. Without rows only the caption is shown."""
    if not rows:
        return Html(f'<p class="empty">{escaped(caption)}{"; " if caption else ""}nothing to list.</p>')
    # a column is aligned to the right when all its cells are numbers
    numeric = [all(_is_number(row[column]) for row in rows) for column in range(len(head))]
    sides = [' class="number"' if right else "" for right in numeric]
    top = "".join(
        f'<th scope="col"{side}>{escaped(name)}</th>' for name, side in zip(head, sides, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{side}>{_cell(value)}</td>" for value, side in zip(row, sides, strict=True))
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escaped(caption)}</caption>" if caption else ""
    # wide tables scroll: the keyboard must reach them too, and a screen reader name them
    place = (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escaped(caption or ", ".join(head))}">'
    )
    return Html(
        f'{place}<table class="figures">{title}<thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float | Figure)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, Figure):
        return escaped(value.text)
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
