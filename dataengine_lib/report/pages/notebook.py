"""An executed notebook as the parts of a page (all steps): texts and displays, without code, logs and progress bars."""

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.galleries.gallery_data import GALLERY_MIME
from dataengine_lib.report.galleries.page import PageGalleries
from dataengine_lib.report.pages.own_parameters import own_parameters, papermill_source
from dataengine_lib.report.pages.sections import page_cells, unbroken, with_places
from dataengine_lib.report.tables import METADATA_KEY, STYLE_METADATA, escaped

if TYPE_CHECKING:
    from markupsafe import Markup
    from nbconvert.exporters import HTMLExporter

_Read = TypeVar("_Read")

# MIME types that a report shows. Widgets (progress bars) and scripts need a running kernel.
_SHOWN = {"text/html", "text/plain", "text/markdown", "image/png", "image/jpeg", "image/svg+xml"}
_WIDGET = "application/vnd.jupyter.widget-view+json"
# Elements that run, load or send something, or lead away by themselves: <script, <meta http-equiv=refresh>, </form>.
# The page's Content-Security-Policy stops most of them; no policy stops a refresh.
_ACTIVE = re.compile(
    r"<(?=/?(?:script|meta|base|link|iframe|frame|frameset|object|embed|applet|form|portal|template)\b)",
    re.IGNORECASE,
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # matches terminal colours in tracebacks: "\x1b[0;31m"


@contextmanager
def without_iri_grammar() -> Iterator[None]:
    """Import nbformat, nbconvert and papermill within this block: it makes that three times as fast.

    They import jsonschema, which compiles a grammar of IRIs for 1.5 s where rfc3987_syntax is installed, and does
    without where it is not. The schema of notebooks has no IRI.
    """
    optional = "rfc3987_syntax"
    if optional in sys.modules or "jsonschema" in sys.modules:
        yield
        return
    sys.modules[optional] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        yield
    finally:
        sys.modules.pop(optional, None)  # another thread may have done so


@dataclass(frozen=True)
class ShownNotebook:
    """The parts of a step's page as HTML, all of it harmless, and what the notebook says beside them."""

    failed: "Markup"
    title: "Markup"
    conclusion: "Markup"
    rest: "Markup"
    left_out: list[tuple[str, str]]
    facts: dict[str, str]
    metadata: dict[str, Any]
    parameters: dict[str, Any]
    not_run: str


def shown_notebook(notebook: Path, exporter: "HTMLExporter", galleries: PageGalleries) -> ShownNotebook:
    """As `_shown_parts`. Raises DataEngineError for a file that is no notebook."""
    return _of_book(notebook, lambda book: _shown_parts(book, exporter, galleries))


def made_from(notebook: Path) -> tuple[str, dict[str, Any]]:
    """The path of the notebook that papermill executed, empty where another program did, and the parameters.

    Raises DataEngineError for a file that is no notebook.
    """
    return _of_book(notebook, lambda book: (papermill_source(book.metadata), own_parameters(book)))


def _of_book(notebook: Path, read: Callable[[Any], _Read]) -> _Read:
    with without_iri_grammar():
        import nbformat

    try:
        with warnings.catch_warnings():
            # of cells without an id or with one that is there twice, which nbformat corrects
            warnings.simplefilter("ignore")
            return read(nbformat.read(str(notebook), as_version=4))
    # a damaged file makes nbformat and nbconvert stumble where they are: over a key, a type, a text
    except Exception as error:
        raise DataEngineError(
            f"{notebook}: is no notebook that can be read; run its step once more; it {looks_like(notebook)}"
        ) from error


def _shown_parts(book: Any, exporter: "HTMLExporter", galleries: PageGalleries) -> ShownNotebook:
    """The error, if a cell failed, and the cells' texts and displays, without code, logs and progress bars."""
    from markupsafe import Markup

    failed = ""
    # papermill adds cells to a failed notebook, which name cell numbers that the page does not show
    book.cells = [
        cell for cell in book.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]
    for cell in book.cells:
        if cell.cell_type != "code":
            continue
        failed += "".join(_failure(output) for output in cell.outputs if output.output_type == "error")
        cell.outputs = [shown for output in cell.outputs if (shown := _shown(output, galleries)) is not None]
    # the state of widgets, which the page does not show
    book.metadata.pop("widgets", None)
    parameters, not_run = own_parameters(book), "" if failed else _not_run(book.cells)
    cells = page_cells(book.cells, failed=bool(failed))
    parts = []
    for part in (cells.title, cells.conclusion, cells.rest):
        book.cells = part
        made, _ = exporter.from_notebook_node(book)
        # shown as text; a tag begins with < and its name, so none can be made of parts
        parts.append(Markup(_ACTIVE.sub("&lt;", str(made))))
    metadata = book.metadata if isinstance(book.metadata, dict) else {}
    title, conclusion, rest = parts
    return ShownNotebook(
        Markup(failed),
        title,
        Markup(unbroken(conclusion)),
        Markup(with_places(rest)),
        cells.left_out,
        cells.facts,
        metadata,
        parameters,
        not_run,
    )


def _not_run(cells: list[Any]) -> str:
    """A sentence on cells without results, as in a notebook that was stopped or never run; empty where all have run."""
    code = [cell for cell in cells if cell.cell_type == "code" and str(cell.source).strip()]
    left = [cell for cell in code if not (cell.outputs or cell.get("execution_count"))]
    if not left:
        return ""
    if len(left) == len(code):
        return "This notebook has not been run: its results are missing. papermill runs it: papermill NOTEBOOK OUTPUT"
    return f"{len(left)} of the notebook's {len(code)} cells have not been run: their results are missing."


def _shown(output: Any, galleries: PageGalleries) -> Any | None:
    """The output, reduced to what a page can show; None for stderr (warnings, progress bars) and widgets."""
    if output.output_type == "error" or (output.output_type == "stream" and output.name == "stderr"):
        return None
    if output.output_type in ("display_data", "execute_result"):
        # a page has the style sheet in its head
        if _WIDGET in output.data or output.metadata.get(METADATA_KEY) == STYLE_METADATA:
            return None
        whole = output.data.get(GALLERY_MIME)
        if isinstance(whole, str) and (gallery := galleries.add(whole)) is not None:
            output.data = {"text/html": gallery}
        output.data = {kind: value for kind, value in output.data.items() if kind in _SHOWN}
    return output


def _failure(output: Any) -> str:
    trace = _ANSI.sub("", "\n".join(output.get("traceback", [])))
    message = _ANSI.sub("", f"{output.get('ename', '')}: {output.get('evalue', '')}")
    return (
        f'<div class="failed"><h2>✗ This step failed</h2><p>{escaped(message)}</p>'
        f"<p>What it showed before the error follows below.</p>"
        f"<details><summary>traceback</summary><pre>{escaped(trace)}</pre></details></div>"
    )
