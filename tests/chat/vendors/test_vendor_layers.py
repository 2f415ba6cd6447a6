"""Anthropic, Gemini and Mistral by their OpenAI-compatible addresses: what a request may hold, by their documentation.

The servers here refuse or ignore every other field as the vendor does; docs/servers.md holds the same facts as a table.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from experiments import demo_experiment
from PIL import Image
from vendors.anthropic import ANTHROPIC
from vendors.cell import Cell, CellOf
from vendors.dialect import Ended, Sent, Vendor
from vendors.labs import GEMINI, MISTRAL
from vendors.readers import READERS, Reader

from dataengine_lib.chat.endpoint import endpoint
from dataengine_lib.chat.rate_control import RateControl
from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.chat.request_format import RequestFormat
from dataengine_lib.chat.server_errors import asked_wait
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.precheck import parameter_findings
from dataengine_lib.runs.workflow import plan
from dataengine_lib.students.on_server.api_student import ApiStudent

COMMON = {"model", "messages", "max_tokens", "temperature", "top_p", "n", "stop", "stream", "response_format"}
# https://docs.mistral.ai/api, and mistralai/client-python, src/mistralai/models/chatcompletionrequest.py
OF_MISTRAL = COMMON | {
    "random_seed",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "safe_prompt",
}
# https://ai.google.dev/gemini-api/docs/openai; `seed` by Vali-98/ChatterUI#227
OF_GEMINI = COMMON | {"max_completion_tokens", "service_tier", "reasoning_effort", "tools", "tool_choice"}

Shown = Callable[[Cell, dict[str, Any]], Sent]


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def mistral(it: Cell, body: dict[str, Any]) -> Sent:
    refused = [
        {
            "type": "extra_forbidden",
            "loc": ["body", name],
            "msg": "Extra inputs are not permitted",
            "input": body[name],
        }
        for name in body.keys() - OF_MISTRAL
    ]
    if refused:
        detail = {"detail": sorted(refused, key=lambda one: one["loc"])}
        error = {
            "object": "error",
            "message": detail,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
        return Sent(422, error)
    answer = it.answer(body)
    limits = {"x-ratelimit-limit-req-minute": "6000", "x-ratelimit-remaining-req-minute": "5999"}
    return Sent(200, answer.body, headers=limits)


def gemini(it: Cell, body: dict[str, Any]) -> Sent:
    if "logprobs" in body:
        error = {
            "code": 400,
            "message": "Logprobs is not enabled for models/gpt-4o-mini",
            "status": "INVALID_ARGUMENT",
        }
        return Sent(400, [{"error": error}])
    if refused := sorted(body.keys() - OF_GEMINI):
        words = "\n".join(
            f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.' for name in refused
        )
        return Sent(400, [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}])
    return it.answer(body)


def anthropic(it: Cell, body: dict[str, Any]) -> Sent:
    if "temperature" in body:  # of models since Opus 4.7
        return it.shown("refused_field", body)
    answer = it.answer(without(body, "response_format"))  # ignored: a text, not JSON
    return Sent(200, answer.body, headers={"x-ratelimit-limit-requests": "4000", "request-id": "req_1"})


LAYERS: list[tuple[Vendor, Shown, set[str]]] = [
    (MISTRAL, mistral, {"seed"}),
    (GEMINI, gemini, {"seed"}),
    (ANTHROPIC, anthropic, {"temperature"}),
]
TEACHER, STUDENT = READERS[2], READERS[1]


@pytest.mark.parametrize("reader", [TEACHER, STUDENT], ids=["teacher", "student"])
@pytest.mark.parametrize(("vendor", "shown", "refused"), LAYERS, ids=[row[0].name for row in LAYERS])
def test_a_teacher_and_a_student_are_asked_in_what_the_layer_takes(
    vendor: Vendor, shown: Shown, refused: set[str], reader: Reader, cell: CellOf
) -> None:
    it = cell(vendor, reader)
    asked = it.ask(lambda body, number: shown(it, body), 2)
    assert (asked.answers, asked.message) == ([reader.right] * 2, "")
    # one refusal, which is not billed, teaches all later requests
    assert len(it.requests) == 3
    assert all(refused <= body.keys() for body in it.requests[:1])
    assert not any(refused & body.keys() for body in it.requests[1:])
    prompt, cached, completion = vendor.counted
    assert asked.used is not None and asked.used[:3] == (2 * prompt, 2 * cached, 2 * completion)


@pytest.mark.parametrize(
    ("vendor", "shown", "words"),
    [
        (MISTRAL, mistral, "gives no log-probabilities"),
        (GEMINI, gemini, "Logprobs is not enabled for models"),
        # ignored, so the first reply is paid for and says nothing
        (ANTHROPIC, anthropic, "its replies list no probable tokens"),
    ],
    ids=[row[0].name for row in LAYERS],
)
def test_letters_are_not_ranked_and_one_request_finds_out(
    vendor: Vendor, shown: Shown, words: str, cell: CellOf
) -> None:
    it = cell(vendor, STUDENT)
    it.line.script = lambda body, number: shown(it, body)
    student = ApiStudent("m", ChatSettings(base_url=it.line.url), ledger=it.folder / "ledger.jsonl")
    picture = Image.new("RGB", (8, 8))
    with pytest.raises(TeacherStop, match=f"{words}.*set rank to generate"):
        student.rank([picture] * 3, [f"{name} animal (B) fox" for name in "abc"], [["dog", "fox"]] * 3)
    assert len(it.requests) == 1


def test_what_a_vendor_calls_a_field_is_what_it_gets() -> None:
    settings = ChatSettings(temperature=0.2, seed=7, max_output_tokens=50)
    sent = {
        url: RequestFormat("m", url, settings).body([]).keys() - {"model", "messages"}
        for url in ("https://api.mistral.ai/v1", "https://api.anthropic.com/v1", "https://api.openai.com/v1")
    }
    assert sent["https://api.mistral.ai/v1"] == {"max_tokens", "temperature", "random_seed"} < OF_MISTRAL
    assert sent["https://api.anthropic.com/v1"] == {"max_tokens", "temperature", "seed"}
    assert sent["https://api.openai.com/v1"] == {"max_completion_tokens", "temperature", "seed"}


def status_error(status: int, body: Any, headers: dict[str, str] | None = None) -> openai.APIStatusError:
    request = httpx2.Request("POST", "http://host/v1/chat/completions")
    response = httpx2.Response(status, headers=headers, content=json.dumps(body).encode(), request=request)
    return openai.RateLimitError("", response=response, body=body)


def test_the_wait_is_read_from_the_header_or_the_body() -> None:
    shown = GEMINI.shows["rate_limit"]
    assert isinstance(shown, Sent)
    assert asked_wait(status_error(429, shown.body)) == 0.02
    assert asked_wait(status_error(429, shown.body, {"retry-after": "3"})) == 3
    long = json.loads(json.dumps(shown.body).replace("0.02s", "34074.5s"))
    assert asked_wait(status_error(429, long)) == 34074.5  # beyond two minutes, the run stops and says so
    assert asked_wait(status_error(429, {"error": {"message": "slow down"}})) is None
    control = RateControl(8)
    control.read_limits({"x-ratelimit-limit-req-minute": "60", "x-ratelimit-limit-tokens-minute": "6000"})
    assert (control.requests.cap, control.tokens.cap) == (pytest.approx(0.98), pytest.approx(98))


def test_a_model_that_is_not_in_the_plan_stops_at_once(cell: CellOf) -> None:
    it = cell(MISTRAL, STUDENT)
    shown = MISTRAL.shows["rate_limit"]
    assert isinstance(shown, Sent) and not isinstance(shown, Ended)
    none = Sent(429, shown.body, headers={"x-ratelimit-limit-req-minute": "0"})
    asked = it.ask(lambda body, number: none, 2)
    assert asked.stopped and len(it.requests) == 1
    assert "allows no requests to gpt-4o-mini" in asked.message and "another plan" in asked.message


def test_each_vendor_s_key_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {
        "https://api.anthropic.com/v1/": "ANTHROPIC_API_KEY",
        "https://generativelanguage.googleapis.com/v1beta/openai/": "GEMINI_API_KEY",
        "https://api.mistral.ai/v1": "MISTRAL_API_KEY",
    }
    for url, name in urls.items():
        monkeypatch.setenv(name, f"key-of-{name}")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-open")
        assert endpoint(url) == (url.rstrip("/"), f"key-of-{name}")
        monkeypatch.delenv(name)
        assert endpoint(url)[1] == "sk-open"
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(ParameterError, match=f"{name} is not set; export it"):
            endpoint(url)
    monkeypatch.setenv("MISTRAL_API_KEY", "key-of-mistral")
    assert endpoint("http://localhost:8000/v1")[1] == "none"  # no key goes to another server


def test_texts_are_not_ranked_by_servers_that_are_known_not_to(tmp_path: Path) -> None:
    for url, bad in (("https://api.anthropic.com/v1", True), ("http://localhost:8000/v1", False)):
        sets = ["evaluate.student=api:m", "evaluate.rank=text", f"evaluate.base_url={url}"]
        found = list(parameter_findings(Path("my.yaml"), plan(demo_experiment(*sets), tmp_path)))
        lines = [one.message for one in found if "which rank: text needs" in one.message]
        assert bool(lines) == bad and all("set rank to letter or generate" in line for line in lines)
