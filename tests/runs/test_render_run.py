"""`dataengine report` of a run's folder: what it renders, and what it says of notebooks that are missing."""

from pathlib import Path

import pytest
from fake_loop import make_loop, run_fake
from typer.testing import CliRunner

from dataengine_lib.cli import app
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.runs.state import RunState, StepState
from dataengine_lib.runs.summary import render_run


def test_missing_notebooks_are_a_warning_and_none_at_all_an_error(tmp_path: Path) -> None:
    run_fake(make_loop(tmp_path))
    out = tmp_path / "runs" / "fake"
    for page in out.rglob("*.html"):
        page.unlink()
    assert render_run(out) == (out / "index.html", [])
    assert (out / "round1" / "1_shout.html").is_file()

    (out / "round1" / "0_write.ipynb").unlink()
    missing = "1 of 2 notebooks are missing: round1/0_write.ipynb"
    assert render_run(out).warnings == [missing]
    done = CliRunner().invoke(app, ["report", str(out)])
    assert (done.exit_code, done.stderr) == (0, f"warning: {missing}\n")

    (out / "round1" / "1_shout.ipynb").unlink()
    with pytest.raises(
        DataEngineError, match=r"no executed notebook to render, as round1/0_write\.ipynb and the others"
    ):
        render_run(out)


def test_a_run_that_has_not_begun_and_a_folder_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"no run\.json here"):
        render_run(tmp_path)
    steps = [StepState(step="1_evaluate", round=1, label="round1/1_evaluate")]
    RunState(run="r", started="", rounds=1, seed=0, steps=steps, versions={}).write(tmp_path)
    with pytest.raises(DataEngineError, match="no executed notebook to render, as no step has run"):
        render_run(tmp_path)
