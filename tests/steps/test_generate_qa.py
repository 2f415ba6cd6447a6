"""Step 3 keeps every reply that was paid for, sends no request twice, and ends with the same bytes."""

import asyncio
import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.prices import IMAGE_TOKENS, Price, most_tokens, read_prices
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import Query, Result
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.playground.server import PlaygroundServer, message_text, serve
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.steps.generate_qa import GenerateQaConfig, GenerateQaResult, generate_qa
from dataengine_lib.steps.post_process import PostProcessConfig, post_process
from dataengine_lib.teachers.query_costs import query_costs
from dataengine_lib.teachers.reply_files import LEDGER

KEY = "sk-secret-1234"
TYPES = ("object_localization", "image_scene", "action_recognition")
EVERYTHING = ("gptvqa_result.jsonl", "gptvqa_failed.jsonl", "usage.json")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def writer(messages: list[dict[str, Any]]) -> str:
    return f"Question: {messages[-1]['content']}?"


def prompt_of(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"]


def queries(folder: Path, count: int, first: int = 0) -> Path:
    rows = [
        Query(
            image_id=i,
            prompt=f"query {i}",
            question_type=TYPES[i % 3],
            query_id=f"r-{i}",
            image_path=f"{i}.jpg",
        )
        for i in range(first, first + count)
    ]
    return write_json(folder / "gptvqa_prompt.json", rows)


def generate(folder: Path, server: PlaygroundServer | None = None, **values: Any) -> GenerateQaResult:
    given: dict[str, Any] = {"input": folder / "gptvqa_prompt.json", "output": folder / "gptvqa_result.jsonl"}
    if server:
        given |= {"teacher": "openai:gpt-4o-mini", "base_url": server.base_url}
    return generate_qa(GenerateQaConfig(**(given | values)))


def asked(server: PlaygroundServer) -> Counter[str]:
    return Counter(prompt_of(body) for body in server.requests)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in EVERYTHING}


def test_a_reply_has_the_cause_of_its_query(tmp_path: Path) -> None:
    rows = [
        Query(image_id=1, prompt="a", question_type="ocr", query_id="r-1", cause="colors"),
        Query(image_id=2, prompt="b", question_type="ocr", query_id="r-2"),
    ]
    write_json(tmp_path / "gptvqa_prompt.json", rows)
    with serve(writer) as server:
        generate(tmp_path, server)
    found = [json.loads(line) for line in (tmp_path / "gptvqa_result.jsonl").read_text().splitlines()]
    assert [one.get("cause", "absent") for one in found] == ["colors", "absent"]


def test_results_usage_and_ledger(tmp_path: Path) -> None:
    queries(tmp_path, 7)
    with serve(writer) as server:
        result = generate(tmp_path, server)
    rows = read_jsonl(tmp_path / "gptvqa_result.jsonl", Result)
    assert rows == result.results and [row.query_id for row in rows] == [f"r-{i}" for i in range(7)]
    assert rows[4] == Result(
        image_id=4, raw_instructions="Question: query 4?", question_type=TYPES[1], query_id="r-4",
        image_path="4.jpg", model="gpt-4o-mini", finish_reason="stop", prompt_tokens=2, completion_tokens=5,
        request_key=rows[4].request_key,
    )  # fmt: skip
    usage = read_json(tmp_path / "usage.json")
    assert (usage["requests"], usage["prompt_tokens"], usage["completion_tokens"]) == (7, 14, 35)
    price = read_prices().models["gpt-4o-mini"]
    assert usage["cost_usd"] == pytest.approx((14 * price.input + 35 * price.output) / 1e6)
    assert {name: part["requests"] for name, part in usage["per_question_type"].items()} == dict(
        zip(TYPES, (3, 2, 2), strict=True)
    )
    assert usage["price_date"] == read_prices().date.isoformat()
    *ledger, last = [row for row in read_jsonl(tmp_path / LEDGER) if "reserved" not in row]
    assert {row["query_id"]: row["key"] for row in ledger} == {row.query_id: row.request_key for row in rows}
    assert list(last) == ["finished"]
    row = next(row for row in ledger if row["query_id"] == "r-4")
    assert row["key"] == hashlib.sha256(msgspec.json.encode(row["request"], order="sorted")).hexdigest()
    assert row["request"]["messages"] == [{"role": "user", "content": "query 4"}]
    assert row["request_id"].startswith("req-") and row["time"] and row["seconds"] > 0
    assert (row["text"], row["room"], row["usage"]["total_tokens"]) == ("Question: query 4?", 600, 7)
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_same_bytes_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    def slow(messages: list[dict[str, Any]]) -> str:
        time.sleep((hash(messages[-1]["content"]) % 7) / 200)
        return writer(messages)

    found = []
    for name, concurrency in (("a", 16), ("b", 3)):
        folder = tmp_path / name
        queries(folder, 30)
        with serve(slow, ["500", None, "drop", "429 retry-after=0.1"]) as server:
            generate(folder, server, concurrency=concurrency)
        found.append(contents(folder))
    assert found[0] == found[1]


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    queries(tmp_path, 5)
    with serve(writer) as server:
        generate(tmp_path, server)
        before = contents(tmp_path)
        result = generate(tmp_path, server)
        assert len(server.requests) == 5
    assert result.earlier == 5 and contents(tmp_path) == before


