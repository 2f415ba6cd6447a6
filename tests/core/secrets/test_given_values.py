"""Parameters that hold a secret are refused before anything stores them."""

import pytest

from dataengine_lib.core.secrets.given_values import papermill_parameters, refuse_secrets
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import ParameterError


class _AnyConfig(StepConfig):
    base_url: str | None = None
    text: str = ""
    texts: tuple[str, ...] = ()


REFUSED = [
    ("base_url", "https://me:canary@host/v1"),
    ("base_url", "https://canary@host/v1"),
    ("base_url", "https://host/v1?api-key=canary"),
    ("base_url", "https://host/v1?api-version=1&code=canary"),
    ("base_url", "https://host/v1?canary"),
    ("base_url", "https://host/v1#canary"),
    ("text", "sk-proj-canary-abcdefghijkl"),
    ("texts", ["a", "hf_canaryabcdefghijkl"]),
    ("api_key", "canary"),
    ("hf_token", "canary"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_secret_is_refused_in_one_line_that_does_not_repeat_it(name: str, value: object) -> None:
    with pytest.raises(ParameterError) as caught:
        _AnyConfig.read({name: value}, "the parameters cell")
    line = str(caught.value)
    assert line.startswith(f"the parameters cell: {name}: looks like a secret") and "\n" not in line
    assert "OPENAI_API_KEY" in line and "OPENAI_BASE_URL" in line and "canary" not in line


@pytest.mark.parametrize(
    "value",
    [
        "https://host:8000/v1",
        "https://host/openai/deployments/d?api-version=2024-10-21",
        "task-oriented-words-in-a-row",
        "mail me@host.org",
        "Where is it? See http://host/page",
    ],
)
def test_what_only_sounds_secret_is_taken(value: str) -> None:
    refuse_secrets({"text": [value], "max_output_tokens": 600}, "here")
    assert _AnyConfig.read({"base_url": value}, "here").base_url == value


def test_parameters_are_read_from_the_cell_that_papermill_adds() -> None:
    cell = '# Parameters\napi_key = "a"\nlimit = float("nan")\nnames = ["b", {"c": -1}]\n'
    names = {"In": ["", "api_key = 'of a cell of the user'", cell, "%time 1"]}
    assert papermill_parameters(names) == {"api_key": "a", "names": ["b", {"c": -1}]}
    assert papermill_parameters({}) == {}
