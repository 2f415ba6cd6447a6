"""The words of servers in their errors, in every form that is known, and what is done about each error."""

import asyncio
import json
from typing import Any

import pytest

from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.error_body import read_error
from dataengine_lib.chat.reply import AskFailed, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.playground.server import Fault, PlaygroundServer, serve
from dataengine_lib.replies.json_reply import strict_object

SCHEMA = strict_object(answer={"type": "string"})
DETAIL = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"error": {"message": "odd", "type": ["a"], "code": {"b": 1}}}, "odd"),
        (400, {"error": {"code": "DeploymentNotFound", "message": "The deployment does not exist."}},
         "The deployment does not exist."),  # Azure
        (401, {"statusCode": 401, "message": "Unauthorized. Access token is missing."},
         "Unauthorized. Access token is missing."),  # Azure
        (500, {"error": "model requires more system memory (12.1 GiB) than is available (7.6 GiB)"},
         "model requires more system memory (12.1 GiB) than is available (7.6 GiB)"),  # Ollama
        (424, {"error": "Failed during generation", "error_type": "generation"}, "Failed during generation"),  # TGI
        (400, {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, "too long"),  # vLLM
        (422, {"detail": DETAIL}, "body.seed: Extra inputs are not permitted"),
        (422, {"object": "error", "message": {"detail": DETAIL}, "type": "invalid_request_error"},
         "body.seed: Extra inputs are not permitted"),  # Mistral
        (422, {"object": "error", "message": json.dumps({"detail": DETAIL}), "code": "1000"},
         "body.seed: Extra inputs are not permitted"),
        (401, {"detail": "Unauthorized"}, "Unauthorized"),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                          "details": [{"reason": "API_KEY_INVALID", "metadata": {"service": "generative"}}]}}],
         "API key not valid. Please pass a valid API key."),  # Gemini
        (400, {"error": {"message": json.dumps({"error": {"code": 400, "message": "API key not valid."}}), "code": 400}},
         "API key not valid."),
        (429, {"error": {"message": "Provider returned error", "code": 429, "metadata": {"provider_name": "Moonshot AI",
               "raw": json.dumps({"error": {"message": "Your account is suspended"}})}}},
         "Provider returned error; Your account is suspended"),  # OpenRouter
        (400, {"error": {"message": 'litellm.BadRequestError: MistralException - {"detail": "no such field"}'}},
         "litellm.BadRequestError: MistralException; no such field"),
        (400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None},
         "Model does not exist. Please check it carefully."),  # SiliconFlow
        (400, {"errors": [{"message": "one"}, {"message": "two"}]}, "one; two"),
        (400, "Error code: 400 - {'error': {'message': \"it's wrong\", 'code': 'x'}}", "Error code: 400; it's wrong"),
        (500, "upstream\nexploded", "upstream exploded"),
        (502, "<html>\n<head><title>502 Bad Gateway</title></head>",
         "the server answered with a web page (502 Bad Gateway)"),
        (404, "<html><body>", "the server answered with a web page: check base_url"),
        (503, "", "Service Unavailable"),
        (418, {}, "I'm a Teapot"),
    ],
)  # fmt: skip
def test_the_words_of_an_error(status: int, body: Any, words: str) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    assert str(read_error(status, content.encode())) == f"status {status}: {words}"


def test_an_error_nested_without_end_is_read() -> None:
    body: Any = "deep"
    for _ in range(300):
        body = {"error": [body]}
    assert str(read_error(500, json.dumps(body))).startswith('status 500: {"error": [{"error"')


def ask(
    faults: list[Fault], attempts: int = 1, schema: dict[str, Any] | None = None
) -> tuple[Any, PlaygroundServer]:
    """The reply or the error of one request to a server with these faults."""

    async def complete() -> Any:
        settings = ChatSettings(max_attempts=attempts, temperature=0.5)
        async with ChatClient("some-model", server.base_url, "sk-secret-1234", settings) as client:
            return await client.complete([{"role": "user", "content": "x"}], schema=schema)

    with serve(lambda messages: "B", faults) as server:
        try:
            return asyncio.run(complete()), server
        except (AskFailed, TeacherStop) as error:
            return error, server


