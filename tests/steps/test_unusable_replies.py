"""Replies that are no answers: failures in every step, asked for in the next run, also where a ledger holds them."""

import json
from pathlib import Path
from typing import Any

import pytest
from coco_folder import annotation, coco
from project import PROJECT_ROOT

from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import read_json, read_jsonl, write_json, write_jsonl
from dataengine_lib.core.records import Query, Question, TrainRecord
from dataengine_lib.curation.reader_prompt import ReaderView
from dataengine_lib.curation.second_reader import SecondReader
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.server import Fault, PlaygroundServer, serve
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig, classify_questions
from dataengine_lib.steps.generate_qa import GenerateQaConfig, GenerateQaResult, generate_qa
from dataengine_lib.teachers.reply_files import LEDGER

QA = (
    "Question: Which animal is it?\nChoices: (A) a cat (B) a fox (C) a dog (D) a cow\n"
    "Answer: (B) a fox\nExplanation: The fox is"
)
USAGE = {"prompt_tokens": 100, "completion_tokens": 50}


def completion(content: Any, finish: str = "stop", **message: Any) -> Fault:
    choice = {"message": {"content": content, **message}, "finish_reason": finish}
    return 200, {"id": "x", "choices": [choice], "usage": USAGE}


FAILED_CHOICE = {"finish_reason": "error", "error": {"code": 502}, "message": {"content": QA}}
UPSTREAM: Fault = (200, {"choices": [FAILED_CHOICE], "usage": USAGE})
IN_REASONING = completion(None, reasoning_content="It is a fox.")
NO_CREDITS: Fault = (200, {"error": {"message": "Insufficient credits. Add more.", "code": 402}})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234")
    monkeypatch.chdir(PROJECT_ROOT)