def test_a_torn_line_is_asked_again_and_the_rest_is_not(tmp_path: Path) -> None:
    queries(tmp_path, 6)
    with serve(writer) as server:
        generate(tmp_path, server)
        before = contents(tmp_path)
        ledger = tmp_path / LEDGER
        lines = [line for line in ledger.read_bytes().splitlines(keepends=True) if b'"reserved"' not in line]
        ledger.write_bytes(b"".join(lines[:3]) + lines[3][:20])
        lost = {f"query {json.loads(line)['query_id'][2:]}": 1 for line in lines[3:6]}
        (tmp_path / "gptvqa_result.jsonl").unlink()
        server.requests.clear()
        generate(tmp_path, server)
        assert asked(server) == lost
    assert contents(tmp_path) == before


SCRIPT = """
import sys
from pathlib import Path
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
folder = Path(sys.argv[1])
generate_qa(GenerateQaConfig(input=folder / "gptvqa_prompt.json", output=folder / "gptvqa_result.jsonl",
                             teacher="openai:gpt-4o-mini", base_url=sys.argv[2], concurrency=4))
"""


def test_kill_at_any_moment_neither_loses_nor_repeats(tmp_path: Path) -> None:
    def slow(messages: list[dict[str, Any]]) -> str:
        time.sleep(0.01)
        return writer(messages)

    queries(tmp_path, 120)
    with serve(slow) as server:
        for enough in (20, 60):  # killed twice, the second time while it resumes
            run = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path), server.base_url])
            while len(server.requests) < enough and run.poll() is None:
                time.sleep(0.005)
            os.kill(run.pid, signal.SIGKILL)
            assert run.wait() == -signal.SIGKILL
        kept = {row.query_id for row in read_jsonl(tmp_path / "gptvqa_result.jsonl", Result, torn_tail=True)}
        before = asked(server)
        assert len(kept) >= 60 - 2 * 4  # all but those on their way at the two kills
        result = generate(tmp_path, server)
        third = asked(server) - before
    assert third == Counter(f"query {i}" for i in range(120) if f"r-{i}" not in kept)
    assert (before + third).total() <= 120 + 2 * 4 and result.earlier == len(kept)
    clean = tmp_path / "clean"
    queries(clean, 120)
    with serve(writer) as server:
        generate(clean, server)
    assert contents(clean) == contents(tmp_path)


def test_other_queries_stay_in_the_ledger_and_are_counted_apart(tmp_path: Path) -> None:
    queries(tmp_path, 4)
    with serve(writer) as server:
        generate(tmp_path, server)
        queries(tmp_path, 4, first=2)
        result = generate(tmp_path, server)
        assert asked(server).total() == 6
        assert [row.query_id for row in result.results] == ["r-2", "r-3", "r-4", "r-5"]
        assert (result.usage.requests, result.usage.other.requests) == (4, 2)
        queries(tmp_path, 6)
        assert generate(tmp_path, server).earlier == 6 and asked(server).total() == 6


