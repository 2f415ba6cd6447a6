"""A report is one file that opens offline, without code, linked with its neighbours, and shows failures."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import nbformat
import pytest
from markupsafe import Markup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.html import page_exporter, render_notebook
from dataengine_lib.report.pages.head import step_head
from dataengine_lib.report.pages.notebook import ShownNotebook, without_iri_grammar
from dataengine_lib.report.tables import StyleSheet, conclusion, table

EVIL = '<script>alert("x")</script>'
OUTSIDE = re.compile(
    r"<(script|link|iframe)\b|\b(src|href)\s*=\s*[\"']?(https?:)?//|@import|url\(", re.IGNORECASE
)


def save(folder: Path, name: str, *cells, widgets=None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    book = new_notebook(cells=list(cells))
    if widgets:
        book.metadata["widgets"] = widgets
    nbformat.write(book, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def render(notebook: Path, **more) -> str:
    return render_notebook(notebook, notebook.with_suffix(".html"), **more).read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path):
    names = ["1_evaluate", "2_construct_queries", "3_generate_qa"]
    steps = [
        {"step": n, "label": f"round1/{n}", "round": 1, "status": "waiting", "outputs": []} for n in names
    ]
    steps[1]["outputs"] = ["round1/weight.json", "round1/checkpoint", "round1/never made.json"]
    folder = tmp_path / "reports" / "demo"
    write_json(
        folder / "run.json", {"run": "demo", "notes": [f"the teacher is a script {EVIL}"], "steps": steps}
    )
    write_json(folder / "round1" / "weight.json", {"a": 0.5})
    write_json(folder / "round1" / "checkpoint" / "config.json", {"a": "b" * 150_000})
    return folder


def test_a_report_shows_displays_and_no_code_or_logs(tmp_path):
    outputs = [
        new_output("display_data", {"text/html": "<b>a figure</b>", "text/plain": "<Chart>"}),
        new_output("stream", name="stderr", text="50%|##### | a warning"),
        new_output("stream", name="stdout", text=f"printed {EVIL}"),
        new_output("execute_result", {"text/plain": f"'value {EVIL}'"}),
        new_output("display_data", {"text/plain": "0%| bar", "application/vnd.jupyter.widget-view+json": {}}),
        new_output("display_data", {"application/javascript": "run()", "text/plain": "script object"}),
    ]
    code = new_code_cell("secret_code = 1", outputs=outputs)
    text = render(save(tmp_path, "n", new_markdown_cell("# Title\n\nA sentence."), code, widgets={"x": {}}))
    assert "<h1>Title</h1>" in text and "<b>a figure</b>" in text and "printed &lt;script&gt;" in text
    for hidden in (
        "secret_code",
        "50%|",
        "0%| bar",
        "run()",
        "¶",
        "<script",
        "&lt;Chart&gt;",
        "In [",
        "Out[",
    ):
        assert hidden not in text
    assert not OUTSIDE.search(text)


def test_a_report_links_steps_run_reports_and_files(run):
    text = render(save(run / "round1", "2_construct_queries", new_markdown_cell("# T")))
    for link in ("1_evaluate.html", "3_generate_qa.html", "../index.html", "../../index.html", "weight.json"):
        assert f'href="{link}"' in text
    assert "<title>demo · round 1 · 2 construct queries</title>" in text
    assert 'checkpoint/</a> <span class="size n">0.2 MB' in text and "never made" not in text
    assert "the teacher is a script &lt;script&gt;" in text and "<script" not in text


def test_files_can_be_given_and_need_no_run(tmp_path):
    made = write_json(tmp_path / "data made here.json", {})
    text = render(save(tmp_path, "n", new_markdown_cell("# T")), outputs=[made, tmp_path / "not made.json"])
    assert 'href="data%20made%20here.json"' in text and "not made" not in text and "<title>n</title>" in text


def test_a_failed_step_shows_its_traceback_and_what_came_before(run):
    shown = new_code_cell("1", outputs=[new_output("display_data", {"text/html": "<i>made before</i>"})])
    trace = ["\x1b[31mTraceback\x1b[0m", f"file {EVIL}"]
    broken = new_code_cell(
        "x", outputs=[new_output("error", ename="DataEngineError", evalue=f"weights {EVIL}", traceback=trace)]
    )
    note = new_markdown_cell("An Exception at In [4]", metadata={"tags": ["papermill-error-cell-tag"]})
    text = render(save(run / "round1", "2_construct_queries", note, shown, broken))
    assert "This step failed" in text and "DataEngineError: weights &lt;script&gt;" in text
    assert "Traceback" in text and "<i>made before</i>" in text
    for hidden in ("<script", "\x1b", "In [4]", "3_generate_qa.html"):
        assert hidden not in text


def test_rendering_leaves_the_notebook_alone_and_is_the_same_twice(run):
    notebook = save(
        run / "round1", "1_evaluate", new_code_cell("1", outputs=[new_output("stream", text="a")])
    )
    before = notebook.read_bytes()
    assert render(notebook) == render(notebook)
    assert notebook.read_bytes() == before


def test_papermill_s_failed_notebook_renders(tmp_path, forked_kernels):
    """The real thing: the half-run notebook that papermill leaves."""
    import papermill

    good = new_code_cell("from dataengine_lib.report.tables import conclusion\nconclusion('done before')")
    bad = new_code_cell(
        "from dataengine_lib.errors import DataEngineError\nraise DataEngineError('row 3: bad')"
    )
    source = save(tmp_path, "source", good, bad)
    executed = tmp_path / "executed.ipynb"
    with pytest.raises(papermill.PapermillExecutionError):
        papermill.execute_notebook(str(source), str(executed), kernel_name="python3", progress_bar=False)
    text = render(executed)
    assert "DataEngineError: row 3: bad" in text and '<p class="conclusion">done before</p>' in text
    assert "An Exception was encountered" not in text and "Execution using papermill" not in text


def shown(html, **metadata):
    data = {"text/html": html, "text/plain": "an object"}
    return new_code_cell(
        "1", outputs=[new_output("display_data", data, metadata=metadata)], execution_count=1
    )


def test_a_page_has_its_facts_and_conclusion_first_and_no_empty_section(run):
    result, metadata = conclusion("It is weak.", data=f"7 questions {EVIL}", cost="0.10")._repr_mimebundle_()
    style, own = StyleSheet()._repr_mimebundle_()
    cells = [
        new_markdown_cell("# Title\n\nA sentence."),
        shown(style["text/html"], **own),
        new_markdown_cell("## Accuracy\n\nBy type."),
        shown("<b>a chart</b>"),
        new_markdown_cell("## Rows left out\n\nAlways counted."),
        shown(table([], ["a"], "0 of 7 rows")._repr_html_()),
        new_markdown_cell("## Splits"),
        shown(table([[1]], ["a"], "by split")._repr_html_()),
        new_markdown_cell("## Conclusion"),
        shown(result["text/html"], **metadata),
    ]
    state = read_json(run / "run.json")
    state |= {"rounds": 2, "teacher": f"openai:m {EVIL}", "versions": {"torch": "2.13"}}
    write_json(run / "run.json", state | {"command": "dataengine run params/demo.yaml"})
    notebook = save(run / "round1", "1_evaluate", *cells)
    book = nbformat.read(notebook, as_version=4)
    given = {"student": f"a model {EVIL}", "batch_size": 64, "executed_by_run": {"start": "/home/me"}}
    given["servers"] = [{"base_url": "https://anna:pass%20word@host/v1"}]
    book.metadata["papermill"] = {
        "parameters": given, "start_time": "2026-05-01T10:00:59.1+00:00", "duration": 75.2,
    }  # fmt: skip
    nbformat.write(book, notebook)
    text = render(notebook)
    order = ["<h1", "A sentence.", "<dl", "It is weak.", "a chart", "by split", "0 of 7 rows"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "Always counted" not in text and "Rows left out: <span" in text and ">Conclusion<" not in text
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert facts["student"].startswith("a model &lt;script&gt;") and facts["teacher"].startswith(
        "openai:m &lt;"
    )
    assert facts["data"].startswith("7 questions &lt;script&gt;") and facts["cost"] == "0.10"
    assert (facts["round"], facts["date"], facts["duration"]) == (
        "1 of 2",
        "2026-05-01 10:00 UTC",
        "1 min 15 s",
    )
    step = "dataengine run params/demo.yaml --from round1/1_evaluate --to round1/1_evaluate"
    assert f">{step}</code>" in facts["made by"]
    assert "<tr><td>batch_size</td><td>64</td></tr>" in text and "torch 2.13" in text
    assert "<script" not in text and "/home/me" not in text
    assert "***:***@host/v1" in text and "anna" not in text and "pass" not in text
    places = re.findall(r'<li><a href="#([^"]+)">([^<]+)</a></li>', text)
    assert [name for _, name in places] == ["Accuracy", "Splits", "Nothing to show"]
    assert all(text.count(f'id="{place}"') == 1 for place, _ in places)
    assert text.count("--paper: light-dark(") == 1, (
        "the style sheet that the notebook displays is not in it twice"
    )


def test_the_command_of_a_lone_notebook_shows_no_password_of_a_url():
    """papermill keeps the parameters as they were given, passwords in URLs too."""
    given = {"base_url": "https://anna:s3cret-word@host/v1", "maxnum": 3}
    made = {"input_path": "3_generate_qa.ipynb", "output_path": "out.ipynb", "parameters": given}
    shown = ShownNotebook(Markup(), Markup(), Markup(), Markup(), [], {}, {"papermill": made}, given, "")
    head = step_head(shown, None, "")
    masked = "https://***:***@host/v1"
    assert shlex.split(head.command)[3:] == ["-p", "base_url", masked, "-p", "maxnum", "3"]
    assert head.parameters == [("base_url", masked), ("maxnum", "3")]


def test_after_a_failed_step_what_was_not_reached_is_left_out(run):
    broken = new_code_cell("x", outputs=[new_output("error", ename="E", evalue="bad")], execution_count=2)
    later = [
        new_markdown_cell("## Later"),
        new_code_cell("y"),
        new_markdown_cell("## Conclusion"),
        new_code_cell("z"),
    ]
    cells = [
        new_markdown_cell("# T"),
        new_markdown_cell("## Before"),
        shown("<i>made before</i>"),
        broken,
        *later,
    ]
    text = render(save(run / "round1", "1_evaluate", *cells))
    assert (
        "Before</h2>" in text and "made before" in text and "Later" not in text and "Conclusion" not in text
    )


def test_nbformat_is_imported_without_a_grammar_that_takes_longer_than_all_else(monkeypatch):
    """conftest.py has imported it, within the block as well."""
    assert "jsonschema" in sys.modules and "rfc3987_syntax" not in sys.modules
    monkeypatch.delitem(sys.modules, "jsonschema")
    with without_iri_grammar(), pytest.raises(ImportError, match="rfc3987_syntax"):
        importlib.import_module("rfc3987_syntax")
    assert "rfc3987_syntax" not in sys.modules


def test_missing_templates_are_no_fault_of_the_notebook(tmp_path, monkeypatch):
    """nbconvert's lie beside the packages, where an installation with `pip install --target` leaves none."""
    from nbconvert.exporters import HTMLExporter

    def without(*given, **named):
        raise ValueError(
            "No template sub-directory with name 'basic' found in the following paths:\n\t/a\n\t/b"
        )

    monkeypatch.setattr(HTMLExporter, "__init__", without)
    page_exporter.cache_clear()
    with pytest.raises(
        DataEngineError, match=r"^nbconvert cannot make pages \(No template .*/a /b\); .*JUPYTER_PATH"
    ):
        render_notebook(tmp_path / "any.ipynb", tmp_path / "any.html")