def prompt_of(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


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
        rows = read_jsonl(tmp_path / LEDGER)
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
        rows = read_jsonl(tmp_path / LEDGER)
        rows[0] |= {"finish_reason": "error"}
        rows[1] |= {"text": ""}
        write_jsonl(tmp_path / "old.jsonl", rows)
        (tmp_path / "new").mkdir()
        result = generate(tmp_path / "new", server, teacher=f"replay:{tmp_path / 'old.jsonl'}")
    reasons = sorted(row.reason for row in result.failures)
    assert len(result.results) == 1 and [reason.rpartition("old.jsonl ")[2] for reason in reasons] == [
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


def classify(folder: Path, server: PlaygroundServer, count: int = 2, **values: Any) -> Any:
    questions = [
        Question(
            question_id=f"q{number}",
            image_id=number,
            question=f"Where is number {number}?",
            choices=["in", "out"],
            correct_choice_idx=1,
        )
        for number in range(count)
    ]
    write_json(folder / "questions.json", questions)
    given = {
        "questions": folder / "questions.json", "output": folder / "types.json", "teacher": "openai:any",
        "base_url": server.base_url,
    }  # fmt: skip
    return classify_questions(ClassifyQuestionsConfig(**(given | values)))


def test_step_0_reads_no_types_from_thoughts(tmp_path: Path) -> None:
    text = "<think>1: object_localization\n2: object_localization</think>\n1: image_scene\n2: image_style"
    with serve(lambda messages: text) as server:
        counts = classify(tmp_path, server).counts
    assert (counts["image_scene"], counts["image_style"], counts["object_localization"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (completion("<think>1: image_scene\n2: image_scene", "length"), "cut off within its thoughts"),
        (completion("[THINK]1: image_scene\n2: image_scene"), "thoughts and no answer"),
        (IN_REASONING, "its text is in reasoning_content"),
        (completion("1: image_scene\n2: image_scene", "error"), "ended by 'error'"),
    ],
)
def test_step_0_takes_no_types_from_replies_that_are_no_answers(
    tmp_path: Path, fault: Fault, words: str
) -> None:
    with serve(lambda messages: "1: image_style\n2: image_style", [fault] * 2) as server:
        result = classify(tmp_path, server)
    assert (
        words in result.failed[0] and result.counts["image_style"] == 2 and not result.counts["image_scene"]
    )


@pytest.mark.parametrize(
    ("status", "field", "words"),
    [(422, "seed", "Extra inputs are not permitted"), (400, "temperature", "not supported"), (500, "seed", "unexpected")],
)  # fmt: skip
def test_step_0_is_asked_without_a_refused_field(tmp_path: Path, status: int, field: str, words: str) -> None:
    def faults(body: dict[str, Any]) -> Fault:
        if field not in body:
            return None
        return status, {"detail": [{"type": "x", "loc": ["body", field], "msg": words}]}

    with serve(lambda messages: "1: image_style", faults) as server:
        result = classify(tmp_path, server, count=3, temperature=0.5, batch_size=1, concurrency=1)
    assert result.counts["image_style"] == 3 and not result.failed
    assert [field in body for body in server.requests] == [True, False, False, False]


def test_step_0_stops_without_money(tmp_path: Path) -> None:
    with serve(lambda messages: "1: image_style", [None, *[NO_CREDITS] * 9]) as server:
        with pytest.raises(TeacherStop, match=r"billing stopped \(402\): Insufficient credits. Add more."):
            classify(tmp_path, server, count=8, batch_size=1, concurrency=1)
        assert len(server.requests) == 2
        server.requests.clear()
        with pytest.raises(DataEngineError, match="Insufficient credits"):
            classify(tmp_path, server, count=8, batch_size=1, concurrency=1)
        assert len(server.requests) == 1


def reader(folder: Path, server: PlaygroundServer) -> SecondReader:
    pool = coco(folder / "coco", {1: "1.jpg"}, [annotation(1, [10, 10, 20, 20])], {1: "A fox."})
    settings = ChatSettings(base_url=server.base_url, max_attempts=2, concurrency=1)
    return SecondReader("openai:any", folder / "ledger.jsonl", settings, ReaderView(pool=read_pool(pool)))


RECORDS = [
    TrainRecord(
        image_id=1,
        image_path="train2017/1.jpg",
        raw_instructions="",
        question_type="t",
        question=f"Which animal is number {number}?",
        choices=["a cat", "a fox", "a dog", "a cow"],
        correct_choice_idx=1,
        rationales=[],
    )
    for number in range(3)
]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (IN_REASONING, "its text is in reasoning_content"),
        (completion("a fox", "error"), "ended by 'error'"),
        (completion("<think>a fox", "length"), "cut off"),
        (UPSTREAM, "502"),
    ],
)
def test_step_4_takes_them_for_no_verdict_and_asks_in_the_next_run(
    tmp_path: Path, fault: Fault, reason: str
) -> None:
    faults = {"number 1": fault}
    with serve(
        lambda messages: "a fox",
        lambda body: next((fault for name, fault in faults.items() if name in prompt_of(body)), None),
    ) as server:
        answers, reasons = reader(tmp_path, server).answers(RECORDS)
        assert answers == [1, None, 1] and len(reasons) == 1 and reason in reasons[0]
        faults.clear()
        server.requests.clear()
        assert reader(tmp_path, server).answers(RECORDS) == ([1, 1, 1], []) and len(server.requests) == 1
        # an older ledger with replies that were taken for answers
        rows = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
        for row in rows:
            row |= {"text": "", "finish_reason": "stop"} if row.get("text") == "a fox" else {}
        write_jsonl(tmp_path / "ledger.jsonl", rows)
        server.requests.clear()
        assert reader(tmp_path, server).answers(RECORDS) == ([1, 1, 1], []) and len(server.requests) == 3


def test_the_failures_file_names_the_reason(tmp_path: Path) -> None:
    with serve(lambda messages: QA, [IN_REASONING, IN_REASONING]) as server:
        generate(tmp_path, server, concurrency=1)
    (row,) = read_jsonl(tmp_path / "gptvqa_failed.jsonl")
    assert row["kind"] == "empty" and "reasoning_content" in row["reason"] and row["completion_tokens"] == 100
    usage = read_json(tmp_path / "usage.json", dict[str, Any])
    assert usage["requests"] == 4
