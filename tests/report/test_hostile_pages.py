"""In a real browser: nothing in a hostile notebook runs, loads or leads away, and long names do not widen a page."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dataengine_lib.report.charts import count_chart, score_chart
from dataengine_lib.report.gallery import cards, options, qa_gallery
from dataengine_lib.report.html import render_notebook
from dataengine_lib.report.index import write_index, write_run_index
from dataengine_lib.report.tables import conclusion, table

RUN = "window.ran=(window.ran||0)+1"
AWAY = "http://127.0.0.1:PORT/away"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HOSTILE = [
    f"<script>{RUN}</script>",
    f"<ScRiPt src='{AWAY}/a.js'></sCrIpT>",
    f"<img src=x onerror='{RUN}'>",
    f"<img src='{AWAY}/a.png' srcset='{AWAY}/b.png 2x'>",
    f"<svg onload='{RUN}'><script>{RUN}</script><image href='{AWAY}/c.png'/></svg>",
    f"<svg><foreignObject><iframe srcdoc='<script>parent.{RUN}</script>'></iframe></foreignObject></svg>",
    f"<svg><animate onbegin='{RUN}' attributeName=x dur=1s></svg>",
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f"<iframe src='javascript:parent.{RUN}'></iframe>",
    f"<iframe src='{AWAY}'></iframe>",
    f"<object data='{AWAY}/o'></object><embed src='{AWAY}/e'>",
    f"<details open ontoggle='{RUN}'><summary>s</summary></details>",
    f"<input autofocus onfocus='{RUN}'>",
    f"<video src='{AWAY}/v' autoplay onerror='{RUN}'></video><audio src='{AWAY}/w' autoplay></audio>",
    f"<meta http-equiv=refresh content='0;url={AWAY}/refresh'>",
    f"<META/http-equiv='refresh'/content='0;url=javascript:{RUN}'>",
    f"<base href='{AWAY}/'>",
    f"<link rel=stylesheet href='{AWAY}/s.css'><link rel=prefetch href='{AWAY}/p'>",
    f"<style>@import '{AWAY}/i.css'; p {{ background: url({AWAY}/u.png) }}"
    f"@font-face {{ font-family: f; src: url({AWAY}/f) }} h1 {{ font-family: f }}</style>",
    f"<p style='background:url({AWAY}/y.png)'>styled</p>",
    f"<a id=lead href='javascript:{RUN}'>lead</a>",
    f"<form action='{AWAY}/form'><button id=send formaction='javascript:{RUN}'>send</button></form>",
    f"<math><maction actiontype=statusline xlink:href='javascript:{RUN}'>m</maction></math>",
    f"<div onpointerover='{RUN}' style='position:fixed;inset:0'></div>",
]
OTHER_TYPES = {
    "image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg' onload='{RUN}'><script>{RUN}</script></svg>",
    "application/javascript": RUN,
    "text/latex": f"$\\href{{javascript:{RUN}}}{{x}}$<script>{RUN}</script>",
    "text/markdown": f"[x](javascript:{RUN}) <img src=x onerror='{RUN}'> <script>{RUN}</script>",
    "application/vnd.vega.v5+json": {"signals": [{"init": RUN}]},
    "application/vnd.jupyter.widget-state+json": {"state": {"a": {"value": f"<script>{RUN}</script>"}}},
    "image/png": f'{PIXEL}"><script>{RUN}</script>',
}


def save(file: Path, *cells, metadata=None) -> Path:
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata or {}), file)
    return file


def display(data) -> nbformat.NotebookNode:
    return new_code_cell("1", outputs=[new_output("display_data", data)])


@pytest.fixture
def away():
    """A server that everything hostile points at; the paths that it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_POST = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield asked, lambda text: text.replace("PORT", str(server.server_port))
        server.shutdown()


def stays(page, file: Path, asked: list[str]) -> None:
    """Open the page, use its links and forms, and wait: nothing runs, and the page stays."""
    page.goto(file.as_uri())
    for name in ("lead", "send"):
        page.evaluate(f"for (const one of document.querySelectorAll('#{name}')) one.click()")
    page.mouse.move(300, 300)
    page.wait_for_timeout(500)  # a refresh after 0 seconds takes place after the page was loaded
    assert page.evaluate("window.ran") is None
    assert page.url == file.as_uri() and len(page.frames) == 1 and asked == []


