"""Fixtures of the tests of runs."""

import pytest

from dataengine_lib.runs import workflow


@pytest.fixture(autouse=True)
def own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """`workflow.STEPS` is set back after each test."""
    monkeypatch.setattr(workflow, "STEPS", workflow.STEPS)
