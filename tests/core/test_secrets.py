"""Secrets: every form is masked, and parameters that hold one are refused before anything stores them."""

import base64
import json

import pytest

from dataengine_lib.core.secrets.given_values import refuse_secrets
from dataengine_lib.core.secrets.masking import SecretMask, url_secrets
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import ParameterError

SECRET = 'p@ss/"w\\rd" é<1>'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        "p%40ss%2F%22w%5Crd%22%20%C3%A9%3C1%3E",
        "p%40ss%2f%22w%5crd%22%20%c3%a9%3c1%3e",
        "p%40ss/%22w%5Crd%22%20%C3%A9%3C1%3E",
        "p%40ss%2F%22w%5Crd%22+%C3%A9%3C1%3E",
        'p@ss/\\"w\\\\rd\\" \\u00e9<1>',
        'p@ss/\\"w\\\\rd\\" é<1>',
        json.dumps(json.dumps(SECRET)[1:-1])[1:-1],
        "p@ss/&quot;w\\rd&quot; é&lt;1&gt;",
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_every_form_is_masked(form: str) -> None:
    assert SecretMask([SECRET]).masked(f"a {form} b").rstrip("=") in ("a *** b", "a ***= b", "a ***== b")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("OPENAI_API_KEY", "sk-canary-12345", "sk-canary-12345"),
        ("HF_TOKEN", "hf_canary12345", "hf_canary12345"),
        ("OPENAI_BASE_URL", "https://me1234:canary-1@host/v1", "canary-1"),
        ("OPENAI_BASE_URL", "https://canary-token@host/v1", "canary-token"),
        ("OPENAI_BASE_URL", "https://host/v1?canary-alone", "canary-alone"),
        ("https_proxy", "http://me1234:canary-2@proxy:3128", "canary-2"),
    ],
)
def test_secrets_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, secret: str
) -> None:
    monkeypatch.setenv(name, value)
    assert SecretMask.of_environment().masked(f"no {secret}.") == "no ***."


@pytest.mark.parametrize("value", ["none", "EMPTY", "ollama", "lm-studio", "sk-no-key-required", ""])
def test_keys_of_servers_that_want_none_are_words(value: str) -> None:
    mask = SecretMask([value])
    assert mask.masked("an empty reply of ollama, none in lm-studio") == (
        "an empty reply of ollama, none in lm-studio"
    )


def test_values_are_masked_within_objects() -> None:
    mask = SecretMask(["canary-1"])
    assert mask.masked_value({"canary-1": [1, None, {"a": "x canary-1"}]}) == {
        "***": [1, None, {"a": "x ***"}]
    }


def test_what_is_no_url_has_no_secrets() -> None:
    assert url_secrets("http://[broken") == [] and url_secrets("") == []


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
