"""The notebooks ask and the library answers: thin, stripped, and with the parameters of their step's Config."""

import ast
import importlib

import nbformat
import pytest

from dataengine_lib import PROJECT_ROOT
from dataengine_lib.workflow import STEPS

BANNED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda)


@pytest.fixture(params=STEPS, ids=lambda step: step.notebook)
def step(request):
    return request.param


@pytest.fixture
def cells(step):
    return nbformat.read(PROJECT_ROOT / "notebooks" / f"{step.notebook}.ipynb", as_version=4).cells


def parameters(cells):
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    return tagged[0].source


def test_there_is_one_notebook_a_step_and_no_other():
    found = {path.stem for path in (PROJECT_ROOT / "notebooks").glob("[0-9]_*.ipynb")}
    assert found == {step.notebook for step in STEPS}


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
    assert "result" in cells[-1].source or "log" in cells[-1].source or "figures" in cells[-1].source


def test_every_import_exists(cells):
    for cell in cells:
        for node in ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ():
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)
