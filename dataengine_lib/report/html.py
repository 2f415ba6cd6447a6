"""HTML pages of executed notebooks (all steps): one file each, without code or CDN links, with images inside."""

import os
import re
from collections.abc import Sequence
from functools import cache
from os.path import exists  # False for a name that is too long, where Path.exists raises
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from dataengine_lib.core.text import one_line
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.galleries.page import PageGalleries, PageScript, gallery_css
from dataengine_lib.report.pages.head import step_head
from dataengine_lib.report.pages.notebook import shown_notebook, without_iri_grammar
from dataengine_lib.report.pages.sections import contents, unbroken
from dataengine_lib.report.run_file import ShownRun, read_run
from dataengine_lib.report.tables import SORTABLE, TEMPLATES, template_text
from dataengine_lib.report.type_pages.anchors import TYPE_PAGE, with_type_links

if TYPE_CHECKING:
    from jinja2 import Environment
    from nbconvert.exporters import HTMLExporter

_LEAST_CONTENTS = 3  # headings of a page that are worth a table of contents
_SORTED_TABLE = f'<table class="figures {SORTABLE}">'


def render_notebook(notebook: Path, page: Path, outputs: Sequence[Path] | None = None) -> Path:
    """Write `page` from the executed `notebook`: texts and displays, and the error of a cell that failed.

    When there is a `run.json` in the folder or the one above, the page links to the steps before and after, to the run
    and to all reports. `outputs` are the data files to link to, by default those that `run.json` names.
    Raises DataEngineError for a file that is no notebook, and where nbconvert is not whole.
    """
    return render_with_notes(notebook, page, outputs).page


class RenderedPage(NamedTuple):
    """A page that was written, and what it says of results that are missing."""

    page: Path
    notes: list[str]


def render_with_notes(
    notebook: Path, page: Path, outputs: Sequence[Path] | None = None, notes: Sequence[str] = ()
) -> RenderedPage:
    """As `render_notebook`; `notes` stand at the top of the page, with those on cells that have not run."""
    run = _run_of(notebook)
    galleries = PageGalleries(_shown_folder(run))
    shown = shown_notebook(notebook, page_exporter(), galleries)
    head = step_head(shown, run[0] if run else None, _label(notebook, run[1]) if run else "")
    missing = [*([shown.not_run] if shown.not_run else []), *notes]
    body = render_template("step.html.j2", shown=shown, head=head)
    if run:
        body = with_type_links(body, _href(run[1] / TYPE_PAGE, notebook.absolute().parent))
    if outputs is None:
        outputs = _outputs_of(notebook, run)
    content = page_html(
        _title(notebook, run),
        body,
        links=_links(notebook, run, failed=bool(shown.failed)),
        notes=[*missing, *(run[0].notes if run else [])],
        files=[file_link(path, page.parent) for path in outputs if exists(path)],
        script=galleries.script(),
    )
    with replacing(page, "w") as stream:
        # a notebook may hold half of a surrogate pair, which no file can
        stream.write(content.encode("utf-8", "replace").decode("utf-8"))
    return RenderedPage(page, missing)


def belongs_to_run(notebook: Path) -> bool:
    """Whether the notebook is that of a step of a run."""
    return _run_of(notebook) is not None


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

    `links` (name, href) stand at the top; `files` (name, href, size) are those that the step wrote. `script` is what the
    page may run besides the one that sorts tables, `css` a style besides that of all pages.
    """
    from markupsafe import Markup

    css = template_text("displays.css") + template_text("page.css") + (gallery_css() if script else "") + css
    sorting = PageScript.of(template_text("tables.js")) if _SORTED_TABLE in body else None
    scripts = [one for one in (script, sorting) if one is not None]
    places = contents(body)
    if files:
        places.append({"name": "Files of this step", "href": "#files"})
    return render_template(
        "report.html.j2",
        title=title,
        body=Markup(body),
        links=links,
        notes=notes,
        files=files,
        contents=places if len(places) >= _LEAST_CONTENTS else [],
        css=Markup(css),
        policy=Markup(f"; script-src {' '.join(one.source for one in scripts)}" if scripts else ""),
        script=Markup("\n".join(one.elements for one in scripts)),
    )


def render_template(name: str, /, **values: Any) -> str:
    """The template `name` of `report/templates`, filled with `values`, which are escaped unless they are Markup."""
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["unbroken"] = lambda text: Markup(unbroken(str(escape(text))))
    return made


@cache
def page_exporter() -> "HTMLExporter":
    """What turns a notebook's cells into HTML. Raises DataEngineError when nbconvert's templates are not found."""
    with without_iri_grammar():
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


def _run_of(notebook: Path) -> tuple[ShownRun, Path] | None:
    """The run that the notebook is a step of, and its folder; None without one, and where its file is damaged."""
    # reports/demo/6_compare_rounds.ipynb or reports/demo/round1/1_evaluate.ipynb
    for folder in (notebook.absolute().parent, notebook.absolute().parent.parent):
        if (folder / "run.json").is_file():
            try:
                run = read_run(folder)
            except DataEngineError:
                return None  # or of another program, in the folder above
            # a notebook beside it that papermill ran alone is no step of it
            label = _label(notebook, folder)
            of_run = not run.steps or any(step.label == label for step in run.steps)
            return (run, folder) if of_run else None
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
    # it is written at the end of the run
    if any(step.step == "1_evaluate" for step in run.steps) and not failed:
        links.append({"name": "question types", "href": _href(folder / TYPE_PAGE, start)})
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
