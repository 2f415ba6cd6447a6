"""Secrets are masked in every form in which servers and libraries repeat them."""

import base64
import json

import pytest

from dataengine_lib.core.secrets.masking import SecretMask, url_secrets

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
