"""The settings of step 4's checks, alone and as parameters of the step."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dataengine_lib.curation.checks import RecordChecks
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.steps.post_process import PostProcessConfig


def test_they_are_parameters_of_the_step_with_their_help_texts() -> None:
    fields = PostProcessConfig.model_fields
    for name, field in CheckSettings.model_fields.items():
        assert fields[name].description == field.description and field.description
        assert fields[name].default == field.default
    assert set(fields) - set(CheckSettings.model_fields) == {
        "input", "max_bad_share", "output", "rejects", "review", "shuffle_choices",
    }  # fmt: skip


def test_checks_run_with_settings_alone(tmp_path: Path) -> None:
    checks = RecordChecks(CheckSettings(blind_classifier="off"), tmp_path / "ledger.jsonl")
    assert list(checks.run(iter(()))) == []
    assert list(checks.summary.checks) == ["near_duplicates"]


@pytest.mark.parametrize(
    ("given", "readers", "needs_pool"),
    [
        ({}, {}, True),
        ({"box_check": "off"}, {}, False),
        ({"box_check": False}, {}, False),  # YAML's `off`
        ({"second_reader": "playground"}, {"second_reader": "playground"}, True),
        ({"second_reader": "playground", "box_check": "off"}, {"second_reader": "playground"}, True),
        ({"second_reader": "playground", "second_answer": "off", "box_check": "off"}, {}, False),
        ({"blind_reader": "playground", "box_check": "off"}, {"blind_reader": "playground"}, False),
        ({"blind_reader": "playground", "blind_answer": "off"}, {}, True),
    ],
)
def test_readers_and_pool_follow_the_modes(
    given: dict[str, Any], readers: dict[str, str], needs_pool: bool
) -> None:
    settings = CheckSettings(**given)
    assert (settings.readers, settings.needs_pool) == (readers, needs_pool)


@pytest.mark.parametrize(
    "given",
    [{"leaks": "of"}, {"near_question": 1.1}, {"near_image": 0}, {"blind_reader": "clip"}, {"leak": "off"}],
)
def test_wrong_values_and_unknown_names_are_errors(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CheckSettings(**given)
