"""HTML pages of executed notebooks (all steps): one file each, without code or CDN links, with images inside."""

import os
import re
import warnings
from collections.abc import Sequence
from functools import cache
from os.path import exists  # False for a name that is too long, where Path.exists raises
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.text import one_line
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.galleries.gallery_data import GALLERY_MIME
from dataengine_lib.report.galleries.page import PageGalleries, PageScript, gallery_css
from dataengine_lib.report.run_file import ShownRun, read_run
from dataengine_lib.report.tables import escaped

if TYPE_CHECKING:
    from jinja2 import Environment
    from nbconvert.exporters import HTMLExporter

_TEMPLATES = Path(__file__).parent / "templates"
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


def render_notebook(notebook: Path, page: Path, outputs: Sequence[Path] | None = None) -> Path:
    """Write `page` from the executed `notebook`: texts and displays, and the error of a cell that failed.

    When there is a `run.json` in the folder or the one above, the page links to the steps before and after, to the run
    and to all reports. `outputs` are the data files to link to, by default those that `run.json` names.
    Raises DataEngineError for a file that is no notebook, and where nbconvert is not whole.
    """
    run = _run_of(notebook)
    galleries = PageGalleries(_shown_folder(run))
    failed, body = _shown_notebook(notebook, page_exporter(), galleries)
    if outputs is None:
        outputs = _outputs_of(notebook, run)
    content = page_html(
        _title(notebook, run),
        failed + body,
        links=_links(notebook, run, failed=bool(failed)),
        notes=run[0].notes if run else [],
        files=[file_link(path, page.parent) for path in outputs if exists(path)],
        script=galleries.script(),
    )
    with replacing(page, "w") as stream:
        # a notebook may hold half of a surrogate pair, which no file can
        stream.write(content.encode("utf-8", "replace").decode("utf-8"))
    return page


def page_html(
    title: str,
    body: str,
    *,
    links: Sequence[dict[str, str]] = (),
    notes: Sequence[str] = (),
    files: Sequence[dict[str, str]] = (),
    script: PageScript | None = None,
    css: str = "",
) -> str:
    """A whole page around `body`, which is HTML and not escaped; everything else is.

    `links` (name, href) stand at the top; `files` (name, href, size) are those that the step wrote. `script` is the one
    that the page may run, `css` a style besides that of all pages.
    """
    from markupsafe import Markup

    css = template_text("page.css") + (gallery_css() if script else "") + css
    return render_template(
        "report.html.j2",
        title=title,
        body=Markup(body),
        links=links,
        notes=notes,
        files=files,
        css=Markup(css),
        policy=f"; {script.policy}" if script else "",
        script=Markup(script.elements if script else ""),
    )


def template_text(name: str) -> str:
    """The text of a file of `report/templates`."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def render_template(name: str, /, **values: Any) -> str:
    """The template `name` of `report/templates`, filled with `values`, which are escaped unless they are Markup."""
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def page_exporter() -> "HTMLExporter":
    """What turns a notebook's cells into HTML. Raises DataEngineError when nbconvert's templates are not found."""
    from nbconvert.exporters import HTMLExporter
    from traitlets.config import Config

    settings = Config()
    settings.HTMLExporter.exclude_input = True
    settings.HTMLExporter.exclude_input_prompt = True
    settings.HTMLExporter.exclude_output_prompt = True
    settings.HTMLExporter.exclude_anchor_links = True
    try:
        # The basic template is the cells alone: no page, no style sheet, no script from a CDN.
        return HTMLExporter(config=settings, template_name="basic")
    # they lie beside the packages, in share/jupyter: `pip install --target` puts them where nbconvert does not look
    except ValueError as error:
        raise DataEngineError(
            f"nbconvert cannot make pages ({one_line(str(error))}); install it in a virtual environment, or name the "
            "folder share/jupyter of its installation in JUPYTER_PATH"
        ) from error


def _shown_notebook(notebook: Path, exporter: "HTMLExporter", galleries: PageGalleries) -> tuple[str, str]:
    """As `_body_html`. Raises DataEngineError for a file that is no notebook."""
    import nbformat

    try:
        with warnings.catch_warnings():
            # of cells without an id or with one that is there twice, which nbformat corrects
            warnings.simplefilter("ignore")
            return _body_html(nbformat.read(str(notebook), as_version=4), exporter, galleries)
    # a damaged file makes nbformat and nbconvert stumble where they are: over a key, a type, a text
    except Exception as error:
        raise DataEngineError(
            f"{notebook}: is no notebook that can be read; run its step once more; it {looks_like(notebook)}"
        ) from error


def _body_html(book: Any, exporter: "HTMLExporter", galleries: PageGalleries) -> tuple[str, str]:
    """The error, if a cell failed, and the cells' texts and displays, without code, logs and progress bars."""
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
    body, _ = exporter.from_notebook_node(book)
    # shown as text; a tag begins with < and its name, so none can be made of parts
    return failed, _ACTIVE.sub("&lt;", str(body))


