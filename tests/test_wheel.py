"""A wheel works without the checkout: built, installed into a folder of its own, used from another folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from project import PROJECT_ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the installed wheel and nothing else of ours."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves files in the source tree
    without = shutil.ignore_patterns("__pycache__", "*.egg-info", ".ipynb_checkpoints")
    for name in ("dataengine_lib", "notebooks"):
        shutil.copytree(PROJECT_ROOT / name, source / name, ignore=without)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT_ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--quiet"]
    _run([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(source)])
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(source)
    _run([*pip, "install", *offline, "--target", str(folder / "site"), str(wheel)])
    return folder / "site"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder of a user's own, with an experiment and the example files."""
    shutil.copytree(PROJECT_ROOT / "data_demo", tmp_path / "data_demo")
    (tmp_path / "params").mkdir()
    for name in ("demo.yaml", "coco.yaml"):
        shutil.copy(PROJECT_ROOT / "params" / name, tmp_path / "params" / name)
    return tmp_path


def _run(command: list[str], **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def _environment(installed: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}


def _dataengine(installed: Path, folder: Path, *arguments: str) -> str:
    script = str(installed / "bin" / "dataengine")
    return _run([sys.executable, script, *arguments], cwd=folder, env=_environment(installed))


def test_it_holds_the_library_its_resources_and_the_notebooks(installed: Path, tmp_path: Path) -> None:
    code = "import dataengine_lib; print(dataengine_lib.__file__)"
    found = _run([sys.executable, "-c", code], cwd=tmp_path, env=_environment(installed)).strip()
    assert Path(found).parent == installed / "dataengine_lib", "not the checkout's"
    suffixes = (".py", ".j2", ".yaml", ".css")
    library = PROJECT_ROOT / "dataengine_lib"
    wanted = {path.relative_to(library) for path in library.rglob("*") if path.suffix in suffixes}
    shipped = {
        path.relative_to(installed / "dataengine_lib") for path in (installed / "dataengine_lib").rglob("*")
    }
    assert wanted <= shipped
    for notebook in (PROJECT_ROOT / "notebooks").glob("*.ipynb"):
        assert (
            installed / "dataengine_lib" / "notebooks" / notebook.name
        ).read_bytes() == notebook.read_bytes()
    assert not list(installed.rglob("tests")) and not (installed / "notebooks").exists()


def test_plan_evaluate_and_construct_queries(installed: Path, work: Path) -> None:
    planned = _dataengine(installed, work, "plan", "params/demo.yaml")
    assert "13 steps, into reports/demo:" in planned and "image_scene" in planned
    student = ["--student", "data_demo/models/tiny-llava", "--no-direct-answers"]
    questions = ["--questions", "data_demo/aokvqa_v1p0_val_classified.json"]
    evaluated = ["--image-root", "data_demo", "--output-dir", "out"]
    _dataengine(installed, work, "evaluate", *questions, *student, *evaluated)
    answers = json.loads((work / "out" / "aokvqa_eval.json").read_text())
    shipped = json.loads((work / "data_demo" / "aokvqa_eval.json").read_text())
    assert [row["question"] for row in answers] == [row["question"] for row in shipped]
    pool = ["--coco-dataset", "data_demo", "--coco-embedding", "out/store"]
    encoder = ["--encoder", "data_demo/models/tiny-clip", "--near-duplicate", "1"]
    drawn = [
        "--input",
        "out/bad_case_aokvqa_classified.json",
        "--output",
        "out/queries.json",
        "--maxnum",
        "6",
    ]
    _dataengine(installed, work, "construct-queries", *drawn, *pool, *encoder, "--template", "v2")
    queries = json.loads((work / "out" / "queries.json").read_text())
    assert len(queries) == 6 and all(query["template"] == "v2.j2" for query in queries)
    written = [path for path in (work / "out").rglob("*") if path.is_file()]
    assert not [path for path in written if str(installed).encode() in path.read_bytes()]


def test_run_executes_its_own_notebooks(installed: Path, work: Path) -> None:
    _dataengine(installed, work, "run", "params/coco.yaml", "--to", "evaluate")
    round1 = work / "reports" / "coco" / "round1"
    assert nbformat.read(round1 / "1_evaluate.ipynb", as_version=4).cells[-1].outputs
    assert "The student answers" in (round1 / "1_evaluate.html").read_text()


def test_notebooks_are_copied_and_changed_ones_stay(installed: Path, tmp_path: Path) -> None:
    said = _dataengine(installed, tmp_path, "notebooks", "Zoë 漢 🦊")
    assert said.splitlines()[1] == "open them with: jupyter lab 'Zoë 漢 🦊'"
    copies = sorted((tmp_path / "Zoë 漢 🦊").iterdir())
    originals = sorted((PROJECT_ROOT / "notebooks").glob("*.ipynb"))
    assert [copy.read_bytes() for copy in copies] == [original.read_bytes() for original in originals]
    assert str(len(originals)) in said.splitlines()[0]


def test_without_the_example_one_line_says_what_to_give(installed: Path, tmp_path: Path) -> None:
    shutil.copy(PROJECT_ROOT / "params" / "coco.yaml", tmp_path)
    command = [sys.executable, str(installed / "bin" / "dataengine"), "run", "coco.yaml", "--to", "evaluate"]
    done = subprocess.run(
        command, cwd=tmp_path, env=_environment(installed), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(
        "dataengine: coco.yaml: evaluate.questions: data_demo/aokvqa_v1p0_val_classified"
    )
    assert all(line.endswith("give files of your own") for line in done.stderr.splitlines())