def test_an_edited_prompt_is_another_request(tmp_path: Path) -> None:
    queries(tmp_path, 3)
    with serve(writer) as server:
        generate(tmp_path, server)
        rows = read_json(tmp_path / "gptvqa_prompt.json", list[Query])
        rows[1].prompt += ", please"
        write_json(tmp_path / "gptvqa_prompt.json", rows)
        result = generate(tmp_path, server)
    assert asked(server) == {"query 0": 1, "query 1": 1, "query 1, please": 1, "query 2": 1}
    assert result.results[1].raw_instructions == "Question: query 1, please?"


@pytest.mark.parametrize("fault", [None, "400"])
def test_two_queries_that_ask_the_very_same_are_paid_for_once(tmp_path: Path, fault: str | None) -> None:
    queries(tmp_path, 4)
    rows = read_json(tmp_path / "gptvqa_prompt.json", list[Query])
    rows[2].prompt = rows[0].prompt
    write_json(tmp_path / "gptvqa_prompt.json", rows)
    with serve(writer, lambda body: fault if prompt_of(body) == "query 0" else None) as server:
        result = generate(tmp_path, server, reply_format="text")
        assert asked(server) == {"query 0": 1, "query 1": 1, "query 3": 1}
    answered = {row.query_id: row.image_id for row in result.results}
    assert answered == ({"r-1": 1, "r-3": 3} if fault else {f"r-{i}": i for i in range(4)})
    assert [row.query_id for row in result.failures] == (["r-0", "r-2"] if fault else [])
    assert result.usage.requests == (2 if fault else 3)