def _shown(output: Any, galleries: PageGalleries) -> Any | None:
    """The output, reduced to what a page can show; None for stderr (warnings, progress bars) and widgets."""
    if output.output_type == "error" or (output.output_type == "stream" and output.name == "stderr"):
        return None
    if output.output_type in ("display_data", "execute_result"):
        if _WIDGET in output.data:
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


def _run_of(notebook: Path) -> tuple[ShownRun, Path] | None:
    """The run that the notebook belongs to, and its folder; None without a run, and where its file is damaged."""
    # reports/demo/6_compare_rounds.ipynb or reports/demo/round1/1_evaluate.ipynb
    for folder in (notebook.absolute().parent, notebook.absolute().parent.parent):
        if (folder / "run.json").is_file():
            try:
                return read_run(folder), folder
            except DataEngineError:
                return None  # or of another program, in the folder above
    return None


def _shown_folder(found: tuple[ShownRun, Path] | None) -> str:
    """The run's folder in commands on a page, such as `reports/demo`; nothing above it, which is the machine's."""
    return "/".join(found[1].parts[-2:]) if found else ""


def _label(notebook: Path, folder: Path) -> str:
    return notebook.absolute().relative_to(folder).with_suffix("").as_posix()


def _title(notebook: Path, found: tuple[ShownRun, Path] | None) -> str:
    if found is None:
        return notebook.stem
    run, folder = found
    return f"{run.run or folder.name} · {plain_label(_label(notebook, folder))}"


def plain_label(label: str) -> str:
    """A step's label as people read it: `round1/1_evaluate` is `round 1 · 1 evaluate`."""
    return re.sub(r"\bround(\d)", r"round \1", label).replace("/", " · ").replace("_", " ")


def _links(notebook: Path, found: tuple[ShownRun, Path] | None, *, failed: bool) -> list[dict[str, str]]:
    """Links to the step before, the step after, the run and all runs; after a failed step there may be none."""
    if found is None:
        return []
    run, folder = found
    start = notebook.absolute().parent
    labels = [step.label for step in run.steps]
    here, links = _label(notebook, folder), []
    if here in labels:
        at = labels.index(here)
        if at > 0:
            page = folder / f"{labels[at - 1]}.html"
            links.append({"name": f"← {plain_label(labels[at - 1])}", "href": _href(page, start)})
        if at + 1 < len(labels):
            page = folder / f"{labels[at + 1]}.html"
            # the next page is not there yet, but will be, unless the run ends here
            if page.exists() or not failed:
                links.append({"name": f"{plain_label(labels[at + 1])} →", "href": _href(page, start)})
    # links are relative, so that the folder of reports can be moved or sent
    links.append({"name": "this run", "href": _href(folder / "index.html", start)})
    links.append({"name": "all reports", "href": _href(folder.parent / "index.html", start)})
    return links


def _outputs_of(notebook: Path, found: tuple[ShownRun, Path] | None) -> list[Path]:
    if found is None:
        return []
    run, folder = found
    here = _label(notebook, folder)
    return [folder / name for step in run.steps if step.label == here for name in step.outputs]


def file_link(path: Path, start: Path) -> dict[str, str]:
    """Name, link relative to the folder `start`, and size of a file or folder."""
    parts = [part for part in path.rglob("*") if part.is_file()] if path.is_dir() else [path]
    size = sum(part.stat().st_size for part in parts)
    text = f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
    return {"name": path.name + ("/" if path.is_dir() else ""), "href": _href(path, start), "size": text}


def _href(path: Path, start: Path) -> str:
    # links have slashes on Windows too
    return quote(os.path.relpath(path, start).replace(os.sep, "/"))
