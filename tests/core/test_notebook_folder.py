"""Where a notebook's relative paths start: in the project, in copies, in executed notebooks, in moved ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from dataengine_lib.core.notebook_folder import ORIGIN, Origin, enter_start_folder
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import ParameterError


class StepOneConfig(StepConfig):
    questions: Path
    output: Path
    earlier: list[Path] = Field(default_factory=list)
    rank: str = "text"
    mixed: list[dict[str, Path]] = Field(default_factory=list)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an executed notebook: `reports/demo/round1/1_evaluate.ipynb`."""
    project = tmp_path / "project"
    round1 = project / "reports" / "demo" / "round1"
    round1.mkdir(parents=True)
    (project / "data_demo").mkdir()
    for name in ("q.json", "b.json"):
        (project / "data_demo" / name).write_text("[]")
    (round1.parent / "run.json").write_text("{}")
    (round1 / "1_evaluate.manifest.json").write_text("{}")
    return project


def executed(project: Path) -> dict[str, Any]:
    """Globals of that notebook."""
    run = Path("reports/demo")
    origin = Origin(project, run, run / "round1" / "1_evaluate.ipynb")
    values = {
        "questions": "data_demo/q.json",
        "output": "reports/demo/round1/out.json",
        "earlier": ["reports/demo/round1/a.json", "data_demo/b.json"],
        "rank": "text",
        "mixed": [{"file": "reports/demo/round1/a.json"}],
        "In": ["reports/demo/round1/no parameter"],
    }
    return values | origin.as_parameter()


@pytest.mark.parametrize("name", ["notebooks", "mine"])
def test_notebooks_of_a_project_start_in_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (project / name).mkdir()
    (project / name / "1_evaluate.ipynb").touch()
    monkeypatch.chdir(project / name)
    enter_start_folder({}, [])
    assert Path.cwd() == project
    enter_start_folder({}, [])
    assert Path.cwd() == project, "nothing more to do the second time"


def test_elsewhere_the_current_folder_stays(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "1_evaluate.ipynb").touch()
    (project / "other").mkdir()
    # no data_demo above; no notebooks; the project
    for folder in (tmp_path / "copy", project / "other", project):
        monkeypatch.chdir(folder)
        enter_start_folder({}, [])
        assert Path.cwd() == folder


def test_the_example_of_the_defaults_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ParameterError,
        match=r"questions: data_demo/q\.json does not exist.*give files of your own, or start in .*--cwd",
    ):
        StepOneConfig.from_notebook({"questions": "data_demo/q.json", "output": "out.json"})
    with pytest.raises(ParameterError, match=r"earlier: data_demo/b\.json does not exist"):
        StepOneConfig.from_notebook({"questions": "q", "output": "o", "earlier": ["a", "data_demo/b.json"]})
    names = {"questions": "data_demo_2/q.json", "output": "out.json"}
    assert StepOneConfig.from_notebook(names).questions == Path("data_demo_2/q.json"), (
        "the step says if it is missing"
    )