CHANGES: list[dict[str, Any]] = [
    {"teacher": "openai:gpt-4.1"}, {"temperature": 0.7}, {"reply_format": "text"}
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_another_teacher_or_setting_does_not_reuse_replies(tmp_path: Path, change: dict[str, Any]) -> None:
    queries(tmp_path, 3)
    with serve(writer) as server:
        generate(tmp_path, server)
        result = generate(tmp_path, server, **change)
        assert len(server.requests) == 6
        assert len(result.results) == 3 and result.usage.other.requests == 3
        assert generate(tmp_path, server).earlier == 3 and len(server.requests) == 6


@pytest.mark.parametrize("change", [{"max_output_tokens": 900}, {"service_tier": "flex"}, {"concurrency": 2}])
def test_parameters_that_do_not_change_replies_send_no_request_again(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    queries(tmp_path, 3)
    with serve(writer) as server:
        generate(tmp_path, server)
        assert generate(tmp_path, server, **change).earlier == 3 and len(server.requests) == 3


def test_a_published_result_file_without_ids_is_not_mixed_in(tmp_path: Path) -> None:
    queries(tmp_path, 2)
    published = {"image_id": 0, "raw_instructions": "old", "question_type": TYPES[0]}
    (tmp_path / "gptvqa_result.jsonl").write_text(json.dumps(published) + "\n")
    with serve(writer) as server:
        result = generate(tmp_path, server)
    assert "old" not in [row.raw_instructions for row in result.results]
    assert read_jsonl(tmp_path / "gptvqa_result.kept_aside.jsonl")[0]["raw_instructions"] == "old"


def test_failures_have_a_reason_and_are_asked_again_by_the_next_run(tmp_path: Path) -> None:
    queries(tmp_path, 8)
    faults = {"query 1": "400", "query 2": "length", "query 3": "refusal", "query 4": "content_filter"}
    with serve(writer, lambda body: faults.get(prompt_of(body))) as server:
        result = generate(tmp_path, server, reply_format="text")
        assert [(row.query_id, row.kind) for row in result.failures] == [
            ("r-1", "error"), ("r-2", "length"), ("r-3", "refusal"), ("r-4", "content_filter"),
        ]  # fmt: skip
        assert all(row["reason"] for row in read_jsonl(tmp_path / "gptvqa_failed.jsonl"))
        assert "cut off at 1200 tokens" in result.failures[1].reason and result.usage.requests == 8
        rooms = [body["max_tokens"] for body in server.requests if prompt_of(body) == "query 2"]
        assert rooms == [600, 1200]
        faults.clear()
        server.requests.clear()
        result = generate(tmp_path, server, reply_format="text")
        assert asked(server) == {f"query {number}": 1 for number in (1, 2, 3, 4)}
        assert len(result.results) == 8 and not result.failures and result.usage.requests == 12
        assert read_jsonl(tmp_path / "gptvqa_failed.jsonl") == []


def test_a_resumed_run_pays_for_no_refusal_twice(tmp_path: Path) -> None:
    queries(tmp_path, 8)
    faults = ["refusal", "length", "length", None, "401"]
    with serve(writer, faults) as server:
        with pytest.raises(DataEngineError, match="key was refused"):
            generate(tmp_path, server, concurrency=1)
        server.requests.clear()
        result = generate(tmp_path, server)
    assert asked(server) == {f"query {number}": 1 for number in (0, 3, 4, 6, 7)}  # 2, 5 and 1 were paid for
    assert {row.kind for row in result.failures} == {"refusal", "length"} and len(result.results) == 6


def test_a_stopped_run_still_gets_its_request_at_the_longer_limit(tmp_path: Path) -> None:
    queries(tmp_path, 1)
    with serve(writer, ["length", "401"]) as server:
        with pytest.raises(DataEngineError, match="key was refused"):
            generate(tmp_path, server)
        result = generate(tmp_path, server)
    assert [body["max_tokens"] for body in server.requests] == [600, 1200, 1200]
    assert result.results[0].completion_tokens > 5 and result.usage.requests == 2


def test_no_usable_reply_at_all_is_an_error(tmp_path: Path) -> None:
    queries(tmp_path, 3)
    with (
        serve(writer, lambda body: "refusal") as server,
        pytest.raises(DataEngineError, match="none of 3 queries"),
    ):
        generate(tmp_path, server)
    assert len(read_jsonl(tmp_path / "gptvqa_failed.jsonl")) == 3


@pytest.mark.parametrize("fault", ["401", "404", "quota"])
def test_a_stop_in_the_middle_keeps_what_came(tmp_path: Path, fault: str) -> None:
    queries(tmp_path, 60)
    with serve(writer, [None] * 20 + [fault] * 40) as server:
        with pytest.raises(DataEngineError) as caught:
            generate(tmp_path, server, concurrency=4)
        sent = len(server.requests)
        assert sent <= 24 and server.base_url in str(caught.value) and "\n" not in str(caught.value)
        assert len(read_jsonl(tmp_path / "gptvqa_result.jsonl", Result)) == 20
    with serve(writer) as server:
        result = generate(tmp_path, server)
        assert len(server.requests) == 40 and len(result.results) == 60


def test_teacher_down_names_the_url(tmp_path: Path, closed_url: str) -> None:
    queries(tmp_path, 30)
    with pytest.raises(DataEngineError, match="cannot be reached") as caught:
        generate(tmp_path, teacher="openai:gpt-4o-mini", base_url=closed_url)
    assert closed_url in str(caught.value) and caught.value.exit_code == 1


def test_a_stop_sends_no_waiting_request(tmp_path: Path) -> None:
    queries(tmp_path, 200)
    with serve(writer, [None, *["quota"] * 199]) as server:
        began = time.monotonic()
        with pytest.raises(DataEngineError, match="quota used up"):
            generate(tmp_path, server, concurrency=64, timeout_s=120)
    assert len(server.requests) <= 1 + 10 and time.monotonic() - began < 60


def test_budget_refuses_to_start(tmp_path: Path) -> None:
    queries(tmp_path, 3)
    with serve(writer) as server:
        with pytest.raises(ParameterError, match="less than one request may cost"):
            generate(tmp_path, server, budget_usd=1e-6)
        with pytest.raises(ParameterError, match="no price is known for openai:unheard-of"):
            generate(tmp_path, server, teacher="openai:unheard-of", budget_usd=1)
        assert server.requests == []
        # replies that were paid for are read whatever the budget is now; one more query is too much for it
        paid = generate(tmp_path, server)
        assert generate(tmp_path, server, budget_usd=1e-6).results == paid.results
        queries(tmp_path, 4)
        with pytest.raises(ParameterError, match="less than one request may cost"):
            generate(tmp_path, server, budget_usd=1e-6)
        assert len(server.requests) == 3


def test_budget_stops_keeps_and_goes_on_when_raised(tmp_path: Path) -> None:
    queries(tmp_path, 40)
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "date: 2026-01-01\nmodels:\n  gpt-4o-mini: {input: 0, output: 1000000}\n"
    )  # 1 dollar a token
    options: dict[str, Any] = {"prices": prices, "max_output_tokens": 10, "concurrency": 3}
    with serve(writer) as server:
        result = generate(tmp_path, server, budget_usd=60, **options)
        assert "budget_usd 60" in result.stopped and result.stopped in result.notes
        # A reply costs 5, one request may cost 10: the eleventh still fits below 60, the twelfth does not.
        assert len(result.results) == len(server.requests) == 11 and result.unasked == 29
        assert result.usage.cost_usd == 55
        assert [row.query_id for row in result.results] == [f"r-{i}" for i in range(11)]
        assert len(generate(tmp_path, server, budget_usd=60, **options).results) == len(server.requests) == 11
        result = generate(tmp_path, server, budget_usd=1000, **options)
        assert len(result.results) == len(server.requests) == 40 and not result.stopped


def test_requests_without_an_answer_count_against_the_budget_of_every_run(tmp_path: Path) -> None:
    queries(tmp_path, 40)
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  gpt-4o-mini: {input: 0, output: 1000000}\n")
    options: dict[str, Any] = {"prices": prices, "max_output_tokens": 10, "concurrency": 1}
    with serve(writer, ["drop", "drop"]) as server:
        # The two may have cost 10 each, a reply costs 5, and the next request needs 10.
        result = generate(tmp_path, server, budget_usd=60, **options)
        assert len(result.results) == 7 and result.usage.cost_usd == 35
        assert any("20.00 US dollars" in note for note in result.notes)
        assert len(generate(tmp_path, server, budget_usd=64, **options).results) == 7
        assert len(generate(tmp_path, server, budget_usd=65, **options).results) == 8
        replay = {"teacher": f"replay:{tmp_path / LEDGER}", "output": tmp_path / "new" / "r.jsonl"}
        with pytest.raises(DataEngineError, match=r"only 8 of 40 .*raise max_failed_share \(0\.5\)"):
            generate(tmp_path, **replay)
        assert len(read_jsonl(tmp_path / "new" / "r.jsonl")) == 8, "replies are kept all the same"
        replayed = generate(tmp_path, max_failed_share=0.8, **replay)
        assert len(replayed.results) == 8
        assert replayed.warnings[0].startswith("32 of 40 queries got no usable reply, the first: ")


@pytest.mark.parametrize("fault", ["drop", "half", "garbage"])
def test_no_request_is_tried_again_beyond_the_budget(tmp_path: Path, fault: str) -> None:
    queries(tmp_path, 5)
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  gpt-4o-mini: {input: 0, output: 1000000}\n")
    options: dict[str, Any] = {"prices": prices, "max_output_tokens": 10, "concurrency": 1}
    with serve(writer, [None, *[fault] * 9]) as server:
        # A reply of 5 and two tries that may have cost 10 each; a third would cross 30.
        result = generate(tmp_path, server, budget_usd=30, **options)
        assert len(server.requests) == 3 and len(result.results) == 1 and result.unasked == 3
        assert "the budget allows no further attempt" in result.failures[0].reason
        assert "budget_usd 30: 25.0000 spent" in result.stopped
        assert generate(tmp_path, server, budget_usd=34, **options).unasked == 4
        assert len(server.requests) == 3
        generate(tmp_path, server, budget_usd=35, **options)
        assert len(server.requests) == 4


def test_a_budget_holds_for_the_longer_limit_and_counts_other_models_at_their_price(tmp_path: Path) -> None:
    queries(tmp_path, 6)
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "date: 2026-01-01\nmodels:\n  dear: {input: 0, output: 1000000}\n  cheap: {input: 0, output: 1}\n"
    )
    options: dict[str, Any] = {"prices": prices, "max_output_tokens": 10, "concurrency": 3}
    with serve(writer, lambda body: "length" if body["model"] == "dear" else None) as server:
        with pytest.raises(DataEngineError, match="none of"):
            generate(tmp_path, server, teacher="openai:dear", budget_usd=22, **options)
        spent = read_json(tmp_path / "usage.json")["cost_usd"]
        assert 0 < spent <= 22
        more = generate(tmp_path, server, teacher="openai:dear", budget_usd=spent + 9, **options)
        assert (
            "budget_usd" in more.stopped
        )  # a reply with twice the output limit may cost more than what remains
        assert read_json(tmp_path / "usage.json")["cost_usd"] <= spent + 9
        result = generate(tmp_path, server, teacher="openai:cheap", budget_usd=spent, **options)
        assert result.usage.other.cost_usd == more.usage.cost_usd and result.unasked == 6
        with pytest.raises(ParameterError, match="what service_tier priority costs is not known"):
            generate(
                tmp_path, server, teacher="openai:cheap", budget_usd=20, service_tier="priority", **options
            )


