"""Every step's result carries warnings, every notebook shows them, and every verb prints them on standard error."""

import json
from dataclasses import fields
from importlib import import_module

import pytest
from project import PROJECT_ROOT

from dataengine_lib.cli_steps import StepVerb
from dataengine_lib.embeddings.update_store import EmbedResult
from dataengine_lib.runs.workflow import STEPS


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_result_has_warnings_and_its_notebook_shows_them(step) -> None:
    module = import_module(f"dataengine_lib.steps.{step.name}")
    result = getattr(module, step.config.__name__.replace("Config", "Result"))
    assert "warnings" in {one.name for one in fields(result)}
    cells = json.loads((PROJECT_ROOT / "notebooks" / f"{step.notebook}.ipynb").read_text())["cells"]
    assert "warnings=result.warnings" in "".join(cells[-1]["source"])


def test_the_result_of_embed_has_warnings() -> None:
    assert "warnings" in {one.name for one in fields(EmbedResult)}


def test_a_verb_prints_warnings_on_standard_error(capsys) -> None:
    verb = StepVerb("compare_rounds", "CompareRoundsConfig", lambda config: ["one step", "few rows"])
    verb._run_and_warn(None)
    assert capsys.readouterr().err == "warning: one step\nwarning: few rows\n"