KEY, MONEY = "the key was refused", "quota used up or billing stopped"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"error": {"message": "Incorrect API key provided: sk-secret-1234."}},
         f"{KEY} (401): Incorrect API key provided: ***.; set a valid OPENAI_API_KEY"),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                          "status": "INVALID_ARGUMENT"}}],
         f"{KEY} (400): API key not valid. Please pass a valid API key.; set a valid OPENAI_API_KEY"),
        (403, {"detail": "Invalid API key"}, f"{KEY} (403): Invalid API key; set a valid OPENAI_API_KEY"),
        (200, {"error": {"message": "Insufficient credits. Add more.", "code": 402}},
         f"{MONEY} (402): Insufficient credits. Add more.; top up, then run again"),
        (402, {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}},
         f"{MONEY} (402): Insufficient Balance; top up, then run again"),  # DeepSeek
        (429, {"error": {"message": "Your account org-1 <ak-2> is suspended due to insufficient balance, please recharge",
                         "type": "exceeded_current_quota_error"}},
         f"{MONEY} (429): Your account org-1 <ak-2> is suspended due to insufficient balance, please recharge;"
         " top up, then run again"),  # Moonshot
        (400, {"error": {"code": "Arrearage",
                         "message": "Access denied, please make sure your account is in good standing."}},
         f"{MONEY} (400): Access denied, please make sure your account is in good standing.; top up, then run again"),
        (403, {"code": 30011, "message": "Your paid balance is insufficient. Please top up.", "data": None},
         f"{MONEY} (403): Your paid balance is insufficient. Please top up.; top up, then run again"),
        (403, {"error": {"message": "Your account has been suspended for violating our content policy"}},
         f"{MONEY} (403): Your account has been suspended for violating our content policy; top up, then run again"),
        (400, {"error": {"message": "Organization has been restricted.", "code": "organization_restricted"}},
         f"{MONEY} (400): Organization has been restricted.; top up, then run again"),  # Groq
        (403, {"error": {"message": "Country, region, or territory not supported",
                         "code": "unsupported_country_region_territory"}},
         "Country, region, or territory not supported (403); this server is not for the country or region of this machine"),
        (400, [{"error": {"code": 400, "message": "User location is not supported for the API use.",
                          "status": "FAILED_PRECONDITION"}}],
         "User location is not supported for the API use. (400); this server is not for the country or region of this"
         " machine"),
        (403, {"error": {"message": "You do not have access to model x"}},
         "You do not have access to model x (403); ask for access to some-model or name another model"),
        (403, {"error": {"message": "Please check your network settings."}}, "Please check your network settings. (403)"),
        (404, {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
         "model 'some-model' is not served there (404): The model `x` does not exist; check the URL and the model's name"
         " (it may be retired)"),
        (400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None},
         "model 'some-model' is not served there (400): Model does not exist. Please check it carefully.; check the URL"
         " and the model's name (it may be retired)"),
        (200, b"<!doctype html><title>Open WebUI</title>",
         "the server answered with a web page: check base_url (Open WebUI)"),
        (404, b"<html><title>404 Not Found</title>",
         "the server answered with a web page: check base_url (404 Not Found) (404)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_errors_that_meet_every_request_stop_at_once(
    status: int, body: Any, message: str, schema: dict[str, Any] | None
) -> None:
    error, server = ask([(status, body)], attempts=3, schema=schema)
    assert isinstance(error, TeacherStop)
    assert str(error) == f"teacher at {server.base_url}: {message}" and len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        # Gemini: the limit of one minute has the words of a used-up quota
        (429, [{"error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing"
                " details", "status": "RESOURCE_EXHAUSTED"}}]),
        (429, {"object": "error", "message": "Service tier capacity exceeded", "type": "service_tier_capacity_exceeded"}),
        (200, {"error": {"message": "Provider returned error", "code": 502}}),
        (200, {"error": {"message": "Rate limited", "code": 429}}),
        (424, {"error": "Request failed during generation", "error_type": "generation"}),
        (498, {"error": {"message": "Flex tier capacity exceeded"}}),
        (429, {"error": {"message": "Too many requests. If this continues, your account may be suspended."}}),
        (429, {"error": {"message": "Rate limit; upgrade your account, as the free tier is disabled at peak times"}}),
    ],
)  # fmt: skip
def test_errors_that_pass_are_tried_again(status: int, body: Any) -> None:
    reply, server = ask([(status, body)], attempts=2)
    assert (reply.text, reply.attempts, len(server.requests)) == ("B", 2, 2)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "The response was filtered", "code": "content_filter"}}),
        (400, {"error": {"message": "Considered high risk", "type": "content_filter"}}),  # Moonshot
        (
            400,
            {
                "error": {
                    "message": "Input data may contain inappropriate content",
                    "code": "data_inspection_failed",
                }
            },
        ),
        (
            403,
            {"error": {"code": 403, "message": "Your input was flagged", "metadata": {"flagged_input": "x"}}},
        ),
        (
            400,
            {
                "error": {
                    "message": "Prompt flagged; repeated violations may lead to your account being suspended"
                }
            },
        ),
    ],
)
def test_a_moderated_request_is_declined(status: int, body: Any) -> None:
    error, server = ask([(status, body)], attempts=3, schema=SCHEMA)
    assert isinstance(error, AskFailed) and error.declined and not error.teacher_at_fault
    assert len(server.requests) == 1 and body["error"]["message"] in str(error)