@pytest.mark.parametrize("price", ["-1", ".nan", ".inf", "cheap"])
def test_an_invalid_price_is_refused(tmp_path: Path, price: str) -> None:
    queries(tmp_path, 1)
    prices = tmp_path / "prices.yaml"
    prices.write_text(f"date: 2026-01-01\nmodels:\n  gpt-4o-mini: {{input: {price}, output: 1}}\n")
    with serve(writer) as server, pytest.raises(ParameterError, match=r"prices.yaml: .*input"):
        generate(tmp_path, server, prices=prices, budget_usd=1)
    assert server.requests == []


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ("inptu: 1, output: 1", "unknown key 'inptu'; nearest valid key: 'input'"),
        ("input: 1, output: 1, cached: 2", "unknown key 'cached'; nearest valid key: 'cached_input'"),
        ("input: 1, output: -1", "`$.output`"),
    ],
)
def test_a_fault_in_a_price_table_is_named_with_its_model(tmp_path: Path, prices: str, message: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(
        f"date: 2026-01-01\nmodels:\n  good: {{input: 1, output: 1}}\n  gpt-4o-mini: {{{prices}}}\n"
    )
    with pytest.raises(ParameterError, match=r"^[^\n]*$") as caught:
        read_prices(file)
    assert f"{file}: gpt-4o-mini: " in str(caught.value) and message in str(caught.value)


def test_the_most_that_queries_cost_counts_the_cache_and_pictures() -> None:
    asked = [Query(image_id=1, prompt="x", question_type="ocr", query_id="q", attach_image=True)]
    dear = Price(input=1, output=1, cache_write=3, image_tokens=1000)
    tokens = query_costs(asked, dear, "", 60)[0].prompt_tokens
    most = most_tokens("x") + SCHEMA_TOKENS + 1000
    assert query_costs(asked, dear, "", 60)[0].most_usd == pytest.approx((3 * most + 60) / 1e6)
    assert query_costs(asked, dear, "", 60)[0].usd == pytest.approx((tokens + 60) / 1e6)
    assert query_costs(asked, None, "", 60)[0].prompt_tokens == tokens - 1000 + IMAGE_TOKENS


def test_an_unknown_price_is_said_and_null(tmp_path: Path) -> None:
    queries(tmp_path, 2)
    with serve(writer) as server:
        result = generate(tmp_path, server, teacher="openai:mine")
    assert read_json(tmp_path / "usage.json")["cost_usd"] is None
    assert any("no price is known for openai:mine" in note for note in result.notes)


def test_replay_gives_the_same_results(tmp_path: Path) -> None:
    queries(tmp_path, 5)
    with serve(writer) as server:
        generate(tmp_path, server)
    (tmp_path / "gptvqa_result.jsonl").rename(tmp_path / "old.jsonl")
    result = generate(
        tmp_path, teacher=f"replay:{tmp_path / 'old.jsonl'}", output=tmp_path / "new" / "r.jsonl"
    )
    assert [row.raw_instructions for row in result.results] == [f"Question: query {i}?" for i in range(5)]
    assert result.usage.cost_usd == 0 and {row.model for row in result.results} == {"replay:old.jsonl"}


def test_two_runs_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl", reason="file locks are POSIX only")
    monkeypatch.setattr("dataengine_lib.core.append_file.PATIENCE_SECONDS", 0.3)
    queries(tmp_path, 2)
    with (tmp_path / LEDGER).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with serve(writer) as server, pytest.raises(DataEngineError, match="another run is writing"):
            generate(tmp_path, server)


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    queries(tmp_path, 2)
    rows = read_json(tmp_path / "gptvqa_prompt.json", list[Query])
    write_json(tmp_path / "gptvqa_prompt.json", [*rows, rows[1]])
    with pytest.raises(DataEngineError, match=r"row 2: the same query_id as row 1 \(r-1\); 1 of 3 rows"):
        generate(tmp_path, teacher="playground", max_bad_share=0)
    (tmp_path / "gptvqa_prompt.json").write_text('[{"prompt": 3}]')
    with pytest.raises(DataEngineError, match=r"gptvqa_prompt\.json"):
        generate(tmp_path, teacher="playground")
    with pytest.raises(ParameterError, match="unknown key 'techer'; nearest valid key: 'teacher'"):
        GenerateQaConfig.read({"input": "a", "output": "b", "techer": "x"}, "params.yaml: generate_qa")
    with pytest.raises(ParameterError, match="not a teacher; choose one of"):
        GenerateQaConfig.read({"input": "a", "output": "b", "teacher": "gpt"}, "params.yaml: generate_qa")


def test_queries_without_ids_get_stable_ones(tmp_path: Path) -> None:
    published = [{"image_id": i, "prompt": f"query {i}", "question_type": TYPES[0]} for i in range(3)]
    write_json(tmp_path / "gptvqa_prompt.json", published)
    with serve(writer) as server:
        generate(tmp_path, server)
        assert generate(tmp_path, server).earlier == 3 and len(server.requests) == 3


def test_works_inside_a_notebooks_loop(tmp_path: Path) -> None:
    queries(tmp_path, 3)

    async def cell() -> GenerateQaResult:
        with serve(writer) as server:
            return generate(tmp_path, server)

    assert len(asyncio.run(cell()).results) == 3


def test_overhead_of_many_queries(tmp_path: Path) -> None:
    queries(tmp_path, 300)
    with serve(writer) as server:
        generate(tmp_path, server, output=tmp_path / "warm" / "r.jsonl")
        start = time.process_time()
        generate(tmp_path, server)
        spent = time.process_time() - start
    assert spent < 300 * 0.015, f"{spent / 300 * 1000:.1f} ms of CPU time a query"


def with_pictures(folder: Path, names: list[str]) -> None:
    rows = [
        Query(image_id=i, prompt=f"query {i}", question_type=TYPES[0], query_id=f"r-{i}", image_path=name,
              attach_image=i != 1)
        for i, name in enumerate(names)
    ]  # fmt: skip
    write_json(folder / "gptvqa_prompt.json", rows)


def test_pictures_are_sent_where_the_query_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 500), "red").save(tmp_path / "0.png")
    Image.new("L", (30, 60), 128).save(tmp_path / "2.jpg")
    (tmp_path / "3.jpg").write_bytes(b"\xff\xd8 broken")
    with_pictures(tmp_path, ["0.png", "1.jpg", "2.jpg", "3.jpg", "../4.jpg"])
    with serve(lambda messages: f"Question: {message_text(messages[-1])}?") as server:
        result = generate(tmp_path, server, image_root=tmp_path, max_side=640)
    assert [row.raw_instructions for row in result.results] == [f"Question: query {i}?" for i in range(3)]
    sizes = {}
    for body in server.requests:
        (message,) = body["messages"]
        if isinstance(message["content"], str):
            assert message["content"] == "query 1"
            continue
        text, image = message["content"]
        kind, _, data = image["image_url"]["url"].partition(";base64,")
        assert (text["type"], image["type"], kind) == ("text", "image_url", "data:image/jpeg")
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            sizes[text["text"]] = (picture.format, picture.mode, picture.size)
    assert sizes == {"query 0": ("JPEG", "RGB", (640, 160)), "query 2": ("JPEG", "RGB", (30, 60))}
    broken, outside = result.failures
    assert "3.jpg cannot be read" in broken.reason and "leads outside" in outside.reason
    tokens = {row.query_id: row.prompt_tokens for row in result.results}
    assert tokens["r-0"] == tokens["r-1"] + 85


