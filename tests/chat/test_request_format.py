"""Request bodies in the form that one server accepts, and what its errors change in them."""

import json
from typing import Any

import pytest

from dataengine_lib.chat.error_body import ErrorBody, read_error
from dataengine_lib.chat.request_format import RequestFormat, breaks_schema, estimated_tokens, refuses_schema
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


def refusal(words: str, *fields: str, status: int = 400, codes: tuple[str, ...] = ()) -> ErrorBody:
    return ErrorBody(status, words, frozenset(codes), fields)


def test_refused_settings_are_left_out_one_by_one() -> None:
    given = ChatSettings(temperature=0.5, seed=3, max_output_tokens=50, service_tier="flex")
    form = RequestFormat("m", LOCAL, given)
    assert not form.leave_out(refusal("temperature 3 is above 2"))  # a wrong value, not a refusal
    assert not form.leave_out(refusal("temperatures are not supported"))
    assert not form.leave_out(refusal("max_tokens is too large: this model supports at most 40 tokens"))
    assert not form.leave_out(refusal("seed is not supported", status=429))
    assert form.leave_out(refusal("not supported", "temperature")) and "temperature" not in form.settings
    assert form.leave_out(refusal("unknown field seed"))
    assert form.leave_out(refusal("Invalid service_tier argument")) and form.settings == {"max_tokens": 50}
    assert form.leave_out(refusal("Use 'max_completion_tokens' instead of 'max_tokens'"))
    assert form.settings == {"max_completion_tokens": 50}
    # A server that refuses both limits: no switching back and forth.
    assert not form.leave_out(refusal("not supported", "max_completion_tokens"))
    assert form.refused == ["temperature", "seed", "service_tier", "max_tokens"]


@pytest.mark.parametrize(
    ("status", "body", "field"),
    [
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
         "seed"),
        (422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_tokens"],
               "msg": "Extra inputs are not permitted"}]}}, "max_tokens"),
        (400, {"error": {"message": 'litellm.BadRequestError: MistralException - {"detail":[{"type":"extra_forbidden",'
               '"loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}', "code": "400"}}, "seed"),
        (422, {"detail": [{"loc": ["body", "temperature"], "msg": "extra fields not permitted",
                           "type": "value_error.extra"}]}, "temperature"),
        (400, {"error": {"message": "property 'seed' is unsupported, did you mean 'store'?"}}, "seed"),
        (400, [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
                          "status": "INVALID_ARGUMENT"}}], "seed"),
        (400, {"error": {"message": "Unsupported value: 'temperature' does not support 0.5 with this model. Only the"
               " default (1) value is supported.", "param": "temperature", "code": "unsupported_value"}}, "temperature"),
        (500, {"error": "create() got an unexpected keyword argument 'seed'"}, "seed"),
        (415, {"detail": "seed is not supported"}, "seed"),
        (404, {"errors": [{"message": "parameter temperature is not supported by this endpoint"}]}, "temperature"),
    ],
)  # fmt: skip
def test_a_refused_setting_is_found_in_any_form(status: int, body: Any, field: str) -> None:
    form = RequestFormat("m", LOCAL, ChatSettings(temperature=0.5, seed=3, max_output_tokens=50))
    assert form.leave_out(read_error(status, json.dumps(body))) and form.refused == [field]
    assert field not in form.settings and len(form.settings) == (3 if field == "max_tokens" else 2)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, {"detail": [{"loc": ["body", "response_format", "type"], "msg": "Input should be 'text' or 'json_object'"}]}),
        (400, {"error": {"message": "This response_format type is unavailable now", "code": "invalid_request_error"}}),
        (404, {"error": {"message": "No endpoints found that can handle the requested parameters.", "code": 404}}),
        (500, {"error": "grammar backend is not available"}),
        (400, {"error": {"message": "This model does not support it", "param": "response_format"}}),
    ],
)  # fmt: skip
def test_a_refused_schema_is_found_in_any_form(status: int, body: Any) -> None:
    error = read_error(status, json.dumps(body))
    form = RequestFormat("m", LOCAL, ChatSettings(temperature=0.5))
    assert refuses_schema(error) and not form.leave_out(error) and form.settings["temperature"] == 0.5


def test_other_errors_refuse_no_schema() -> None:
    assert not refuses_schema(refusal("schema", status=429))
    groq = {
        "error": {
            "message": "Failed to validate JSON.",
            "code": "json_validate_failed",
            "failed_generation": "{",
        }
    }
    assert not refuses_schema(read_error(400, groq)) and breaks_schema(read_error(400, groq))


def test_tokens_are_a_quarter_of_the_characters_and_the_output_limit() -> None:
    form = RequestFormat("m", LOCAL, ChatSettings(max_output_tokens=50))
    assert estimated_tokens(form.body(MESSAGES)) == 100 + 50
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + "A" * 9999}}
    parts = [{"role": "user", "content": [{"type": "text", "text": "x" * 40}, image]}]
    assert estimated_tokens(form.body(parts)) == 10 + 1000 + 50
