"""`dataengine notebooks DIR`: copies that do not overwrite a person's work."""

from pathlib import Path

import pytest
from papermill import execute_notebook
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.runs.notebooks import copy_notebooks, notebooks_folder


def test_a_copy_runs_with_relative_paths_from_another_folder(tmp_path: Path) -> None:
    copy_notebooks(tmp_path / "Zoë 漢 🦊")
    project = tmp_path / "my project é"
    project.mkdir()
    (project / "data 漢").symlink_to(PROJECT_ROOT / "data_demo")
    given = {
        "evaluations": ["data 漢/aokvqa_eval.json", "data 漢/aokvqa_eval_after.json"],
        "output": "out é/compared.json",
        "image_root": "data 漢",
    }
    source = tmp_path / "Zoë 漢 🦊" / "6_compare_rounds.ipynb"
    execute_notebook(str(source), str(tmp_path / "a.ipynb"), given, cwd=str(project), progress_bar=False)
    figures = read_json(project / "out é" / "compared.json")
    assert [scores["name"] for scores in figures["rounds"]] == ["before", "after round 1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Zoë 漢 🦊", "a.ipynb", "my project é"]


def test_a_checkout_uses_its_own_notebooks() -> None:
    assert notebooks_folder() == PROJECT_ROOT / "notebooks"


def test_a_changed_notebook_is_overwritten_only_by_force(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    copies = copy_notebooks(folder)
    assert copies and copy_notebooks(folder) == copies, "what is unchanged may be copied once more"
    copies[1].write_text("my work")
    copies[0].unlink()
    with pytest.raises(ParameterError, match=rf"b: {copies[1].name} was changed.*--force"):
        copy_notebooks(folder)
    assert copies[1].read_text() == "my work" and not copies[0].exists(), "nothing was written"
    copy_notebooks(folder, force=True)
    originals = [notebooks_folder() / copy.name for copy in copies]
    assert [copy.read_bytes() for copy in copies] == [original.read_bytes() for original in originals]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match=r"file/x: cannot be written \(Not a directory\)"):
        copy_notebooks(tmp_path / "file" / "x")


def test_an_installation_without_notebooks_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataengine_lib.runs.notebooks.notebooks_folder", lambda: tmp_path)
    with pytest.raises(DataEngineError, match="no notebooks in this installation; install it once more"):
        copy_notebooks(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
