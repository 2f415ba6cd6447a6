"""Steps 0 and 4: replies that are no answers are failures and asked for once more, also where a ledger holds them."""

import json
from pathlib import Path
from typing import Any

import pytest
from coco_folder import annotation, coco
from vendors.unusable import (
    IN_REASONING,
    NO_CREDITS,
    UPSTREAM,
    completion,
    environment,  # noqa: F401  # an autouse fixture
    prompt_of,
)

from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import read_jsonl, write_json, write_jsonl
from dataengine_lib.core.records import Question, TrainRecord
from dataengine_lib.curation.readers.reader_prompt import ReaderView
from dataengine_lib.curation.readers.second_reader import SecondReader
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.server import Fault, PlaygroundServer, serve
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig, classify_questions


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


def test_step_0_asks_for_types_that_an_older_version_read_from_thoughts(tmp_path: Path) -> None:
    def ledger() -> Path:
        return tmp_path / "types.json.progress.jsonl"

    with serve(lambda messages: "1: image_style") as server:
        classify(tmp_path, server, batch_size=1)
        rows = read_jsonl(ledger())
        # each reply is followed by its type
        for reply, answer in zip(rows[::2], rows[1::2], strict=True):
            reply["text"] = "<think>1: image_scene</think>\n1: Image Style"
            answer["question_type"] = "image_scene" if answer is rows[1] else "image_style"
        write_jsonl(ledger(), rows)
        server.requests.clear()
        counts = classify(tmp_path, server, batch_size=1).counts
    assert len(server.requests) == 1 and (counts["image_style"], counts["image_scene"]) == (2, 0)


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
