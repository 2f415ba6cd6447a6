"""`dataengine doctor` on a teacher's server: model listed and not shut down, schema mode, one request on demand."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from echoing.server import GIVEN, Given, echo_server, leaks
from echoing.server import KEY as ECHOED_KEY

from dataengine_lib.chat.endpoint import endpoint
from dataengine_lib.errors import ParameterError
from dataengine_lib.playground.server import Fault, serve
from dataengine_lib.runs.endpoint_check import check_listing, check_request, listing_headers

TODAY = datetime.date(2026, 11, 24)
QA = {"question": "What runs?", "choices": ["dog", "cat", "cow", "pig"], "answer": "A", "explanation": "It runs.",
      "skip": False, "reason": ""}  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234")


def write(messages: list[dict[str, Any]]) -> str:
    return "Question: What runs?"


@pytest.mark.parametrize(
    ("date", "mark", "message"),
    [
        (None, "ok", "some at http"),
        ("2026-11-24", "bad", "was shut down on 2026-11-24"),
        ("2026-12-11", "warn", "17 days left"),
        ("2027-11-24", "ok", "until 2027-11-24"),
        ("2026-11-24T00:00:00Z", "bad", "was shut down on 2026-11-24"),
        ("2026-11-24 00:00:00", "bad", "was shut down on 2026-11-24"),
        (1795478400, "bad", "was shut down on 2026-11-24"),
        ("soon", "warn", "shutdown_date 'soon' cannot be read"),
    ],
)
def test_a_models_shutdown_date(date: str | int | None, mark: str, message: str) -> None:
    with serve(write) as server:
        server.models = [{"id": "some", "object": "model", "shutdown_date": date}]
        found = check_listing("some", server.base_url, "sk-secret-1234", TODAY)
        assert found[0] == mark and message in found[1]
        found = check_listing("other", server.base_url, "k", TODAY)
        assert found == ("warn", f"{server.base_url} lists no model other; it offers some")
        server.models = [{"id": "llama:latest"}]
        assert check_listing("llama", server.base_url, "k")[0] == "ok"
        server.models = [{"id": "models/gemini-3-flash"}]
        assert check_listing("gemini-3-flash", server.base_url, "k")[0] == "ok"
    away = server.base_url.replace("//", "//me:s3cret@")
    mark, message = check_listing("llama", away, "k")
    assert mark == "bad" and f"{server.base_url} does not answer" in message and "s3cret" not in message


@pytest.mark.parametrize("url", ["http://[::1", "localhost:8000/v1", "ftp://here/v1", "http://here:port/v1"])
def test_an_invalid_base_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(ParameterError, match=r"^base_url[^\n]*$"):
        endpoint(url)


def test_a_base_url_is_named_without_its_password() -> None:
    with pytest.raises(ParameterError, match="given: 'here:8000/v1'") as caught:
        endpoint("me:s3cret@here:8000/v1?key=s3cret")
    assert "s3cret" not in str(caught.value)


def test_an_invalid_host_name_does_not_answer() -> None:
    mark, message = check_listing("some", "http://a..b/v1", "k")
    assert mark == "bad" and "does not answer" in message


def test_a_list_is_asked_for_in_the_vendor_s_way() -> None:
    assert listing_headers("https://api.anthropic.com/v1", "k") == {
        "x-api-key": "k",
        "anthropic-version": "2023-06-01",
    }
    assert listing_headers("https://api.mistral.ai/v1", "k") == {"Authorization": "Bearer k"}
    assert listing_headers("http://localhost:8000/v1", "none") == {}


def test_a_retired_model_needs_no_server() -> None:
    assert "was shut down" in check_listing("gpt-4", "https://api.openai.com/v1", "k")[1]


@pytest.mark.parametrize(
    ("fault", "structured", "mark", "message"),
    [
        (None, True, "ok", "JSON schema works"),
        (None, False, "warn", "the reply does not follow it"),
        ("no-schema", True, "warn", "accepts no JSON schema"),
        ("length", True, "warn", "raise max_output_tokens"),
        ("refusal", True, "warn", "the model refused to answer"),
        ("content_filter", True, "warn", "filter blocked the reply"),
        ("401", True, "bad", "key was refused"),
        ("500", True, "bad", "one request failed: status 500: fault 500"),
        (
            (200, {"choices": [{"message": {"content": None, "reasoning": "x"}}]}),
            True,
            "bad",
            "its text is in reasoning",
        ),
        (
            (200, b"<html><title>WebUI</title>"),
            True,
            "bad",
            "answered with a web page: check base_url (WebUI)",
        ),
    ],
)
def test_schema_mode_is_tried_on_a_server_here(
    fault: Fault, structured: bool, mark: str, message: str
) -> None:
    filled = (lambda messages, schema: json.dumps(QA)) if structured else None
    with serve(write, lambda body: fault, filled) as server:
        found, line = check_request("openai:some", server.base_url, paid=False)
    assert (found, message in line) == (mark, True), line
    assert "sk-secret" not in line


def test_money_is_spent_only_on_request_and_no_more_than_a_cent(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = "https://api.openai.com/v1"
    assert "JSON schema not tried" in check_request("openai:gpt-5.4-mini", elsewhere, paid=False)[1]
    monkeypatch.setattr("dataengine_lib.runs.endpoint_check.MAX_USD", 1e-9)
    assert "not asked: one reply may cost" in check_request("openai:gpt-5.4-mini", elsewhere, paid=True)[1]


def test_the_price_table_of_the_step_counts(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  some: {input: 1000000, output: 1}\n")
    with serve(write) as server:
        mark, message = check_request("openai:some", server.base_url, paid=True, prices=prices)
    assert mark == "warn" and "not asked: one reply may cost" in message and server.requests == []


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: given.name)
def test_the_doctor_sends_and_shows_no_secret_in_the_wrong_place(tmp_path: Path, given: Given) -> None:
    """The list of models repeats every secret as a model's name and as the day of its shutdown."""
    with echo_server(200, None) as server:
        url = given.url(server.server_port)
        found = check_listing("some", url, ECHOED_KEY, TODAY)
    assert server.paths == ["/v1/models" + given.behind]
    assert found.mark == "warn" and f"127.0.0.1:{server.server_port}/v1 lists no model some" in found.message
    assert "***" in found.message and leaks(tmp_path, given, found.message) == []
