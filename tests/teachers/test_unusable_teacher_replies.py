"""Step 3 keeps no reply that is none, live, in batches and replayed, and asks in the next run, also older ledgers."""

from pathlib import Path
from typing import Any

import pytest
from vendors.unusable import (
    IN_REASONING,
    NO_CREDITS,
    QA,
    UPSTREAM,
    completion,
    environment,  # noqa: F401  # an autouse fixture
    prompt_of,
)

from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.core.files import read_json, read_jsonl, write_json, write_jsonl
from dataengine_lib.core.records import Query
from dataengine_lib.playground.server import Fault, PlaygroundServer, serve
from dataengine_lib.steps.generate_qa import GenerateQaConfig, GenerateQaResult, generate_qa
from dataengine_lib.teachers.reply_files import LEDGER


def generate(folder: Path, server: PlaygroundServer, count: int = 3, **values: Any) -> GenerateQaResult:
    rows = [
        Query(image_id=i, prompt=f"query {i}", question_type="image_topic", query_id=f"r-{i}")
        for i in range(count)
    ]
    write_json(folder / "gptvqa_prompt.json", rows)
    given: dict[str, Any] = {
        "input": folder / "gptvqa_prompt.json", "output": folder / "gptvqa_result.jsonl", "batch_poll_s": 0.02,
        "teacher": "openai:gpt-4o-mini", "base_url": server.base_url, "reply_format": "text",
    }  # fmt: skip
    return generate_qa(GenerateQaConfig(**(given | values)))


@pytest.mark.parametrize("mode", ["live", "batch"])
@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (IN_REASONING, "empty", "its text is in reasoning_content"),
        (completion(" "), "empty", "the reply is empty"),
        (completion("<think>" + QA + "</think>"), "empty", "thoughts and no answer"),
        (UPSTREAM, "error", "status 502: Bad Gateway"),
        (completion(QA, "error"), "error", "ended by 'error'"),
        (completion("<think>" + QA, "length"), "length", "cut off within its thoughts"),
        (completion(QA, "model_length"), "length", "cut off at 1200 tokens"),
        (completion(QA, "content_filter: RECITATION"), "content_filter", "content filter"),
    ],
)
def test_step_3_keeps_none_of_them_and_asks_in_the_next_run(
    tmp_path: Path, mode: str, fault: Fault, kind: str, reason: str
) -> None:
    faults = {"query 1": fault}
    with serve(lambda messages: QA, lambda body: faults.get(prompt_of(body))) as server:
        result = generate(tmp_path, server, mode=mode, max_attempts=3)
        assert [(row.query_id, row.kind) for row in result.failures] == [("r-1", kind)]
        assert reason in result.failures[0].reason
        assert [row.query_id for row in result.results] == ["r-0", "r-2"]
        # every reply was paid for, usable or not
        assert result.usage.requests == len(server.requests)
        faults.clear()
        server.requests.clear()
        result = generate(tmp_path, server, mode=mode)
        assert [prompt_of(body) for body in server.requests] == ["query 1"]
        assert not result.failures and len(result.results) == 3


OLD_ROWS = [
    {"text": "", "finish_reason": "stop"},
    {"text": QA, "finish_reason": "error"},
    {"text": "<think>It is a", "finish_reason": "length"},
    {"text": QA, "finish_reason": "max_tokens"},
    {"text": "[THINK]It is a fox.[/THINK]", "finish_reason": "eos"},
]


@pytest.mark.parametrize("old", OLD_ROWS)
def test_step_3_asks_for_what_an_older_ledger_took_for_replies(tmp_path: Path, old: dict[str, Any]) -> None:
    with serve(lambda messages: QA) as server:
        generate(tmp_path, server)
        rows = [row for row in read_jsonl(tmp_path / LEDGER) if "reserved" not in row]
        rows[1] |= old
        write_jsonl(tmp_path / LEDGER, rows)
        (asked,) = [row["query_id"] for row in rows[1:2]]
        server.requests.clear()
        result = generate(tmp_path, server)
        assert [prompt_of(body) for body in server.requests] == [f"query {asked[2:]}"]
        assert len(result.results) == 3 and result.usage.requests == 4
        # replayed, the last reply that is one
        replayed = generate(tmp_path, server, teacher=f"replay:{tmp_path / LEDGER}",
                            output=tmp_path / "replayed.jsonl")  # fmt: skip
        assert [row.raw_instructions for row in replayed.results] == [QA] * 3