@pytest.mark.browser
def test_nothing_in_a_hostile_notebook_runs_loads_or_leads_away(tmp_path, page, away):
    asked, at = away
    cells = [display({"text/html": at(html)}) for html in HOSTILE]
    cells += [new_markdown_cell(at(f"a {html}\n\n{html}")) for html in HOSTILE]
    cells += [display({kind: data}) for kind, data in OTHER_TYPES.items()]
    widgets = {"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"a": HOSTILE[0]}}}}
    file = render_notebook(save(tmp_path / "n.ipynb", *cells, metadata=widgets), tmp_path / "n.html")
    stays(page, file, asked)
    # what follows the hostile parts is still shown
    assert page.locator("text=styled").count() == 3
    for start in ("<textarea>", "<!--", "<title>", "<noscript>", "<svg><style>", "<xmp>", "<plaintext>"):
        html = (
            f"{start}<p title=\"--></textarea></title></noscript></style></svg></xmp><img src=x onerror='{RUN}'>\">"
            f"<meta http-equiv=refresh content='0;url={AWAY}'>"
        )
        cell = display({"text/html": at(html)})
        stays(page, render_notebook(save(tmp_path / "n.ipynb", cell), file), asked)


def score(total=40):
    return SimpleNamespace(accuracy=0.5, low=0.4, high=0.6, total=total)


# What scrolls and neither takes the keyboard's focus nor holds anything that does.
UNREACHABLE = """[...document.querySelectorAll("body *")].filter(one => {
  const look = getComputedStyle(one), scrolls = /auto|scroll/;
  const wide = scrolls.test(look.overflowX) && one.scrollWidth > one.clientWidth;
  const high = scrolls.test(look.overflowY) && one.scrollHeight > one.clientHeight;
  return (wide || high) && one.tabIndex < 0 && !one.querySelector("a[href], button, [tabindex='0']");
}).map(one => one.outerHTML.slice(0, 90))"""


LONG = [
    "x" * 5000,
    "語" * 3000,
    "W_" * 2000,
    "a" + "\u0301\u0327" * 2000 + "b",
    "\u202e\u2066" * 500 + "abc",
    "مرحبا" * 800,
    "𝔘𝔫𝔦" * 900,
    "& < > \" ' $x^2$ " * 300,
    " ".join("word" * 3 for _ in range(500)),
]  # fmt: skip


def long_run(folder: Path, name: str) -> Path:
    """The index page of a run whose every text is `name`."""
    folder.mkdir(parents=True)
    label = f"round1/{name[:60]}"
    steps = [
        {
            "step": "1_evaluate",
            "label": label,
            "status": "failed",
            "error": name,
            "warnings": [name],
            "outputs": [],
        }
    ]
    run = {
        "run": name,
        "status": "failed",
        "error": name,
        "notes": [name],
        "steps": steps,
        "versions": {name: name},
        "student": name,
        "teacher": name,
        "command": name,
        "started": name,
    }
    (folder / "run.json").write_text(json.dumps(run))
    return write_run_index(folder)


@pytest.mark.browser
def test_long_names_do_not_widen_a_page(tmp_path, page):
    records = [
        SimpleNamespace(image_path="", image_id=1, question_type=name, question=name, choices=[name, name],
                        correct_choice_idx=0, rationales=[name], raw_instructions=name)
        for name in LONG
    ]  # fmt: skip
    shown = [
        score_chart({name: score() for name in LONG}, "Accuracy"),
        count_chart(dict.fromkeys(LONG, 3), "Counts", "rows"),
        qa_gallery(records, None),
        *(cards([options([name], {0: f"✓ {name}"})]) for name in LONG),
        *(table([[name, 1, name], ["b", 2, "c"]], ["type", "number", name], name) for name in LONG),
    ]
    cells = [display({"text/html": one._repr_html_()}) for one in shown]
    cells += [display(conclusion(name, warnings=[name])._repr_mimebundle_()[0]) for name in LONG]
    for name in LONG:
        cells.append(new_code_cell("1", outputs=[new_output("stream", text=name)]))
        failure = new_output("error", ename="E", evalue=name, traceback=[name])
        cells.append(new_code_cell("1", outputs=[failure]))
    file = render_notebook(save(tmp_path / "n.ipynb", *cells), tmp_path / "n.html")
    reports = tmp_path / "reports"
    pages = [file, *(long_run(reports / str(number), name) for number, name in enumerate(LONG))]
    errors = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    for one in [*pages, write_index(reports)]:
        page.goto(one.as_uri())
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (one, width)
            assert page.evaluate(UNREACHABLE) == [], (one, width)
    assert errors == []
