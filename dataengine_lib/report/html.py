"""Turns an executed notebook into one HTML file that opens offline (all steps): no code, no CDN, images inside."""

import html
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dataengine_lib.data.files import read_json, replacing

TEMPLATES = Path(__file__).parent / "templates"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def render_notebook(notebook: Path, page: Path) -> Path:
    """Write `page` from the executed `notebook`: text and displays, or the traceback of the cell that failed.

    Where a `run.json` lies in the folder or the one above, the page links to the steps before and after, to all
    reports and to the data files that the step made.
    """
    import nbformat

    book: Any = nbformat.read(str(notebook), as_version=4)
    run = _run_of(notebook)
    name = notebook.stem
    title = f"{run['run']} · {_label(notebook, run)}" if run else name
    with replacing(page, "w") as stream:
        stream.write(page_html(title, body_html(book), links_of(notebook, run), run.get("notes", []) if run else [],
                               files_of(notebook, run)))  # fmt: skip
    return page


def page_html(title: str, body: str, links: list[dict[str, str]], notes: list[str], files: list[dict[str, str]]) -> str:
    """A whole page around `body`, which is trusted HTML; everything else is escaped."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        title=title, body=Markup(body), links=links, notes=notes, files=files, css=Markup(css)
    )


def body_html(book: Any) -> str:
    """Markdown and displays of the cells through nbconvert; inputs, logs and progress bars are left out."""
    from nbconvert.exporters import HTMLExporter
    from traitlets.config import Config

    failed = ""
    for cell in book.cells:
        outputs = []
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                failed = _failure(output)
            elif output.output_type != "stream" and not _is_failure_note(cell):
                outputs.append(output)
        if cell.cell_type == "code":
            cell.outputs = outputs
    book.cells = [cell for cell in book.cells if not _is_failure_note(cell)]
    settings = Config()
    settings.HTMLExporter.exclude_input = True
    settings.HTMLExporter.exclude_input_prompt = True
    settings.HTMLExporter.exclude_output_prompt = True
    settings.HTMLExporter.embed_images = True
    settings.HTMLExporter.mathjax_url = ""
    settings.HTMLExporter.require_js_url = ""
    settings.HTMLExporter.jquery_url = ""
    # The basic template is the cells alone: no page, no style sheet, no script from elsewhere.
    body, _ = HTMLExporter(config=settings, template_name="basic").from_notebook_node(book)
    return failed + str(body)


def _is_failure_note(cell: Any) -> bool:
    """papermill marks a failed notebook with cells of its own, which speak of cell numbers that no reader sees."""
    return "papermill-error-cell-tag" in cell.get("metadata", {}).get("tags", [])


def _failure(output: Any) -> str:
    trace = _ANSI.sub("", "\n".join(output.get("traceback", [])))
    said = html.escape(f"{output.get('ename', '')}: {output.get('evalue', '')}")
    return (
        f'<div class="failed"><h2>This step failed</h2><p>{said}</p>'
        f"<details><summary>traceback</summary><pre>{html.escape(trace)}</pre></details></div>"
    )


def _run_of(notebook: Path) -> dict[str, Any] | None:
    for folder in (notebook.parent, notebook.parent.parent):
        if (folder / "run.json").is_file():
            found: dict[str, Any] = read_json(folder / "run.json")
            return found | {"folder": folder}
    return None


def _label(notebook: Path, run: dict[str, Any]) -> str:
    return notebook.resolve().relative_to(run["folder"].resolve()).with_suffix("").as_posix()


def links_of(notebook: Path, run: dict[str, Any] | None) -> list[dict[str, str]]:
    """Links to the step before, the step after, this run and all runs, relative to the page."""
    if run is None:
        return []
    folder: Path = run["folder"]
    labels = [step["label"] for step in run.get("steps", [])]
    here = _label(notebook, run)
    links = []
    if here in labels:
        at = labels.index(here)
        for name, other in (("← previous", at - 1), ("next →", at + 1)):
            if 0 <= other < len(labels):
                links.append({"name": f"{name}: {labels[other]}", "href": _href(folder / f"{labels[other]}.html", notebook.parent)})
    links.append({"name": "this run", "href": _href(folder / "index.html", notebook.parent)})
    links.append({"name": "all reports", "href": _href(folder.parent / "index.html", notebook.parent)})
    return links


def files_of(notebook: Path, run: dict[str, Any] | None) -> list[dict[str, str]]:
    """The data files that the step made, by its manifest or else by `run.json`, with sizes."""
    manifest = notebook.with_suffix(".manifest.json")
    base, names = notebook.parent, []
    if run is not None:
        base = run["folder"]
        if manifest.is_file():
            names = [output["path"] for output in read_json(manifest).get("outputs", [])]
        else:
            here = _label(notebook, run)
            names = [name for step in run.get("steps", []) if step["label"] == here for name in step.get("outputs", [])]
    return [file_link(base / name, notebook.parent) for name in names if (base / name).exists()]


def file_link(path: Path, start: Path) -> dict[str, str]:
    """Name, relative link and size of a file or folder."""
    size = sum(part.stat().st_size for part in path.rglob("*") if part.is_file()) if path.is_dir() else path.stat().st_size
    said = f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
    return {"name": path.name + ("/" if path.is_dir() else ""), "href": _href(path, start), "size": said}


def _href(path: Path, start: Path) -> str:
    return quote(os.path.relpath(path, start).replace(os.sep, "/"))