def test_replayed_replies_that_are_no_answers_are_failures(tmp_path: Path) -> None:
    with serve(lambda messages: QA) as server:
        generate(tmp_path, server)
        rows = [row for row in read_jsonl(tmp_path / LEDGER) if "reserved" not in row]
        rows[0] |= {"finish_reason": "error"}
        rows[1] |= {"text": ""}
        # a later one that was cut off takes no answer's place
        rows.append(rows[2] | {"finish_reason": "length", "text": "Question: Which"})
        write_jsonl(tmp_path / "old.jsonl", rows)
        (tmp_path / "new").mkdir()
        result = generate(
            tmp_path / "new", server, teacher=f"replay:{tmp_path / 'old.jsonl'}", max_failed_share=0.9
        )
    reasons = sorted(row.reason for row in result.failures)
    assert [row.raw_instructions for row in result.results] == [QA]
    assert [reason.rpartition("old.jsonl ")[2] for reason in reasons] == [
        "ended by an error", "is empty",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["live", "batch"])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (NO_CREDITS, "Insufficient credits"),
        ((402, {"error": {"message": "Insufficient Balance"}}), "Insufficient Balance"),
        ((401, {"message": "Unauthorized"}), "key was refused"),
        ((404, {"error": {"message": "The model does not exist"}}), "not served"),
    ],
)
def test_step_3_stops_and_the_next_run_sends_the_rest(
    tmp_path: Path, mode: str, fault: Fault, words: str
) -> None:
    faults = {"query 1": fault, "query 2": fault, "query 3": fault}
    with serve(lambda messages: QA, lambda body: faults.get(prompt_of(body))) as server:
        with pytest.raises(TeacherStop, match=words):
            generate(tmp_path, server, count=4, mode=mode, concurrency=1)
        assert len(server.requests) == (2 if mode == "live" else 4)
        assert len(read_jsonl(tmp_path / "gptvqa_result.jsonl")) == 1
        faults.clear()
        server.requests.clear()
        result = generate(tmp_path, server, count=4, mode=mode, max_attempts=1)
        assert len(server.requests) == 3 and len(result.results) == 4 and not result.failures


def test_a_teacher_whose_replies_are_mostly_empty_is_not_asked_for_the_rest(tmp_path: Path) -> None:
    def faults(body: dict[str, Any]) -> Fault:
        return None if int(prompt_of(body).rpartition(" ")[2]) % 3 == 0 else IN_REASONING

    with serve(lambda messages: QA, faults) as server:
        with pytest.raises(TeacherStop, match=r"13 of 20 queries got no usable reply.* reasoning_content"):
            generate(tmp_path, server, count=90, concurrency=1, max_attempts=1)
        assert len(server.requests) < 30


def test_a_teacher_whose_replies_are_mostly_cut_off_is_not_asked_for_the_rest(tmp_path: Path) -> None:
    with serve(lambda messages: QA, lambda body: "length") as server:
        with pytest.raises(
            TeacherStop, match="20 of 20 replies were cut off at 1200 tokens; raise max_output_tokens"
        ):
            generate(tmp_path, server, count=90, concurrency=1)
        assert len(server.requests) == 40  # each once more, with twice the limit


@pytest.mark.parametrize(
    "fault",
    [
        (400, {"error": {"message": "Invalid service_tier argument"}}),
        (422, {"detail": [{"loc": ["body", "service_tier"], "msg": "Extra inputs"}]}),
    ],
)
def test_a_refused_tier_is_left_out_and_costs_the_full_price(tmp_path: Path, fault: Fault) -> None:
    for name in ("plain", "flex"):
        (tmp_path / name).mkdir()
    with serve(lambda messages: QA, lambda body: fault if "service_tier" in body else None) as server:
        plain = generate(tmp_path / "plain", server)
        flex = generate(tmp_path / "flex", server, service_tier="flex", concurrency=1)
    assert flex.usage.cost_usd == plain.usage.cost_usd and len(flex.results) == 3
    assert flex.notes == ["openai:gpt-4o-mini does not take service_tier; it was asked without"]


def test_a_batch_is_sent_once_more_without_a_refused_field(tmp_path: Path) -> None:
    refused = (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs"}]})
    with serve(lambda messages: QA, lambda body: refused if "seed" in body else None) as server:
        result = generate(tmp_path, server, mode="batch", temperature=0.5)
    assert (
        len(result.results) == 3 and ["seed" in body for body in server.requests] == [True] * 3 + [False] * 3
    )
    assert all("temperature" in body for body in server.requests)


def test_the_failures_file_names_the_reason(tmp_path: Path) -> None:
    with serve(lambda messages: QA, [IN_REASONING, IN_REASONING]) as server:
        generate(tmp_path, server, concurrency=1)
    (row,) = read_jsonl(tmp_path / "gptvqa_failed.jsonl")
    assert row["kind"] == "empty" and "reasoning_content" in row["reason"] and row["completion_tokens"] == 100
    usage = read_json(tmp_path / "usage.json", dict[str, Any])
    assert usage["requests"] == 4
