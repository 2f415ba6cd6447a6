"""Notebooks that a run has executed can be run again in their place, from any folder, and write the same data."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill import engines, execute_notebook
from project import PROJECT_ROOT

from dataengine_lib.report.html import render_notebook
from dataengine_lib.runs import execute_notebook as execute_module
from dataengine_lib.runs.execute_notebook import NotebookFailed, execute
from dataengine_lib.runs.notebooks import notebooks_folder
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig

pytestmark = pytest.mark.usefixtures("forked_kernels")
RUN = Path("reports/demo")
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
DATA = "compare_rounds.json"


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`reports/demo` with step 6 executed from its project; the data file names its inputs by relative paths."""
    project = tmp_path / 'Zoë\'s "first" project'
    project.mkdir()
    (project / "data_demo").symlink_to(PROJECT_ROOT / "data_demo")
    monkeypatch.chdir(project)
    config = CompareRoundsConfig(
        evaluations=[Path("data_demo/aokvqa_eval.json"), Path("data_demo/aokvqa_eval_after.json")],
        output=RUN / DATA,
        image_root=Path("data_demo"),
    )
    source = notebooks_folder() / "6_compare_rounds.ipynb"
    notebook = RUN / source.name
    done = execute(source, notebook, config.model_dump(mode="json"), "compare_rounds", RUN)
    assert done.seconds > 0
    (RUN / "run.json").write_text("{}")
    notebook.with_suffix(".manifest.json").write_text("{}")
    return project / notebook


def test_an_executed_notebook_runs_again_from_any_folder(
    executed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = executed.parent / DATA
    first = data.read_bytes()
    assert str(tmp_path).encode() not in first, "no path of this machine in a data file"
    page = render_notebook(executed, executed.with_suffix(".html")).read_text()
    assert not re.search(re.escape(str(tmp_path)), page), "nor in the page that is sent to colleagues"

    data.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    execute_notebook(str(executed), "again.ipynb", progress_bar=False)
    assert data.read_bytes() == first
    assert [path.name for path in Path().iterdir()] == ["again.ipynb"]


def test_in_a_copy_of_its_project_it_writes_there(
    executed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (executed.parent / DATA).read_bytes()
    copy = shutil.copytree(executed.parents[2], tmp_path / "copy", symlinks=True)
    for run in (executed.parent, copy / RUN):
        (run / DATA).unlink()
    monkeypatch.chdir(copy)
    execute_notebook(str(RUN / executed.name), "again.ipynb", progress_bar=False)
    assert (copy / RUN / DATA).read_bytes() == first
    assert not (executed.parent / DATA).exists()


def test_moved_with_its_run_it_writes_beside_itself(executed: Path, tmp_path: Path) -> None:
    first = (executed.parent / DATA).read_bytes()
    moved = executed.parent.rename(tmp_path / "kept")
    (moved / DATA).unlink()
    execute_notebook(str(moved / executed.name), str(tmp_path / "a.ipynb"), cwd=moved, progress_bar=False)
    assert (moved / DATA).read_bytes() == first
    assert not executed.parent.exists()


def test_a_token_in_another_librarys_error_is_masked_in_notebook_page_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_canary12345")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary%2F1@proxy:1")
    cell = new_code_cell(
        "import os\nprint(os.environ['HF_TOKEN'])\n"
        "raise OSError('401 for ' + os.environ['HF_TOKEN'] + ', proxy canary/1 ' + os.environ['HTTPS_PROXY'])"
    )
    nbformat.write(new_notebook(cells=[cell], metadata=PYTHON), "source.ipynb")
    with pytest.raises(NotebookFailed) as caught:
        execute(Path("source.ipynb"), Path("run/n.ipynb"), {}, "f", Path("run"))
    page = render_notebook(Path("run/n.ipynb"), Path("run/n.html")).read_text()
    texts = [str(caught.value), Path("run/n.ipynb").read_text(), page]
    assert all("***" in text and not re.search("canary[%1/]", text) for text in texts)
    assert nbformat.read("run/n.ipynb", 4).cells


@pytest.mark.parametrize("last", ["3", "raise ValueError('no')"])
def test_a_large_notebook_is_saved_at_times_and_whole_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Before and after each cell only while it is small: a save of a large one takes as long as most cells."""
    monkeypatch.chdir(tmp_path)
    cells = ["1", "2", "print('x' * 200_000)", *["4"] * 40, last]
    nbformat.write(
        new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=PYTHON), "source.ipynb"
    )
    saved: list[int] = []  # the sizes
    write = engines.write_ipynb
    monkeypatch.setattr(
        engines, "write_ipynb", lambda nb, path: (write(nb, path), saved.append(os.path.getsize(path)))
    )
    monkeypatch.setattr(execute_module, "_SAVED_SECONDS", 3600.0)
    with suppress(NotebookFailed):
        execute(Path("source.ipynb"), Path("run/n.ipynb"), {}, "f", Path("run"))
    small = [size for size in saved if size < 100_000]
    # at the start, before and after the two first cells, before the third and after it, and at the end
    assert len(small) >= 6 and len(saved) - len(small) == 2
    found = nbformat.read("run/n.ipynb", 4).cells
    done = [cell for cell in found if cell.cell_type == "code" and cell.execution_count]
    assert len(done) == len(cells) + 1  # with that of the parameters
    assert done[-1].outputs[0].output_type == ("execute_result" if last == "3" else "error")
