"""`dataengine report` of a notebook that papermill ran alone: its page, with what is known and what is missing."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from typer.testing import CliRunner

from dataengine_lib.cli import app
from dataengine_lib.core.files import write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.runs.pages.lone_notebook import render_lone_notebook

EVIL = "<script>alert(1)</script>"
DEFAULTS = """student: str = "tiny-llava"  # the model
output_dir: str = "reports/explore"  # what is written
batch_size: int = -1
device = print("no literal")
"""


def save(
    file: Path, *, given: dict | None = None, source: str = "notebooks/1_evaluate.ipynb", run: int = 3
) -> Path:
    """A notebook of step 1 with three code cells, of which the first `run` have run."""
    cells = [
        new_code_cell(DEFAULTS, metadata={"tags": ["parameters"]}),
        new_code_cell("a"),
        new_code_cell("b"),
    ]
    for number, cell in enumerate(cells[:run], 1):
        cell.execution_count = number
    if run > 1:
        cells[1].outputs = [new_output("display_data", {"text/html": "<p>3 results</p>"})]
    book = new_notebook(cells=[new_markdown_cell("# 1 · Where is the student weak?"), *cells])
    if given is not None:
        times = {"start_time": "2026-05-01T10:00:00+00:00", "duration": 65.0}
        made = {"input_path": source, "output_path": file.name, "parameters": given}
        book.metadata["papermill"] = made | times
    nbformat.write(book, file)
    return file


def test_its_page_has_the_head_as_far_as_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "here" / "metrics.json", {})
    given = {"student": EVIL, "output_dir": "here", "seed": "7", "prices": None, "panel": {"a b": 1}}
    notebook = save(tmp_path / "out.ipynb", given=given)
    done = CliRunner().invoke(app, ["report", "out.ipynb"])
    assert (done.exit_code, done.stdout, done.stderr) == (0, "out.html\n", "")
    text = notebook.with_suffix(".html").read_text()
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(?:<code[^>]*>)?([^<]+)", text))
    assert (facts["student"], facts["date"], facts["duration"]) == (
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "2026-05-01 10:00 UTC",
        "1 min 05 s",
    )
    assert facts["made by"] == (
        # the file has them by name
        "papermill notebooks/1_evaluate.ipynb out.ipynb -p output_dir here -y "
        "&#39;{&#34;panel&#34;: {&#34;a b&#34;: 1}}&#39; -p prices None -r seed 7 "
        "-p student &#39;&lt;script&gt;alert(1)&lt;/script&gt;&#39;"
    )
    # the defaults that papermill was not given are parameters as well; what is no literal is not evaluated
    assert "<tr><td>batch_size</td><td>-1</td></tr>" in text and "<td>device</td>" not in text
    assert "3 results" in text and 'href="here/metrics.json"' in text and "<script" not in text


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gone = render_lone_notebook(save(tmp_path / "gone.ipynb", given={"output_dir": "away"}))
    assert gone.warnings == ["Not found, so the page has no link to it: away."]
    half = render_lone_notebook(save(tmp_path / "half.ipynb", run=2))
    assert half.warnings == ["1 of the notebook's 3 cells have not been run: their results are missing."]
    never = render_lone_notebook(save(tmp_path / "1_evaluate.ipynb", run=0))
    assert never.warnings[0].startswith("This notebook has not been run: its results are missing.")
    # the name tells the step where papermill is not named; the parameters are its defaults
    assert never.warnings[1] == "Not found, so the page has no link to it: reports/explore."
    for page in (gone, half, never):
        assert f'<p class="note">{page.warnings[0].replace(chr(39), "&#39;")}</p>' in page.page.read_text()


def test_a_notebook_of_a_run_gets_its_step_s_page_and_another_beside_it_does_not(tmp_path: Path) -> None:
    steps = [{"step": "1_evaluate", "label": "round1/1_evaluate", "status": "done"}]
    write_json(
        tmp_path / "run.json", {"run": "demo", "rounds": 1, "command": "dataengine run x", "steps": steps}
    )
    (tmp_path / "round1").mkdir()
    of_run = render_lone_notebook(save(tmp_path / "round1" / "1_evaluate.ipynb", given={}))
    assert "dataengine run x --from round1/1_evaluate --to round1/1_evaluate" in of_run.page.read_text()
    alone = render_lone_notebook(save(tmp_path / "round1" / "mine.ipynb", given={}, source="mine.ipynb"))
    elsewhere = render_lone_notebook(save(tmp_path / "abs.ipynb", given={}, source="/home/ann/x.ipynb"))
    assert "/home/ann" not in elsewhere.page.read_text()
    assert "papermill mine.ipynb mine.ipynb" in alone.page.read_text() and alone.warnings == []


def test_a_file_that_is_none_ends_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there is no such file; give the notebook that papermill wrote"):
        render_lone_notebook(tmp_path / "none.ipynb")
    (tmp_path / "torn.ipynb").write_text("{")
    with pytest.raises(DataEngineError, match=r"torn\.ipynb: is no notebook"):
        render_lone_notebook(tmp_path / "torn.ipynb")
