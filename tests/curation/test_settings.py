"""The settings of step 4's checks, alone and as parameters of the step."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dataengine_lib.curation.checks import RecordChecks
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.errors import ParameterError
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
        ({}, [], True),
        ({"box_check": "off"}, [], False),
        ({"box_check": False}, [], False),  # YAML's `off`
        ({"second_reader": "playground"}, ["second_reader"], True),
        ({"second_reader": "playground", "box_check": "off"}, ["second_reader"], True),
        ({"second_reader": "playground", "second_answer": "off", "box_check": "off"}, [], False),
        ({"blind_reader": "playground", "box_check": "off"}, ["blind_reader"], False),
        ({"blind_reader": "playground", "blind_answer": "off"}, [], True),
        ({"second_reader": ["playground", "openai:a"]}, ["second_reader.0", "second_reader.1"], True),
    ],
)
def test_readers_and_pool_follow_the_modes(
    given: dict[str, Any], readers: list[str], needs_pool: bool
) -> None:
    settings = CheckSettings(**given)
    assert ([one.parameter for one in settings.readers], settings.needs_pool) == (readers, needs_pool)


def test_each_reader_has_a_name_a_server_and_what_it_sees() -> None:
    settings = CheckSettings(
        second_reader=[
            "openai:a",
            {"model": "openai:a", "base_url": "http://b/v1", "image": True},
            "playground",
        ],
        blind_reader='{"model": "openai:a", "base_url": "http://b/v1"}',  # as the command line gives it
        base_url="http://c/v1",
    )
    assert [one[1:] for one in settings.readers] == [
        ("openai:a", "openai:a", "http://c/v1", False, False),
        ("openai:a #2", "openai:a", "http://b/v1", True, False),
        ("playground", "playground", "http://c/v1", False, False),
        ("openai:a, blind", "openai:a", "http://b/v1", False, True),
    ]
    seeing = CheckSettings(second_reader=["openai:a", "openai:b"], second_reader_image=True)
    assert all(one.image for one in seeing.readers)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("clip", "second_reader: clip cannot answer questions; choose openai:MODEL or playground"),
        (["openai:a", "annotations"], "second_reader: annotations cannot answer questions; "),
        (["openai:a", "openai:a"], "second_reader: names openai:a twice, whose answers would be the same; "),
        ([{"model": "replay:x"}], "second_reader.0.model: replay:x cannot answer questions; "),
        ([{"modell": "openai:a"}], "unknown key 'second_reader.0.modell'; .*'second_reader.0.model'"),
        (['{"model"'], "second_reader: not valid JSON"),
        ([3], r"second_reader\.0: .* valid dictionary"),
    ],
)
def test_a_reader_that_cannot_be_asked_is_named(given: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        PostProcessConfig.read({"input": "a", "output": "b", "second_reader": given}, "test")


@pytest.mark.parametrize(
    "given",
    [{"leaks": "of"}, {"near_question": 1.1}, {"near_image": 0}, {"blind_reader": "clip"}, {"leak": "off"}],
)
def test_wrong_values_and_unknown_names_are_errors(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CheckSettings(**given)