def test_replies_about_another_size_of_picture_are_kept_aside(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "0.png")
    with_pictures(tmp_path, ["0.png"])
    with serve(lambda messages: "Question: What?") as server:
        generate(tmp_path, server, image_root=tmp_path)
        assert generate(tmp_path, server, image_root=tmp_path).earlier == 1
        assert generate(tmp_path, server, image_root=tmp_path, max_side=64).earlier == 0
    assert len(server.requests) == 2


def test_pictures_need_their_folder_and_money(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "0.png")
    with_pictures(tmp_path, ["0.png", "1.png"])
    with serve(writer) as server:
        with pytest.raises(ParameterError, match="send their pictures to the teacher; give image_root"):
            generate(tmp_path, server)
        price = read_prices().models["gpt-4o-mini"]
        assert price.image_tokens > 25_501  # of 1024 x 1024 pixels
        enough_without = price.cost(100, 0, 600)
        with pytest.raises(ParameterError, match="less than one request may cost"):
            generate(tmp_path, server, image_root=tmp_path, budget_usd=enough_without)
        assert server.requests == []


def test_recorded_replies_need_no_pictures(tmp_path: Path) -> None:
    with_pictures(tmp_path, ["0.png", "1.png"])
    with serve(writer) as server:
        queries(tmp_path, 2)
        generate(tmp_path, server, output=tmp_path / "old.jsonl")
    with_pictures(tmp_path, ["0.png", "1.png"])
    again = generate(tmp_path, teacher=f"replay:{tmp_path / 'old.jsonl'}", output=tmp_path / "again.jsonl")
    assert len(again.results) == 2


@pytest.mark.parametrize("name", ["v2", "vision"])
def test_the_playground_answers_other_prompts_from_their_text(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "0.png")
    template = load_template(name)
    caption = "A sharp picture about a birthday, with bunting and confetti."
    image = PoolImage(id=0, path="0.png", captions=[caption], boxes=[NamedBox("cake", (0.0, 0.7, 0.2, 0.9))])
    query = Query(
        image_id=0, prompt=template.render("image_topic", "", [], image) or "", question_type="image_topic",
        image_path="0.png", attach_image=template.attach_image,
    )  # fmt: skip
    write_json(tmp_path / "gptvqa_prompt.json", [query])
    generate(tmp_path, teacher="playground", image_root=tmp_path)
    trained = post_process(
        PostProcessConfig(input=tmp_path / "gptvqa_result.jsonl", output=tmp_path / "train.json")
    ).sample
    assert trained[0].choices[trained[0].correct_choice_idx] == "birthday"
    assert trained[0].short_answer == ("birthday" if name == "v2" else "")