@pytest.mark.parametrize(
    "words",
    [
        "The image could not be processed by the model: file not found",
        "the model was sent an image url that does not exist",
        "image region is not supported",
    ],
)
def test_a_fault_of_one_picture_does_not_stop_the_run(words: str) -> None:
    error, server = ask([(400, {"error": words})], attempts=3)
    assert isinstance(error, AskFailed) and str(error) == f"status 400: {words}"
    assert len(server.requests) == 1


def test_a_wrong_request_fails_with_the_servers_words() -> None:
    error, server = ask([(400, {"error": "context length 4096 exceeded"})] * 2, attempts=3, schema=SCHEMA)
    assert isinstance(error, AskFailed) and str(error) == "status 400: context length 4096 exceeded"
    assert len(server.requests) == 2  # once more without the schema, which may have been at fault


def test_every_refused_field_is_left_out() -> None:
    def faults(body: dict[str, Any]) -> Fault:
        refused = [name for name in ("seed", "temperature", "response_format", "max_tokens") if name in body]
        detail = [
            {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs"} for name in refused[:1]
        ]
        return (422, {"detail": detail}) if detail else None

    async def complete() -> list[str]:
        settings = ChatSettings(temperature=0.5, max_output_tokens=50)
        async with ChatClient("m", server.base_url, "k", settings) as client:
            texts = []
            for _ in range(3):
                texts.append((await client.complete([{"role": "user", "content": "x"}], schema=SCHEMA)).text)
            assert client.refused_settings == ["seed", "temperature", "max_tokens"]
            assert client.format.takes_schema is False
            return texts

    with serve(lambda messages: "B", faults) as server:
        assert asyncio.run(complete()) == ["B"] * 3
    assert len(server.requests) == 4 + 3  # four refusals, then each request once
    assert set(server.requests[-1]) == {"model", "messages", "max_completion_tokens"}


def test_a_server_that_refuses_everything_is_not_asked_for_ever() -> None:
    detail = [
        {"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}
    ]
    detail += [{**detail[0], "loc": ["body", "max_completion_tokens"]}]
    error, server = ask([(422, {"detail": detail})] * 50, attempts=3, schema=SCHEMA)
    assert isinstance(error, AskFailed) and len(server.requests) <= 4
    assert "body.max_tokens: Extra inputs are not permitted" in str(error)
