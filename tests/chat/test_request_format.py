"""Request bodies in the form that one server accepts, and what its errors change in them."""

import pytest

from dataengine_lib.chat.request_format import RequestFormat, estimated_tokens, refuses_schema
from dataengine_lib.chat.settings import ChatSettings

LOCAL, OPENAI = "http://localhost:8000/v1", "https://api.openai.com/v1"
MESSAGES = [{"role": "user", "content": "x" * 400}]


@pytest.mark.parametrize(
    ("model", "url", "limit"),
    [
        ("gpt-5-mini", LOCAL, "max_completion_tokens"),
        ("openai/gpt-12", LOCAL, "max_completion_tokens"),
        ("o3", LOCAL, "max_completion_tokens"),
        ("gpt-4o", LOCAL, "max_tokens"),
        ("qwen-o1", LOCAL, "max_tokens"),
        ("gpt-4o", OPENAI, "max_completion_tokens"),
    ],
)
def test_the_output_limit_has_the_name_that_the_model_knows(model: str, url: str, limit: str) -> None:
    form = RequestFormat(model, url, ChatSettings(max_output_tokens=50))
    assert form.settings == {limit: 50}
    assert form.body(MESSAGES, max_output_tokens=70)[limit] == 70 and form.settings[limit] == 50


def test_refused_settings_are_left_out_one_by_one() -> None:
    form = RequestFormat("m", LOCAL, ChatSettings(temperature=0.5, seed=3, max_output_tokens=50))
    form.takes_schema = False
    assert form.names_setting("Unsupported value: 'temperature'") and not form.names_setting("temperatures")
    assert not form.adapt("", "temperature 3 is above 2")  # a wrong value, not a refusal
    assert form.adapt("temperature", "not supported") and "temperature" not in form.settings
    assert form.adapt("", "unknown field seed") and form.settings == {"max_tokens": 50}
    assert form.adapt("", "Use 'max_completion_tokens' instead of 'max_tokens'")
    assert form.settings == {"max_completion_tokens": 50}
    # A server that refuses both limits: no switching back and forth.
    assert not form.adapt("max_completion_tokens", "not supported")
    assert form.refused == ["temperature", "seed", "max_tokens"]


def test_a_refused_schema_is_left_out_first() -> None:
    form = RequestFormat("m", LOCAL, ChatSettings(temperature=0.5))
    assert form.adapt("response_format", "unsupported with this temperature")
    assert form.takes_schema is False and form.settings["temperature"] == 0.5
    assert refuses_schema(422, "response_format: extra field") and not refuses_schema(429, "schema")


def test_tokens_are_a_quarter_of_the_characters_and_the_output_limit() -> None:
    form = RequestFormat("m", LOCAL, ChatSettings(max_output_tokens=50))
    assert estimated_tokens(form.body(MESSAGES)) == 100 + 50
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + "A" * 9999}}
    parts = [{"role": "user", "content": [{"type": "text", "text": "x" * 40}, image]}]
    assert estimated_tokens(form.body(parts)) == 10 + 1000 + 50
