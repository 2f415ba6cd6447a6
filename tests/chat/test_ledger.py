"""One ledger for all steps: files of earlier versions are read, and a row keeps the price of its day."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.chat import prices
from dataengine_lib.chat.budget import asked_ledger
from dataengine_lib.chat.ledger import Ledger, LedgerRow
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import Reply, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import Query, Question, TrainRecord
from dataengine_lib.curation.readers.reader_prompt import ReaderView
from dataengine_lib.curation.readers.second_reader import SecondReader
from dataengine_lib.playground.server import serve
from dataengine_lib.steps.classify_questions import (
    ClassifyQuestionsConfig,
    ClassifyQuestionsResult,
    classify_questions,
)
from dataengine_lib.steps.generate_qa import GenerateQaConfig, GenerateQaResult, generate_qa
from dataengine_lib.students.on_server import api_student
from dataengine_lib.students.on_server.api_student import ApiStudent

NOWHERE = "http://127.0.0.1:9/v1"  # nothing listens there: a request would be an error
PRICE = Price(input=1_000_000, output=2_000_000)  # a dollar a token of a prompt, two a token of a reply

# Rows as they were written before all steps had one form of ledger.
STEP_0 = """\
{"key":"","question_type":"","usd":256.0}
{"key":"bb75c184-914b21ea79472a64","question_type":"colour","usd":76.0}
{"key":"bb75c184-ca9df33acf13618d","question_type":"place","usd":0.0}
"""
STEP_1 = """\
{"key":"0664a6f7b5a2d94879abe7ebb42e04443af4ad8837be5424c02f66395e35dc58","model":"m","text":"{\\"answer\\": \\"B\\"}",\
"finish_reason":"stop","prompt_tokens":121,"cached_tokens":0,"completion_tokens":9,"structured":true,\
"cache_write_tokens":0,"asked":"m","lost_usd":0.0}
"""
STEP_3 = """\
{"key":"7013523b887e338e23e49bb8b56088c29c0a33d1144e3c88e0fc9e495a5f1cf9","query_id":"r-1",\
"time":"2026-11-30T03:52:33.988+00:00","teacher":"m","request":{"model":"m","messages":[{"role":"user","content":\
"query 1"}],"schema":["question","choices","answer","explanation","skip","reason"]},"text":"Question: x?",\
"finish_reason":"stop","structured":true,"model":"m","request_id":"req-1","seconds":0.021,"room":600,\
"prompt_tokens":2,"completion_tokens":4,"usage":{"prompt_tokens":2,"completion_tokens":4,"total_tokens":6}}
{"key":"360be51ec4a08aa35682d63b0bc3bc224b239c7d33e2ed9d434970978dccfa33","time":"2026-11-30T03:52:34.000+00:00",\
"lost_usd":1370.0}
{"key":"360be51ec4a08aa35682d63b0bc3bc224b239c7d33e2ed9d434970978dccfa33","query_id":"r-2",\
"time":"2026-11-30T03:52:34.254+00:00","teacher":"m","request":{"model":"m","messages":[{"role":"user","content":\
"query 2"}],"schema":["question","choices","answer","explanation","skip","reason"]},"text":"Question: x?",\
"finish_reason":"stop","structured":true,"model":"m","request_id":"req-3","attempts":2,"seconds":0.002,"room":600,\
"prompt_tokens":2,"completion_tokens":4,"usage":{"prompt_tokens":2,"completion_tokens":4,"total_tokens":6},"usd":30.0}
{"finished":"2026-11-30T03:52:34.257+00:00"}
"""
STEP_4 = """\
{"key":"c6aab5d0d103f319f75e457fb192d9330d832c926a8b1a4898994026d024249e","model":"","text":"","finish_reason":"stop",\
"prompt_tokens":0,"cached_tokens":0,"completion_tokens":0,"structured":false,"cache_write_tokens":0,"asked":"",\
"lost_usd":233.0}
{"key":"c6aab5d0d103f319f75e457fb192d9330d832c926a8b1a4898994026d024249e","model":"m",\
"text":"{\\"answer\\": \\"B\\"}","finish_reason":"stop","prompt_tokens":26,"cached_tokens":0,"completion_tokens":9,\
"structured":true,"cache_write_tokens":0,"asked":"openai:m","lost_usd":0.0}
{"key":"of another reader","model":"m","text":"A","prompt_tokens":5,"completion_tokens":1}
"""


@pytest.fixture(autouse=True)
def price_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The price table of a test, for all steps; `m` costs what PRICE says."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    file = tmp_path / "prices.yaml"
    monkeypatch.setattr(prices, "PRICES", file)
    set_price(file, PRICE)
    return file


def set_price(file: Path, price: Price) -> None:
    file.write_text(
        f"date: 2026-01-01\nmodels:\n  m: {{input: {price.input:.0f}, output: {price.output:.0f}}}\n"
    )


def classify(folder: Path, count: int, budget_usd: float, url: str = NOWHERE) -> ClassifyQuestionsResult:
    questions = [
        Question(
            question_id=f"q{number}",
            image_id=number,
            question="What color?",
            choices=["red", "blue"],
            correct_choice_idx=1,
        )
        for number in range(count)
    ]
    (folder / "types.yaml").write_text("name: two\ntypes: {colour: its colour, place: where it is}\n")
    (folder / "t.j2").write_text("{{ types }}\n{% for item in items %}{{ item }}\n{% endfor %}")
    config = ClassifyQuestionsConfig(
        questions=write_json(folder / "questions.json", questions),
        output=folder / "classified.json",
        teacher="openai:m",
        base_url=url,
        categories=folder / "types.yaml",
        template=folder / "t.j2",
        max_output_tokens=10,
        budget_usd=budget_usd,
    )
    return classify_questions(config)


def generate(folder: Path, count: int, budget_usd: float, url: str = NOWHERE) -> GenerateQaResult:
    queries = [
        Query(image_id=number, prompt=f"query {number}", question_type="t", query_id=f"r-{number}")
        for number in range(1, count + 1)
    ]
    config = GenerateQaConfig(
        input=write_json(folder / "gptvqa_prompt.json", queries),
        output=folder / "gptvqa_result.jsonl",
        teacher="openai:m",
        base_url=url,
        budget_usd=budget_usd,
    )
    return generate_qa(config)


def record(number: int = 0) -> TrainRecord:
    return TrainRecord(
        image_id=1,
        image_path="1.jpg",
        raw_instructions="x",
        question_type="t",
        question="What does the dog chase?" + " Tell!" * number,
        choices=["a ball", "a kite", "a hat", "a shoe"],
        correct_choice_idx=1,
        rationales=[],
    )


def reader(folder: Path, budget_usd: float | None, url: str = NOWHERE) -> SecondReader:
    (folder / "reader.j2").write_text("{{ question }} {{ choices }}")
    settings = ChatSettings(base_url=url, max_output_tokens=20)
    view = ReaderView(blind=True, template=folder / "reader.j2")
    ledger = folder / "readers_ledger.jsonl"
    return SecondReader("openai:m", ledger, settings, view, budget_usd=budget_usd)


def student(folder: Path, monkeypatch: pytest.MonkeyPatch, url: str = NOWHERE) -> ApiStudent:
    monkeypatch.setattr(api_student, "jpeg_bytes", lambda image, max_side: b"a picture")
    settings = ChatSettings(base_url=url, max_output_tokens=2000)
    price = prices.read_prices().of("api:m")
    return ApiStudent("m", settings, ledger=folder / "student_ledger.jsonl", price=price)


def ask_student(asked: ApiStudent, *prompts: str) -> list[Any]:
    image = Image.new("RGB", (8, 8))
    return asked.generate([image] * len(prompts), list(prompts), choices=[["dog", "cat"] for _ in prompts])


def test_old_progress_of_step_0_is_read_and_its_money_counts(tmp_path: Path) -> None:
    progress = tmp_path / "classified.json.progress.jsonl"
    progress.write_text(STEP_0)
    result = classify(tmp_path, 2, budget_usd=900)
    assert result.counts == {"colour": 1, "place": 1} and result.requests == 0
    assert progress.read_text() == STEP_0
    more = classify(tmp_path, 3, budget_usd=900)
    assert len(more.unanswered) == 1 and "budget_usd 900: 332.0000 spent" in more.failed[-1]


def test_an_old_ledger_of_step_1_is_read_and_priced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "student_ledger.jsonl"
    ledger.write_text(STEP_1)
    asked = student(tmp_path, monkeypatch)
    assert ask_student(asked, "Which?\n(A) dog (B) cat") == ["B"] and asked.sent == 0
    usage = asked.usage()
    assert (usage.replies, usage.prompt_tokens, usage.completion_tokens) == (1, 121, 9)
    assert usage.cost_usd == 121 + 2 * 9 == asked.ledger.spent_usd
    assert ledger.read_text() == STEP_1


def test_replies_of_another_student_do_not_cost_what_this_one_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "student_ledger.jsonl").write_text(STEP_1 + STEP_1.replace('"asked":"m"', '"asked":"other"'))
    asked = student(tmp_path, monkeypatch)
    with asked.ledger:
        assert asked.ledger.spent_usd == 121 + 2 * 9


def test_a_reply_at_another_tier_costs_what_that_tier_does(tmp_path: Path) -> None:
    with asked_ledger(tmp_path / "l.jsonl", {"m": PRICE}.get) as ledger:
        for tier in ("default", "flex", "priority"):
            reply = Reply("A", prompt_tokens=4, completion_tokens=2, service_tier=tier)
            ledger.add(LedgerRow.of(tier, reply, asked="m"))
    assert [ledger.paid[tier].cost_usd for tier in ("default", "flex", "priority")] == [8, 4, 20]


def test_an_old_ledger_of_step_3_is_read_and_its_money_counts(tmp_path: Path) -> None:
    ledger = tmp_path / "gptvqa_ledger.jsonl"
    ledger.write_text(STEP_3)
    result = generate(tmp_path, 2, budget_usd=2000)
    assert [row.raw_instructions for row in result.results] == ["Question: x?"] * 2
    # the first row has no price and costs 2 + 2 * 4 by the table, the other was dearer on its day
    assert (result.usage.requests, result.usage.cost_usd) == (2, 10 + 30)
    assert [row for row in read_jsonl(ledger) if "finished" not in row] == [
        row for line in STEP_3.splitlines() if "finished" not in (row := json.loads(line))
    ]
    more = generate(tmp_path, 3, budget_usd=2000)
    assert more.unasked == 1 and "budget_usd 2000: 1410.0000 spent" in more.stopped


def test_an_old_ledger_of_step_4_is_read_and_its_money_counts(tmp_path: Path) -> None:
    ledger = tmp_path / "readers_ledger.jsonl"
    ledger.write_text(STEP_4)
    asked = reader(tmp_path, budget_usd=900)
    assert asked.answers([record()]) == ([2], [])  # the choice that stood at letter B
    assert asked.usage().cost_usd == 26 + 2 * 9
    assert asked.answers([record(1)]) == ([None], [])
    # with 5 + 2 of the row that has no `asked`, and the request without an answer
    assert f"budget_usd 900: {44 + 7 + 233}.0000 spent" in asked.stopped
    assert ledger.read_text() == STEP_4


def test_rows_keep_the_price_of_their_day(
    tmp_path: Path, price_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(url: str) -> tuple[list[float | None], list[float]]:
        """Costs as all steps report them, and what counts against budgets."""
        asked, reading = student(tmp_path, monkeypatch, url), reader(tmp_path, 1_000_000, url)
        assert ask_student(asked, "Which?\n(A) dog (B) cat") == ["B"]
        assert reading.answers([record()])[0] != [None]
        made = generate(tmp_path, 2, 1_000_000, url)
        assert not classify(tmp_path, 2, 1_000_000, url).unanswered
        progress = read_jsonl(tmp_path / "classified.json.progress.jsonl")
        return (
            [asked.usage().cost_usd, reading.usage().cost_usd, made.usage.cost_usd],
            [asked.ledger.spent_usd, reading.ledger.spent_usd, sum(row.get("usd", 0) for row in progress)],
        )

    def structured(messages: list[dict[str, Any]], schema: dict[str, Any]) -> str:
        if "types" in schema["properties"]:
            types = [{"id": number, "question_type": "colour"} for number in (1, 2)]
            return json.dumps({"types": types})
        return '{"answer": "B"}'

    with serve(lambda messages: "Question: x?", structured=structured) as server:
        first = run(server.base_url)
        assert all(cost is not None and cost > 0 for costs in first for cost in costs)
        asked = len(server.requests)
        set_price(price_file, Price(input=10_000_000, output=20_000_000))
        assert run(server.base_url) == first and len(server.requests) == asked == 5
        reading = reader(tmp_path, 1_000_000, server.base_url)
        reading.answers([record(1)])  # of today, ten times as dear
    rows = [row for row in read_jsonl(tmp_path / "readers_ledger.jsonl") if "key" in row]
    expected = [1, 10]
    for row, factor in zip(rows, expected, strict=True):
        assert row["usd"] == factor * (row["prompt_tokens"] + 2 * row["completion_tokens"])
    assert reading.ledger.spent_usd == sum(row["usd"] for row in rows)
    usage = read_json(tmp_path / "usage.json")
    assert usage["cost_usd"] == sum(row.get("usd", 0) for row in read_jsonl(tmp_path / "gptvqa_ledger.jsonl"))


def test_requests_to_the_address_nowhere_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above show nothing otherwise."""
    with pytest.raises(TeacherStop, match="cannot be reached"):
        ask_student(student(tmp_path, monkeypatch), "Which?\n(A) dog (B) cat")


def test_the_sum_of_a_ledger_is_that_of_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "l.jsonl"
    with Ledger(file, lambda row: PRICE.of(row)) as ledger:
        ledger.add(LedgerRow.of("a", Reply("A", prompt_tokens=3, completion_tokens=1), asked="m"))
        ledger.add(LedgerRow.of("a", Reply("B", prompt_tokens=3, completion_tokens=2), asked="m"))
        ledger.add_lost("b", 11)
        ledger.add(LedgerRow(key="c", question_type="t"))
        ledger.add_finished()
    assert (ledger.cost_usd, ledger.lost_usd, ledger.spent_usd) == (5 + 7, 11, 23)
    with Ledger(file) as known:
        assert (known.cost_usd, known.lost_usd, known.question_types) == (12, 11, {"c": "t"})
        assert list(known.paid) == ["a"] and known.paid["a"].closed
        assert (known.paid["a"].text, known.paid["a"].replies, known.paid["a"].cost_usd) == ("B", 2, 12)
