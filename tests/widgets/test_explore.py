"""`notebooks/explore.ipynb`: thin as the notebooks of the steps, run on its defaults, and which run it opens."""

import ast
import json
import shutil
from pathlib import Path

import nbformat
import pytest
from made_run import write_run
from papermill import execute_notebook, inspect_notebook
from project import PROJECT_ROOT

from dataengine_lib.core.files import write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.report.tables import Html
from dataengine_lib.runs.manifest import Manifest
from dataengine_lib.widgets.explore import ExploreConfig, explore
from dataengine_lib.widgets.reviewer import Reviewer

NOTEBOOK = PROJECT_ROOT / "notebooks" / "explore.ipynb"
BANNED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda)


def test_it_is_as_thin_as_the_notebooks_of_the_steps() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    for cell in code:
        tree = ast.parse(cell.source)
        assert not [node for node in ast.walk(tree) if isinstance(node, BANNED)], cell.source
    assert cells[0].source.startswith("# ") and "parameters" in cells[1].metadata["tags"]
    assert cells[-2].source == "## Conclusion" and "conclusion(" in cells[-1].source
    for heading in cells[3:-2:2]:
        assert heading.cell_type == "markdown" and heading.source.endswith(".")
    values: dict[str, object] = {}
    exec(cells[1].source, values)
    given = {name: values[name] for name in ExploreConfig.model_fields}
    assert ExploreConfig.read(given, "the parameters cell") == ExploreConfig()
    shown = inspect_notebook(str(NOTEBOOK))
    assert set(shown) == set(ExploreConfig.model_fields)
    assert all(one["help"] and one["inferred_type_name"] not in ("", "None") for one in shown.values())


def test_plain_papermill_runs_it_on_its_defaults(tmp_path: Path) -> None:
    shutil.copytree(PROJECT_ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "data_demo").symlink_to(PROJECT_ROOT / "data_demo")
    done = tmp_path / "done.ipynb"
    execute_notebook(
        str(tmp_path / "notebooks/explore.ipynb"),
        str(done),
        cwd=str(tmp_path / "notebooks"),
        progress_bar=False,
    )
    cells = [cell for cell in nbformat.read(done, as_version=4).cells if cell.cell_type == "code"]
    assert "data_demo has 2 evaluations, 30 bad cases and 15 kept QAs." in str(cells[-1].outputs)
    surest = str(next(cell for cell in cells if cell.source.startswith('columns = ["image_path')).outputs)
    assert surest.count("data:image/jpeg;base64,") == 12 and "the first 12 of 30 rows" in surest
    forms = [cell for cell in cells if cell.source.startswith("explored.")]
    names = ["cases", "weights", "reviewer", "neighbours"]
    assert [cell.source for cell in forms] == [f"explored.{name}" for name in names]
    for cell in forms:
        kinds = {kind for output in cell.outputs for kind in output.data}
        assert {"text/html", "application/vnd.jupyter.widget-view+json"} <= kinds, cell.source
    assert not (tmp_path / "reports").exists(), "nothing is written before a button is pressed"


def test_the_newest_run_is_opened_and_its_files_stay_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ParameterError, match=r"no finished run below reports/ and no data_demo here; set run"
    ):
        explore(ExploreConfig())
    write_run(tmp_path / "reports" / "made")
    explored = explore(ExploreConfig())
    assert explored.run.folder == Path("reports/made")
    assert explored.cases.file == Path("reports/made/example_decisions.json")
    assert not isinstance(explored.weights, Html)
    assert explored.weights.file == Path("reports/made/weight_by_hand.json")
    assert "2 evaluations, 6 bad cases and 1 kept QA." in explored.sentence
    reviewer = explored.reviewer
    assert isinstance(reviewer, Reviewer) and reviewer.file == Path("reports/made/round1/review.json")
    own = explore(ExploreConfig(run=PROJECT_ROOT / "data_demo", weight=tmp_path / "w.json"))
    assert own.cases.file == Path("reports/explore/example_decisions.json")
    assert not isinstance(own.weights, Html) and own.weights.file == tmp_path / "w.json"
    assert isinstance(own.reviewer, Reviewer) and own.reviewer.file == Path("reports/explore/review.json")
    with pytest.raises(DataEngineError, match="nowhere"):
        explore(ExploreConfig(run=Path("nowhere")))


@pytest.mark.parametrize(
    ("named", "file"),
    [
        (None, "copied/round1/review.json"),
        ("reports/made/round1/review_anna.json", "copied/round1/review_anna.json"),
        ("reviews/review.json", "reviews/review.json"),
    ],
)
def test_decisions_about_qas_go_to_the_review_file_of_step_4_in_the_opened_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, file: str
) -> None:
    """Beside the output that is opened, also where the run was copied, or in the folder that the parameter names."""
    monkeypatch.chdir(tmp_path)
    run = write_run(Path("copied"))
    write_run(Path("reports/made"))  # what the parameters of the copy name
    Path("reviews").mkdir()
    parameters = {"output": "reports/made/round1/gptvqa_train_data.json", "review": named}
    manifest = Manifest(
        step="4_post_process", identity="", started="", seed=0, parameters=parameters, inputs={},
        notebook_sha256="", code_sha256="", versions={},
    )  # fmt: skip
    write_json(run / "round1" / "4_post_process.manifest.json", manifest)
    for folder in (run, run / "round1"):
        reviewer = explore(ExploreConfig(run=folder)).reviewer
        assert isinstance(reviewer, Reviewer) and reviewer.file == Path(file)
        assert [item.name for item in reviewer.items] == ["r-0"]
        reviewer.form.buttons["accept"].click()
        assert json.loads(Path(file).read_text()) == {"r-0": {"decision": "accept"}}
    whole = explore(ExploreConfig(run=run))
    assert isinstance(whole.reviewer, Reviewer) and "<img" in whole.reviewer.form.image.value
    nothing = whole.reviewer_of(9)
    assert isinstance(nothing, Html) and "no QAs in round 9" in nothing.text


def test_a_run_without_bad_cases_says_so(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"status": "running"}')
    explored = explore(ExploreConfig(run=tmp_path))
    assert isinstance(explored.weights, Html) and "no bad cases in any round" in explored.weights.text
    assert isinstance(explored.reviewer, Html) and "no QAs in any round" in explored.reviewer.text
    assert "0 bad cases" in explored.cases.summary().text and "has 0 evaluations" in explored.sentence
