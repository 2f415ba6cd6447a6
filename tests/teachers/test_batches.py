"""Step 3 through the Batch API: half the price, only failed rows again, and a restart between any two calls."""

import json
import os
import signal
import threading
import time
import traceback
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from killed.forked import forked
from openai.resources.batches import AsyncBatches

from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.playground.server import PlaygroundServer, serve
from dataengine_lib.playground.server_batches import RequestRefused
from dataengine_lib.steps.generate_qa import (
    GenerateQaConfig,
    GenerateQaResult,
    cancel_batches,
    generate_qa,
)
from dataengine_lib.teachers import batches
from dataengine_lib.teachers.batch_state import BATCH_STATE
from dataengine_lib.teachers.reply_files import LEDGER


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234")


def write(messages: list[dict[str, Any]]) -> str:
    return f"Question: {messages[-1]['content']}?"


def prompt_of(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"]


def queries(folder: Path, count: int) -> None:
    rows = [
        Query(image_id=i, prompt=f"query {i}", question_type="image_topic", query_id=f"r-{i}")
        for i in range(count)
    ]
    write_json(folder / "gptvqa_prompt.json", rows)


def config(folder: Path, server: PlaygroundServer, **values: Any) -> GenerateQaConfig:
    given: dict[str, Any] = {
        "input": folder / "gptvqa_prompt.json", "output": folder / "gptvqa_result.jsonl", "mode": "batch",
        "teacher": "openai:gpt-4o-mini", "base_url": server.base_url, "batch_poll_s": 0.02, "batch_requests": 4,
    }  # fmt: skip
    return GenerateQaConfig(**(given | values))


def generate(folder: Path, server: PlaygroundServer, **values: Any) -> GenerateQaResult:
    return generate_qa(config(folder, server, **values))


def test_replies_are_those_of_live_requests_at_half_the_price(tmp_path: Path) -> None:
    for name in ("live", "batch"):
        (tmp_path / name).mkdir()
        queries(tmp_path / name, 10)
    with serve(write) as server:
        live = generate(tmp_path / "live", server, mode="live")
        batch = generate(tmp_path / "batch", server)
        assert [
            len(content.splitlines())
            for name, content in server.batches.files.items()
            if name in inputs(server)
        ] == [4, 4, 2]
        assert generate(tmp_path / "batch", server).earlier == 10 and len(server.batches.batches) == 3
    assert batch.results == live.results
    assert batch.usage.cost_usd == pytest.approx((live.usage.cost_usd or 0) / 2)
    assert {row["tier"] for row in read_jsonl(tmp_path / "batch" / LEDGER) if "key" in row} == {"batch"}
    first = json.loads(server.batches.files["file-0"].splitlines()[0])
    assert first["custom_id"] == batch.results[0].request_key and first["url"] == "/v1/chat/completions"
    assert first["body"]["response_format"]["type"] == "json_schema"


def inputs(server: PlaygroundServer) -> set[str]:
    return {batch["input_file_id"] for batch in server.batches.batches.values()}


def test_only_failed_expired_and_cut_off_rows_are_sent_again(tmp_path: Path) -> None:
    queries(tmp_path, 12)
    once = {"query 1": "500", "query 2": "429", "query 5": "length"}
    always = {"query 6": "400", "query 7": "refusal", "query 8": "500"}

    def fault(body: dict[str, Any]) -> str | None:
        return always.get(prompt_of(body)) or once.pop(prompt_of(body), None)

    with serve(write, fault) as server:
        # queries 2 and 3 are not reached
        server.batches.expires_after = lambda number: 2 if number == 0 else None
        result = generate(tmp_path, server, max_attempts=3)
    asked = Counter(prompt_of(body) for body in server.requests)
    assert asked == Counter([f"query {i}" for i in range(12)]) + Counter(
        {"query 1": 1, "query 2": 1, "query 5": 1, "query 8": 2}
    )
    assert Counter(server.batches.answered) == Counter(
        row["key"] for row in read_jsonl(tmp_path / LEDGER) if "key" in row
    )
    assert [(row.query_id, row.kind) for row in result.failures] == [
        ("r-6", "error"), ("r-7", "refusal"), ("r-8", "error"),
    ]  # fmt: skip
    assert len(result.results) == 9 and result.unasked == 0
    rooms = [body["max_tokens"] for body in server.requests if prompt_of(body) == "query 5"]
    assert rooms == [600, 1200]


def run_of(folder: Path, server: PlaygroundServer) -> BaseProcess:
    """Step 3 in a process that can be killed."""
    environment = {"OPENAI_API_KEY": os.environ["OPENAI_API_KEY"]}
    return forked(generate_qa, config(folder, server), log=folder / "log.txt", environment=environment)


def test_a_restart_between_any_two_calls_loses_and_repeats_nothing(tmp_path: Path) -> None:
    queries(tmp_path, 7)
    calls = 0
    with serve(write, lambda body: "500" if body["messages"][0]["content"] == "query 3" else None) as server:
        ended = 0
        while True:
            process, calls = run_of(tmp_path, server), 0

            def kill(path: str, run: BaseProcess = process, at: int = ended % 4 + 1) -> None:
                """Kill the run when the server has done the call and not answered yet."""
                nonlocal calls
                calls += 1
                if calls == at:
                    run.kill()

            server.before_answer = kill
            process.start()
            process.join()
            if process.exitcode != -signal.SIGKILL:
                break
            ended += 1
            assert ended < 60
    assert process.exitcode == 0, (tmp_path / "log.txt").read_text()
    assert ended >= 6
    kept = read_jsonl(tmp_path / "gptvqa_result.jsonl")
    assert [row["query_id"] for row in kept] == [f"r-{i}" for i in range(7) if i != 3]
    (failed,) = read_jsonl(tmp_path / "gptvqa_failed.jsonl")
    assert failed["query_id"] == "r-3" and "500" in failed["reason"]
    assert Counter(server.batches.answered) == Counter(row["request_key"] for row in kept)


def test_cancelling_keeps_completed_replies(tmp_path: Path) -> None:
    queries(tmp_path, 8)
    go_on = threading.Event()

    def hang(messages: list[dict[str, Any]]) -> str:
        if messages[-1]["content"] in (
            "query 2",
            "query 6",
        ):  # the batches stay there until they are cancelled
            go_on.wait(30)
        return write(messages)

    with serve(hang) as server:
        process = run_of(tmp_path, server)
        process.start()
        while len(server.requests) < 6 and process.is_alive():
            time.sleep(0.01)
        process.kill()
        process.join()
        server.before_answer = lambda path: go_on.set() if path.endswith("batch-1/cancel") else None
        result = cancel_batches(config(tmp_path, server))
        assert {batch["status"] for batch in server.batches.batches.values()} == {"cancelled"}
        assert [row.query_id for row in result.results] == ["r-0", "r-1", "r-2", "r-4", "r-5", "r-6"]
        assert result.unasked == 2 and "2 batches cancelled" in result.notes and not result.failures
        assert read_json(tmp_path / BATCH_STATE)["jobs"] == []
        assert len(generate(tmp_path, server).results) == 8 and len(server.batches.answered) == 8


def test_a_budget_sends_no_more_than_it_allows(tmp_path: Path) -> None:
    queries(tmp_path, 30)
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  gpt-4o-mini: {input: 0, output: 2000000}\n")
    with serve(write) as server:  # a dollar a token in a batch, ten at most for one reply
        result = generate(tmp_path, server, budget_usd=60, prices=prices, max_output_tokens=10)
        # 6 at first, and what these leave of the money goes to others: at 55 there is less than 10 left
        assert len(result.results) == len(server.requests) == 11 and "budget_usd 60" in result.stopped
        assert result.usage.cost_usd == 55 and result.unasked == 19
        assert (
            len(generate(tmp_path, server, budget_usd=60, prices=prices, max_output_tokens=10).results) == 11
        )
        rest = generate(tmp_path, server, budget_usd=155, prices=prices, max_output_tokens=10)
        assert len(rest.results) == len(server.requests) == 30 and rest.stopped == ""


def test_a_budget_holds_for_what_is_sent_again(tmp_path: Path) -> None:
    queries(tmp_path, 12)
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  gpt-4o-mini: {input: 0, output: 2000000}\n")
    with (
        serve(write, lambda body: "length") as server,
        pytest.raises(DataEngineError, match="got a usable reply"),
    ):
        generate(tmp_path, server, budget_usd=60, prices=prices, max_output_tokens=10)
    usage = read_json(tmp_path / "usage.json")
    assert 60 - 2 * 10 < usage["cost_usd"] <= 60


def test_replies_without_usage_count_at_their_worst_against_a_budget(tmp_path: Path) -> None:
    queries(tmp_path, 12)
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  gpt-4o-mini: {input: 0, output: 2000000}\n")
    with serve(write, lambda body: "no-usage") as server:
        result = generate(tmp_path, server, budget_usd=60, prices=prices, max_output_tokens=10)
        assert len(result.results) == len(server.requests) == 6 and "budget_usd 60" in result.stopped
        assert any("60.00 US dollars" in note for note in result.notes)


def test_rows_whose_lines_cannot_be_read_count_at_their_worst_against_a_budget(tmp_path: Path) -> None:
    queries(tmp_path, 12)
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  gpt-4o-mini: {input: 0, output: 2000000}\n")
    with serve(write) as server:
        server.batches.corrupt = lambda content: content[: len(content) // 2]
        result = generate(tmp_path, server, budget_usd=60, prices=prices, max_output_tokens=10)
        # five dollars a reply, ten for one that was lost
        assert 5 * len(server.batches.answered) <= 60 and "budget_usd 60" in result.stopped
        assert result.results and not result.failures


def test_the_key_in_a_batch_s_error_is_not_shown(tmp_path: Path) -> None:
    queries(tmp_path, 2)
    with serve(write) as server:
        server.batches.error_code = lambda number: "no file for sk-secret-1234"
        with pytest.raises(TeacherStop) as caught:
            generate(tmp_path, server)
    assert "no file for ***" in str(caught.value) and "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "garbage", [b"[1, 2]\n", b"not json\n", b'{"custom_id": []}\n', b"\xff\n", b'{"custom_id": "r']
)
def test_invalid_lines_do_not_stop_the_other_rows(tmp_path: Path, garbage: bytes) -> None:
    queries(tmp_path, 4)
    with serve(write) as server:
        server.batches.corrupt = lambda content: (
            content.replace(b"\n", b"\n" + garbage, 1) if garbage.endswith(b"\n") else content + garbage
        )
        assert len(generate(tmp_path, server).results) == len(server.requests) == 4


def test_a_file_that_is_cut_short_is_downloaded_again(tmp_path: Path) -> None:
    queries(tmp_path, 4)
    spoilt: list[bytes] = []

    def cut(content: bytes) -> bytes:
        spoilt.append(content)
        return content[: len(content) // 2] if len(spoilt) == 1 else content

    with serve(write) as server:
        server.batches.corrupt = cut
        assert len(generate(tmp_path, server).results) == len(server.requests) == 4 and len(spoilt) == 2


@pytest.mark.parametrize("lost", [False, True])
def test_a_server_that_fails_to_make_a_batch_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    queries(tmp_path, 4)
    make, calls = AsyncBatches.create, []

    async def create(self: AsyncBatches, **values: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            if lost:  # it is made, and the answer does not come
                await make(self, **values)
            raise openai.InternalServerError(
                "busy",
                response=httpx2.Response(503, request=httpx2.Request("POST", server.base_url)),
                body=None,
            )
        return await make(self, **values)

    monkeypatch.setattr(AsyncBatches, "create", create)
    with serve(write) as server:
        assert len(generate(tmp_path, server).results) == len(server.requests) == 4
        assert len(server.batches.batches) == 1 and len(calls) == 2 - lost


def test_replies_to_requests_no_longer_wanted_are_kept_and_counted(tmp_path: Path) -> None:
    queries(tmp_path, 5)
    with serve(write) as server:
        killed_at_collecting(tmp_path, server)
        result = generate(tmp_path, server, temperature=0.5)
        assert (len(result.results), result.usage.requests, result.usage.other.requests) == (5, 5, 5)
        assert generate(tmp_path, server).earlier == 5 and len(server.requests) == 10


def killed_at_collecting(folder: Path, server: PlaygroundServer) -> None:
    """A run that is killed when it downloads the results of its first batch."""
    process = run_of(folder, server)
    server.before_answer = lambda path: process.kill() if path.endswith("/content") else None
    process.start()
    process.join()
    server.before_answer = lambda path: None


def test_requests_in_unfinished_batches_are_not_sent_live(tmp_path: Path) -> None:
    queries(tmp_path, 5)
    with serve(write) as server:
        killed_at_collecting(tmp_path, server)
        with pytest.raises(ParameterError, match="2 batches are in progress"):
            generate(tmp_path, server, mode="live")
        assert len(server.requests) == 5 and len(generate(tmp_path, server).results) == 5


def test_cancelling_finished_batches_sends_no_further_requests(tmp_path: Path) -> None:
    queries(tmp_path, 8)
    with serve(write, lambda body: "500" if prompt_of(body) == "query 3" else None) as server:
        killed_at_collecting(tmp_path, server)
        while {batch["status"] for batch in server.batches.batches.values()} != {"completed"}:
            time.sleep(0.01)
        result = cancel_batches(config(tmp_path, server))
        assert (
            len(result.results) == 7 and len(server.requests) == 8 and "0 batches cancelled" in result.notes
        )


def test_a_server_that_is_full_gets_the_next_batch_later(tmp_path: Path) -> None:
    queries(tmp_path, 12)
    with serve(write) as server:
        server.batches.error_code = lambda number: "token_limit_exceeded" if number in (1, 2) else None
        assert len(generate(tmp_path, server).results) == 12
        assert Counter(batch["status"] for batch in server.batches.batches.values())["completed"] == 3


def test_a_server_without_a_batch_api_stops_the_run(tmp_path: Path) -> None:
    def upload(raw: bytes, content_type: str) -> dict[str, Any]:
        raise RequestRefused(404, "no such path")

    queries(tmp_path, 2)
    with serve(write) as server:
        server.batches.upload = upload  # type: ignore[method-assign]
        with pytest.raises(TeacherStop, match=r"could not upload a batch.*\(404\).*has a Batch API"):
            generate(tmp_path, server)


def test_a_batch_that_is_gone_can_be_forgotten(tmp_path: Path) -> None:
    queries(tmp_path, 3)
    with serve(write) as server:
        killed_at_collecting(tmp_path, server)
        server.batches.batches.clear()
        with pytest.raises(DataEngineError, match=r"does not know batch .*cancel-batches forgets it"):
            generate(tmp_path, server)
        assert cancel_batches(config(tmp_path, server)).unasked == 3
        assert len(generate(tmp_path, server).results) == 3


def test_pictures_that_cannot_be_read_are_failures(tmp_path: Path) -> None:
    row = Query(
        image_id=1, prompt="?", question_type="t", query_id="r-1", image_path="no.jpg", attach_image=True
    )
    write_json(tmp_path / "gptvqa_prompt.json", [row])
    with serve(write) as server, pytest.raises(DataEngineError, match=r"no\.jpg"):
        generate(tmp_path, server, image_root=tmp_path)


def test_the_key_is_in_no_error_of_a_restart(tmp_path: Path) -> None:
    queries(tmp_path, 3)
    with serve(write) as server:
        process = run_of(tmp_path, server)
        server.before_answer = lambda path: process.kill() if path == "/v1/batches" else None
        process.start()
        process.join()
        server.batches.list = refuse  # type: ignore[method-assign]
        with pytest.raises(DataEngineError, match="key was refused") as caught:
            generate(tmp_path, server)
    shown = "".join(traceback.format_exception(caught.value))
    assert "sk-secret" not in shown


def refuse(after: str, limit: int) -> dict[str, Any]:
    raise RequestRefused(401, "Incorrect API key provided: sk-secret-1234")


def test_a_refused_batch_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queries(tmp_path, 3)
    monkeypatch.setattr("dataengine_lib.playground.server_batches.MOST_LINES", 2)
    with serve(write) as server, pytest.raises(DataEngineError, match="more than 50,000 lines"):
        generate(tmp_path, server)


def test_files_stay_below_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queries(tmp_path, 6)
    monkeypatch.setattr(batches, "_MOST_BYTES", 2500)
    with serve(write) as server:
        result = generate(tmp_path, server, batch_requests=50)
        assert len(result.results) == 6 and len(server.batches.batches) > 1
        assert all(len(server.batches.files[name]) <= 2500 for name in inputs(server))


def test_batches_need_a_model_behind_a_server(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="mode batch needs teacher openai:MODEL"):
        GenerateQaConfig.read(
            {"input": "a", "output": "b", "teacher": "annotations", "mode": "batch"}, "p.yaml: generate_qa"
        )
