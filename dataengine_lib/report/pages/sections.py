"""The sections of a page (all steps): the conclusion first, sections without content left out, a table of contents."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from dataengine_lib.report.names import cut_to_width
from dataengine_lib.report.tables import METADATA_KEY

_CONCLUSION = "Conclusion"
# all that `tables.table` and galleries display where there is nothing: `<div class="…"><p class="empty">none.</p></div>`
_EMPTY = re.compile(r'\s*(?:<div class="[^"<>]*">)?\s*<p class="empty">([^<>]*)</p>\s*(?:</div>)?\s*')
_HEADING = re.compile(r'<h2 id="([^"<>]+)">(.*?)</h2>', re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
# outside of tags: 1,234; +8.3 points; 62.0 %; 62.0 % [50.1, 72.3]; [50.1, 72.3]; p < 0.01; no digits of an entity such
# as &#x27;
_INTERVAL = r"\[[+-]?[\d.,]+, [+-]?[\d.,]+\]"
_NUMBER = re.compile(
    rf"(?:{_INTERVAL}|(?<![\w.,&#-])(?:p (?:&lt;|=) )?[+-]?\d(?:[\d.,]*\d)?(?: ?%| points?| US dollars)?"
    r"(?: \[[^\[\]<>]*\])?)(?![^<>]*>)"
)
_MOST_ENTRIES, _ENTRY_WIDTH = 60, 60  # of the table of contents


@dataclass
class Section:
    """The cells under one `## heading` of a notebook; those before the first have none."""

    heading: str
    cells: list[Any] = field(default_factory=list)

    @property
    def outputs(self) -> list[Any]:
        return [output for cell in self.cells if cell.cell_type == "code" for output in cell.outputs]

    @property
    def nothing(self) -> str | None:
        """Why there is nothing to show, where this is all that is shown; None for a section with content."""
        found = [_EMPTY.fullmatch(_html(output)) for output in self.outputs]
        reasons = [html.unescape(match[1]).removesuffix("; nothing to list.") for match in found if match]
        return "; ".join(reasons) if reasons and all(found) else None

    def was_reached(self) -> bool:
        """Whether its code has run: that below a cell that failed has not."""
        code = [cell for cell in self.cells if cell.cell_type == "code"]
        return not code or any(cell.outputs or cell.get("execution_count") for cell in code)


def _html(output: Any) -> str:
    return str(output.get("data", {}).get("text/html", ""))


@dataclass(frozen=True)
class PageCells:
    """A notebook's cells in the order of a page; `left_out` are sections without content, each with the reason."""

    title: list[Any]
    conclusion: list[Any]
    rest: list[Any]
    left_out: list[tuple[str, str]]
    facts: dict[str, str]


def page_cells(cells: Sequence[Any], *, failed: bool) -> PageCells:
    """The cells of a notebook, of which outputs are reduced to what a page shows, as a page has them.

    `facts` are those that the conclusion displays for programs, such as data and cost. After a cell that `failed`, the
    sections that were not reached are left out without a word.
    """
    sections = _sections(cells)
    # the title with its sentences, and what stands between it and the first heading
    lead = sections[0].cells
    titles = [place for place, cell in enumerate(lead) if _first_line(cell).startswith("# ")]
    split = titles[0] + 1 if titles else 0
    title, rest = lead[:split], lead[split:]
    conclusion: list[Any] = []
    left_out: list[tuple[str, str]] = []
    facts: dict[str, str] = {}
    for section in sections[1:]:
        if failed and not section.was_reached():
            continue
        if section.heading == _CONCLUSION and section.outputs:
            facts |= _facts(section.outputs)
            conclusion += [cell for cell in section.cells if cell.cell_type == "code"]
        elif (reason := section.nothing) is not None:
            left_out.append((section.heading, reason))
        else:
            rest += section.cells
    return PageCells(title, conclusion, rest, left_out, facts)


def _sections(cells: Sequence[Any]) -> list[Section]:
    sections = [Section("")]
    for cell in cells:
        first = _first_line(cell)
        if first.startswith("## "):
            sections.append(Section(first[3:].strip()))
        sections[-1].cells.append(cell)
    return sections


def _first_line(cell: Any) -> str:
    return str(cell.source).partition("\n")[0] if cell.cell_type == "markdown" else ""


def _facts(outputs: Sequence[Any]) -> dict[str, str]:
    """What `tables.conclusion` puts into its metadata, beside the warnings: texts by name."""
    found: dict[str, str] = {}
    for output in outputs:
        own = output.get("metadata", {}).get(METADATA_KEY, {})
        given = own.get("facts", {}) if isinstance(own, dict) else {}
        if isinstance(given, dict):
            found |= {str(name): str(value) for name, value in given.items() if value}
    return found


def with_places(body: str) -> str:
    """The HTML, in which every heading of a section has an id, to which the table of contents leads."""
    number = count(1)
    return re.sub("<h2>", lambda _: f'<h2 id="section-{next(number)}">', body)


def contents(body: str) -> list[dict[str, str]]:
    """Name and link of the headings in a page's body, which is HTML that may hold anything."""
    entries = []
    for place, text in _HEADING.findall(body)[:_MOST_ENTRIES]:
        name = html.unescape(_TAG.sub("", text)).strip()
        entries.append({"name": cut_to_width(name, _ENTRY_WIDTH), "href": f"#{html.unescape(place)}"})
    return entries


def unbroken(body: str) -> str:
    """The HTML with every number in one piece with its unit and its interval, so that no line ends within."""
    return _NUMBER.sub(lambda found: f'<span class="n">{found[0]}</span>', body)