def test_files_may_be_written_into_the_example(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    names = {"questions": "data_demo/q.json", "output": "data_demo/new.json"}
    assert StepOneConfig.from_notebook(names).output == Path("data_demo/new.json")


@pytest.mark.parametrize("place", ["elsewhere", "project/reports/demo/round1"])
def test_an_executed_notebook_goes_back_to_where_its_run_was_started(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / place)
    config = StepOneConfig.from_notebook(executed(project))
    assert Path.cwd() == project
    assert config.output == Path("reports/demo/round1/out.json") and config.questions.is_file()


def test_in_a_moved_run_its_own_files_are_those_beside_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = executed(project)
    moved = (project / "reports" / "demo").rename(tmp_path / "kept")
    monkeypatch.chdir(moved / "round1")
    config = StepOneConfig.from_notebook(names)
    assert config.output == moved / "round1" / "out.json"
    assert config.earlier == [moved / "round1" / "a.json", Path("data_demo/b.json")]
    assert config.mixed == [{"file": moved / "round1" / "a.json"}]
    assert Path.cwd() == project and config.questions.is_file()
    assert names["output"] == str(config.output), "cells that use the variable see the same"
    assert names["In"] == ["reports/demo/round1/no parameter"]


def test_all_cells_of_a_moved_run_can_run_twice_in_one_kernel(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = executed(project)
    moved = (project / "reports" / "demo").rename(tmp_path / "kept")
    monkeypatch.chdir(moved / "round1")
    StepOneConfig.from_notebook(names)
    names |= executed(project)  # the parameters cells run once more
    assert StepOneConfig.from_notebook(names).output == moved / "round1" / "out.json"


def test_all_cells_of_a_copied_project_can_run_twice_in_one_kernel(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(project, tmp_path / "copy")
    names = executed(project)
    monkeypatch.chdir(copy / "reports" / "demo" / "round1")
    for _ in range(2):
        StepOneConfig.from_notebook(names)
        assert Path.cwd() == copy, "the project that it was copied from is still there, and left alone"


@pytest.mark.parametrize(("same", "started_in"), [(True, "other"), (False, "project")])
def test_papermill_in_a_copied_project_stays_in_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool, started_in: str
) -> None:
    """The kernel starts in `other`: a copy of the project, or a project with a run of the same name."""
    names = executed(project)
    other = shutil.copytree(project, tmp_path / "other")
    origin = names[ORIGIN] if same else names[ORIGIN] | {"start": str(other)}
    book = {"metadata": {"papermill": {"parameters": {ORIGIN: origin}}}, "cells": []}
    (other / "reports" / "demo" / "round1" / "1_evaluate.ipynb").write_text(json.dumps(book))
    monkeypatch.chdir(other)
    for _ in range(2):
        StepOneConfig.from_notebook(names)
        assert Path.cwd() == tmp_path / started_in


@pytest.mark.parametrize("missing", ["1_evaluate.manifest.json", "1_evaluate.ipynb"])
def test_a_failed_or_a_renamed_notebook_of_a_moved_run_is_known(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    moved = (project / "reports" / "demo").rename(tmp_path / "kept")
    (moved / "round1" / "1_evaluate.ipynb").touch()
    (moved / "round1" / missing).unlink()
    monkeypatch.chdir(moved / "round1")
    assert StepOneConfig.from_notebook(executed(project)).output == moved / "round1" / "out.json"


def test_a_run_renamed_inside_its_project_keeps_relative_paths(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = (project / "reports" / "demo").rename(project / "reports" / "first try")
    monkeypatch.chdir(renamed / "round1")
    config = StepOneConfig.from_notebook(executed(project))
    assert config.output == Path("reports/first try/round1/out.json")
    assert config.earlier == [Path("reports/first try/round1/a.json"), Path("data_demo/b.json")]


@pytest.mark.parametrize("link", ["reports", "reports/demo"])
def test_a_linked_reports_folder_is_no_move(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    (project / link).rename(tmp_path / Path(link).name)
    (project / link).symlink_to(tmp_path / Path(link).name)
    monkeypatch.chdir(project / "reports" / "demo" / "round1")
    config = StepOneConfig.from_notebook(executed(project))
    assert Path.cwd() == project and config.output == Path("reports/demo/round1/out.json")


def test_a_run_beside_the_folder_it_was_started_in_is_no_move(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = project / "data_demo"
    run = Path("../reports/demo")
    names = {"output": str(run / "round1" / "out.json"), "questions": "q.json"}
    names |= Origin(start, run, run / "round1" / "1_evaluate.ipynb").as_parameter()
    book = {"metadata": {"papermill": {"parameters": {ORIGIN: names[ORIGIN]}}}}
    (project / "reports" / "demo" / "round1" / "1_evaluate.ipynb").write_text(json.dumps(book))
    (project / "other").mkdir()
    for place in (
        "reports/demo/round1",
        "other",
    ):  # beside the notebook; where ../reports leads to it as well
        monkeypatch.chdir(project / place)
        config = StepOneConfig.from_notebook(dict(names))
        assert Path.cwd() == start and config.output == run / "round1" / "out.json"


def test_a_moved_run_in_the_folder_it_was_started_in(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = project / "reports" / "demo"
    names = {"output": "round1/out.json", "questions": "q.json", "rank": "text"}
    names |= Origin(start, Path(), Path("round1/1_evaluate.ipynb")).as_parameter()
    moved = start.rename(tmp_path / "kept")
    monkeypatch.chdir(moved / "round1")
    config = StepOneConfig.from_notebook(names)
    assert Path.cwd() == moved and config.output == Path("round1/out.json") and config.rank == "text"


def test_in_a_moved_project_everything_is_found(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = executed(project)
    moved = project.rename(tmp_path / "renamed")
    monkeypatch.chdir(moved / "reports" / "demo" / "round1")
    config = StepOneConfig.from_notebook(names)
    assert Path.cwd() == moved and config.output == Path("reports/demo/round1/out.json")


def test_a_run_outside_the_folder_it_was_started_in(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (out / "final").mkdir(parents=True)
    (out / "run.json").write_text("{}")
    (out / "final" / "1_evaluate.manifest.json").write_text("{}")
    names = {"output": str(out / "final" / "x.json"), "questions": "data_demo/q.json"}
    names |= Origin(project, out, out / "final" / "1_evaluate.ipynb").as_parameter()
    moved = out.rename(tmp_path / "moved")
    monkeypatch.chdir(moved / "final")
    assert StepOneConfig.from_notebook(names).output == moved / "final" / "x.json"
    assert ORIGIN in names
