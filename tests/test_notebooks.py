"""The notebooks ask and the library answers: thin, stripped, and with the parameters of their step's Config."""

import ast
import importlib
import shutil
from importlib.util import find_spec

import nbformat
import pytest
from papermill import execute_notebook, inspect_notebook
from project import PROJECT_ROOT

from dataengine_lib.runs.workflow import STEPS, STUDY

BANNED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda)


@pytest.fixture(params=[*STEPS, STUDY], ids=lambda step: step.notebook)
def step(request):
    return request.param


@pytest.fixture
def cells(step):
    return nbformat.read(PROJECT_ROOT / "notebooks" / f"{step.notebook}.ipynb", as_version=4).cells


def parameters(cells):
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    return tagged[0].source


def defaults(cells):
    return {node.target.id: ast.literal_eval(node.value) for node in ast.parse(parameters(cells)).body}


def test_there_is_one_notebook_a_step_and_no_other():
    found = {path.stem for path in (PROJECT_ROOT / "notebooks").glob("[0-9]_*.ipynb")}
    assert found == {step.notebook for step in [*STEPS, STUDY]}


def test_parameters_are_those_of_the_config(step, cells):
    names = [node.target.id for node in ast.parse(parameters(cells)).body]
    assert sorted(names) == sorted(step.config.model_fields)


def test_defaults_make_a_config(step, cells):
    values: dict[str, object] = {}
    exec(parameters(cells), values)
    given = {name: values[name] for name in step.config.model_fields}
    assert step.config.read(given, "the parameters cell")


def test_no_code_that_belongs_in_the_library(cells):
    for cell in cells:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            assert not [node for node in ast.walk(tree) if isinstance(node, BANNED)], cell.source
            if "parameters" not in cell.metadata.get("tags", []):
                assert len(cell.source.splitlines()) <= 11


def test_stripped_of_outputs(cells):
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)


def test_order_title_parameters_config_conclusion(step, cells):
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith(f"# {step.number} · ")
    assert "parameters" in cells[1].metadata["tags"]
    assert f"{step.config.__name__}.from_notebook(globals())" in cells[2].source
    assert cells[-2].source == "## Conclusion" and "conclusion(" in cells[-1].source


def test_the_conclusion_is_computed_from_the_result(cells):
    tree = ast.parse(cells[-1].source)
    assert "result" in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_every_default_is_typed_explained_and_can_be_set_by_papermill(cells):
    for node in ast.parse(parameters(cells)).body:
        value = ast.literal_eval(node.value)  # str, numbers, bool, list, None: what papermill can write
        assert value is None or type(value).__name__ == node.annotation.id, node.target.id


def test_papermill_helps_with_every_parameter(step, cells):
    shown = inspect_notebook(str(PROJECT_ROOT / "notebooks" / f"{step.notebook}.ipynb"))
    assert set(shown) == set(step.config.model_fields)
    for parameter in shown.values():
        assert parameter["help"] and parameter["inferred_type_name"] not in ("", "None"), parameter


def test_the_example_that_the_defaults_point_at_is_there(cells):
    paths = [v for value in defaults(cells).values() for v in (value if isinstance(value, list) else [value])]
    wanted = [path for path in paths if str(path).startswith("data_demo")]
    assert wanted and not [path for path in wanted if not (PROJECT_ROOT / path).exists()]


def test_plain_papermill_runs_it_on_its_defaults(step, tmp_path, monkeypatch, forked_kernels):
    """From another folder, with --cwd of the project or of its notebooks; names have spaces and letters beyond ASCII."""
    project, elsewhere = tmp_path / "Zoë's 漢 🦊", tmp_path / "third é"
    shutil.copytree(PROJECT_ROOT / "data_demo", project / "data_demo")
    shutil.copytree(PROJECT_ROOT / "notebooks", project / "notebooks")
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    notebook = f"../{project.name}/notebooks/{step.notebook}.ipynb"
    cwd = project if step.number % 2 else project / "notebooks"
    execute_notebook(notebook, "aus gabe ß.ipynb", cwd=str(cwd), progress_bar=False)
    done = nbformat.read("aus gabe ß.ipynb", as_version=4).cells
    assert done[-1].outputs, "a conclusion is shown"
    values = defaults(done)
    written = [project / values[name] for name in step.writes if values[name]]
    assert written and all(path.exists() for path in written)
    assert [path.name for path in elsewhere.iterdir()] == ["aus gabe ß.ipynb"]
    assert sorted(path.name for path in project.iterdir()) == ["data_demo", "notebooks", "reports"]


def test_the_queries_notebook_previews_any_type(tmp_path):
    """In a kernel as Jupyter starts it."""
    shutil.copytree(PROJECT_ROOT / "data_demo", tmp_path / "data_demo")
    notebook = PROJECT_ROOT / "notebooks" / "2_construct_queries.ipynb"
    given = {
        "preview_type": "function_reasoning",
        "targets": {"function_reasoning": 0},
        "template": "vision",
        "maxnum": 6,
    }
    execute_notebook(str(notebook), str(tmp_path / "out.ipynb"), given, cwd=str(tmp_path), progress_bar=False)
    cell = next(
        c for c in nbformat.read(tmp_path / "out.ipynb", 4).cells if "query_gallery(" in c.source[-60:]
    )
    shown = cell.outputs[0].data["text/html"]
    assert "function reasoning" in shown and "no query of this type was drawn" in shown
    assert "the prompt, sent with the image" in shown and shown.count("<img") > 4
    assert "Reply in exactly these four lines" in shown and "about the attached picture.</pre>" in shown


def test_what_the_defaults_write_goes_to_a_scratch_folder(step, cells):
    values = defaults(cells)
    assert all(str(values[name]).startswith("reports/explore/") for name in [*step.writes, *step.stores])


def test_every_section_is_a_heading_with_a_sentence_and_one_display(cells):
    for heading, code in zip(cells[3::2], cells[4::2], strict=True):
        assert heading.cell_type == "markdown" and heading.source.startswith("## ")
        assert heading.source == "## Conclusion" or heading.source.endswith(".")
        assert isinstance(ast.parse(code.source).body[-1], ast.Expr)


def test_every_import_exists(cells):
    for cell in cells:
        for node in ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ():
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}")
