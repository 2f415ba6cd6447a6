"""Symptoms of public reports about servers and teachers of other tools, rebuilt here with inputs of our own."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.files import read_jsonl, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.errors import DataEngineError
from dataengine_lib.playground.server import PlaygroundServer, serve
from dataengine_lib.steps.generate_qa import GenerateQaConfig, GenerateQaResult, generate_qa
from dataengine_lib.steps.post_process import PostProcessConfig, PostProcessResult, post_process

KEY = "sk-secret-1234"
QA = (
    "Question: Which animal is {}?\nChoices: (A) a cat (B) a fox (C) a dog (D) a cow\n"
    "Answer: (B) a fox\nExplanation: It is a fox."
)
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def write(messages: list[dict[str, Any]]) -> str:
    return QA.format(messages[-1]["content"])


def is_about(body: dict[str, Any], number: int) -> bool:
    return bool(body["messages"][-1]["content"] == f"query {number}")


def completion(content: Any, finish: str, usage: Any = None, **message: Any) -> tuple[int, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish,
    }
    used = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    return 200, {"id": "x", "model": "m", "choices": [choice], "usage": usage or used}


def generate(folder: Path, server: PlaygroundServer, count: int = 4, **values: Any) -> GenerateQaResult:
    queries = [
        Query(image_id=n, prompt=f"query {n}", question_type="ocr", query_id=f"r-{n}", image_path=f"{n}.jpg")
        for n in range(count)
    ]
    write_json(folder / "gptvqa_prompt.json", queries)
    given: dict[str, Any] = {
        "input": folder / "gptvqa_prompt.json", "output": folder / "gptvqa_result.jsonl", "teacher": "openai:gpt-4o-mini",
        "base_url": server.base_url, "batch_poll_s": 0.02, "max_attempts": 2, "reply_format": "text",
    }  # fmt: skip
    return generate_qa(GenerateQaConfig(**(given | values)))


def post(folder: Path, **values: Any) -> PostProcessResult:
    given: dict[str, Any] = {"input": folder / "gptvqa_result.jsonl", "output": folder / "train.json"}
    return post_process(PostProcessConfig(**(given | values)))


def ids(result: GenerateQaResult) -> list[str]:
    return [row.query_id for row in result.results]


# bespokelabsai/curator#543
@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS"])
def test_a_cut_row_of_a_batch_is_a_failure_and_no_reply(tmp_path: Path, finish: str) -> None:
    cut = completion("Question: Which animal is", finish)
    with serve(write, lambda body: cut if is_about(body, 1) else None) as server:
        result = generate(tmp_path, server, mode="batch")
    assert ids(result) == ["r-0", "r-2", "r-3"]
    assert [(row.query_id, row.kind) for row in result.failures] == [("r-1", "length")]


# bespokelabsai/curator#226
def test_of_an_expired_batch_only_rows_that_were_not_reached_are_sent_again(tmp_path: Path) -> None:
    with serve(write) as server:
        server.batches.expires_after = lambda number: 2 if number == 0 else None
        result = generate(tmp_path, server, mode="batch")
        asked = [body["messages"][-1]["content"] for body in server.requests]
    assert ids(result) == ["r-0", "r-1", "r-2", "r-3"] and sorted(asked) == [f"query {n}" for n in range(4)]


# bespokelabsai/curator#548
@pytest.mark.parametrize("status", [400, 403])
def test_a_batch_without_credit_stops_with_the_servers_words(tmp_path: Path, status: int) -> None:
    words = "Your credit balance is too low to access the API. Please go to Plans & Billing."
    refused = (status, {"type": "error", "error": {"type": "invalid_request_error", "message": words}})
    with serve(write, lambda body: refused) as server, pytest.raises(DataEngineError) as caught:
        generate(tmp_path, server, mode="batch")
    assert words in str(caught.value) and "top up" in str(caught.value) and "\n" not in str(caught.value)


# bespokelabsai/curator#141
def test_a_web_page_with_status_502_is_called_one_and_the_key_is_not_shown(tmp_path: Path) -> None:
    def echoed(body: dict[str, Any]) -> Any:
        return (502, PAGE + f"Authorization: Bearer {KEY}".encode()) if is_about(body, 0) else None

    with serve(write, echoed) as server:
        result = generate(tmp_path, server)
    (failed,) = result.failures
    assert "502" in failed.reason and "web page" in failed.reason and ids(result) == ["r-1", "r-2", "r-3"]
    assert not any(KEY in file.read_text() for file in tmp_path.iterdir())


# bespokelabsai/curator#621
@pytest.mark.parametrize(
    "reply",
    [
        completion(None, "content_filter: PROHIBITED_CONTENT"),
        completion("", "PROHIBITED_CONTENT"),
        completion("", "content-filter"),
        (200, {"id": "x", "choices": [{"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant"}}]}),
    ],
)  # fmt: skip
def test_a_prohibited_request_is_declined_and_counted(tmp_path: Path, reply: Any) -> None:
    with serve(write, lambda body: reply if is_about(body, 2) else None) as server:
        result = generate(tmp_path, server)
    assert ids(result) == ["r-0", "r-1", "r-3"]
    assert [(row.query_id, row.kind) for row in result.failures] == [("r-2", "content_filter")]


# bespokelabsai/curator#621
def test_a_prohibited_prompt_in_geminis_own_form_is_named_and_not_sent_again(tmp_path: Path) -> None:
    reply = (
        200,
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"totalTokenCount": 9}},
    )
    with serve(write, lambda body: reply if is_about(body, 2) else None) as server:
        result = generate(tmp_path, server)
        assert len(server.requests) == 4
    assert ids(result) == ["r-0", "r-1", "r-3"] and "PROHIBITED_CONTENT" in result.failures[0].reason


# argilla-io/distilabel#1035
def test_a_reply_of_null_is_no_row_and_reaches_no_later_step(tmp_path: Path) -> None:
    with serve(write, lambda body: completion(None, "stop") if is_about(body, 1) else None) as server:
        result = generate(tmp_path, server)
    assert [row.query_id for row in result.failures] == ["r-1"] and "empty" in result.failures[0].reason
    assert [row["query_id"] for row in read_jsonl(tmp_path / "gptvqa_result.jsonl")] == ["r-0", "r-2", "r-3"]
    assert [record["query_id"] for record in json.loads(post(tmp_path).output.read_text())] == [
        "r-0",
        "r-2",
        "r-3",
    ]


# argilla-io/distilabel#975
def test_after_failed_calls_the_next_run_asks_for_these_alone(tmp_path: Path) -> None:
    down = (500, {"error": {"message": "Internal server error"}})
    with serve(write, lambda body: down if is_about(body, 0) or is_about(body, 2) else None) as server:
        assert ids(generate(tmp_path, server)) == ["r-1", "r-3"]
    with serve(write) as server:
        result = generate(tmp_path, server)
        assert sorted(body["messages"][-1]["content"] for body in server.requests) == ["query 0", "query 2"]
    assert ids(result) == ["r-0", "r-1", "r-2", "r-3"] and not result.failures
    assert (
        read_jsonl(tmp_path / "gptvqa_failed.jsonl") == []
        and len(json.loads(post(tmp_path).output.read_text())) == 4
    )


# argilla-io/distilabel#492
def test_replies_of_which_none_can_be_used_end_in_one_line(tmp_path: Path) -> None:
    with serve(lambda messages: "I cannot see the picture.") as server:
        generate(tmp_path, server)
    with pytest.raises(DataEngineError) as caught:
        post(tmp_path)
    assert "\n" not in str(caught.value) and "gptvqa_result.jsonl" in str(caught.value)
    assert "rejects.jsonl" in str(caught.value)


# ucbepic/docetl#188
def test_changed_settings_are_asked_anew_and_no_reply_is_empty(tmp_path: Path) -> None:
    with serve(write) as server:
        generate(tmp_path, server, temperature=0.0)
        result = generate(tmp_path, server, temperature=0.7)
        assert [body["temperature"] for body in server.requests] == [0.0] * 4 + [0.7] * 4
    assert [row.raw_instructions for row in result.results] == [QA.format(f"query {n}") for n in range(4)]


# ben-vargas/ai-sdk-provider-opencode-sdk#32
@pytest.mark.parametrize("finish", ["tool-calls", "tool_calls", "function_call"])
def test_a_reply_that_ends_in_a_tool_call_is_no_answer(tmp_path: Path, finish: str) -> None:
    called = completion("", finish, tool_calls=[{"id": "c", "function": {"name": "look", "arguments": "{}"}}])
    with serve(write, lambda body: called if is_about(body, 3) else None) as server:
        result = generate(tmp_path, server)
    assert ids(result) == ["r-0", "r-1", "r-2"]
    assert [row.query_id for row in result.failures] == ["r-3"] and "tool call" in result.failures[0].reason


# decolua/9router#4254
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", ""])
def test_a_budget_spent_on_reasoning_is_a_cut_reply_that_says_so(tmp_path: Path, name: str) -> None:
    used = {
        "prompt_tokens": 9,
        "completion_tokens": 600,
        "completion_tokens_details": {"reasoning_tokens": 600},
    }
    cut = completion("", "length", used, **({name: "The user wants"} if name else {}))
    with serve(write, lambda body: cut if is_about(body, 1) else None) as server:
        result = generate(tmp_path, server)
    (failed,) = result.failures
    assert (failed.query_id, failed.kind) == ("r-1", "length") and ids(result) == ["r-0", "r-2", "r-3"]
    assert "reasoning" in failed.reason and "max_output_tokens" in failed.reason


# JH-DSAI/text-detection-baselines#35
def test_malformed_rows_of_replies_are_counted_and_shown(tmp_path: Path) -> None:
    with serve(write) as server:
        generate(tmp_path, server, count=60)
    with (tmp_path / "gptvqa_result.jsonl").open("a") as stream:
        stream.write('{"image_id": 1\n[1, 2]\n')
    result = post(tmp_path)
    assert result.counts.by_reason == {"malformed row": 2} and result.counts.kept == 60
    assert any("2 of 62 rows" in warning and "row 61" in warning for warning in result.warnings)
