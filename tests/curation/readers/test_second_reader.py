"""A second reader finds wrong answers, never sees the first one, and no request is sent twice."""

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from coco_folder import annotation, coco
from made_records import Planted, planted_records

from dataengine_lib.chat import prices
from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import read_jsonl
from dataengine_lib.core.records import LETTERS, TrainRecord
from dataengine_lib.curation.boxes.check import REFUTED, check_boxes
from dataengine_lib.curation.readers.reader_prompt import ReaderView, reader_order
from dataengine_lib.curation.readers.second_reader import CANNOT_SAY, SecondReader
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.server import PlaygroundServer, serve

CHOICES = ["a ball", "a kite", "a hat", "a shoe"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return planted_records(tmp_path_factory.mktemp("planted"), images=60)


def record(number: int = 0, correct: int = 1, image_id: int = 1) -> TrainRecord:
    return TrainRecord(
        image_id=image_id,
        image_path=f"train2017/{image_id}.jpg",
        raw_instructions="Answer: SECRET",
        question_type="t",
        question=f"What does dog number {number} chase?",
        choices=CHOICES,
        correct_choice_idx=correct,
        rationales=["SECRET reason"],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return coco(
        tmp_path / "coco", {1: "1.jpg"}, [annotation(1, [10, 10, 20, 20])], {1: "A dog chases a kite."}
    )


def settings(server: PlaygroundServer | None = None, **options: Any) -> ChatSettings:
    url = server.base_url if server else None
    return ChatSettings(base_url=url, **{"max_output_tokens": 2000, "concurrency": 16, **options})


def second_reader(
    spec: str,
    ledger: Path,
    settings: ChatSettings,
    *,
    budget_usd: float | None = None,
    before: SecondReader | None = None,
    **view: Any,
) -> SecondReader:
    return SecondReader(spec, ledger, settings, ReaderView(**view), budget_usd=budget_usd, before=before)


def reader(folder: Path, server: PlaygroundServer, **options: Any) -> SecondReader:
    names = ChatSettings.model_fields.keys() & options.keys()
    asking = {"max_attempts": 1} | {name: options.pop(name) for name in names}
    options = {"pool": read_pool(folder), **options}
    return second_reader("openai:any", folder.parent / "ledger.jsonl", settings(server, **asking), **options)


def always_answers(text: str) -> Any:
    """A model that takes the choice with this text, whatever letter it has."""

    def write(messages: list[dict[str, Any]], schema: dict[str, Any] | None = None) -> str:
        prompt = str(messages[-1]["content"])
        letter = re.search(rf"\(([A-D])\) {text}", prompt)[1]
        return json.dumps({"answer": letter}) if schema else f"The answer is ({letter})."

    return write


def test_boxes_and_second_reader_remove_planted_answers_and_keep_right_ones(
    planted: Planted, tmp_path: Path
) -> None:
    boxes = [one.verdict == REFUTED for one in check_boxes(planted.records, planted.pool)]
    second = second_reader("playground", tmp_path / "ledger.jsonl", settings(), pool=planted.pool)
    answers, notes = second.answers(planted.records)
    differs = [
        a is not None and a != r.correct_choice_idx for a, r in zip(answers, planted.records, strict=True)
    ]
    removed = [one or other for one, other in zip(boxes, differs, strict=True)]
    counts = {
        name: Counter((wrong, gone) for wrong, gone in zip(planted.wrong, by, strict=True))
        for name, by in (("boxes", boxes), ("second reader", differs), ("together", removed))
    }
    wrong = sum(planted.wrong)
    right = len(planted.wrong) - wrong
    for name, count in counts.items():
        print(
            f"{name}: {count[True, True]} of {wrong} planted removed ({count[True, True] / wrong:.1%}), "
            f"{count[False, True]} of {right} right ones ({count[False, True] / right:.1%})"
        )
    assert notes == [] and len(planted.records) > 500 and 0.12 < wrong / len(planted.records) < 0.18
    assert counts["boxes"][False, True] == 0 and counts["boxes"][True, True] >= 0.1 * wrong
    assert counts["together"][True, True] >= 0.8 * wrong
    assert counts["together"][False, True] <= 0.05 * right
    usage = second.usage()
    assert usage.replies == len({(r.image_id, r.question, *r.choices) for r in planted.records})
    assert usage.prompt_tokens > 100 * usage.replies


def test_blind_the_scripted_reader_guesses(planted: Planted, tmp_path: Path) -> None:
    answers, _ = second_reader("playground", tmp_path / "ledger.jsonl", settings(), blind=True).answers(
        planted.records
    )
    hits = sum(a == r.correct_choice_idx for a, r in zip(answers, planted.records, strict=True))
    assert CANNOT_SAY not in answers and None not in answers
    assert 0.2 < hits / len(answers) < 0.3


@pytest.mark.parametrize("structured", [True, False])
def test_an_answer_is_told_by_its_own_place(folder: Path, structured: bool) -> None:
    write = always_answers("a kite")
    with serve(write, structured=write if structured else None) as server:
        answers, notes = reader(folder, server).answers([record(n, correct=n % 4) for n in range(8)])
    assert (answers, notes) == ([1] * 8, [])
    sent = [body["messages"][0]["content"] for body in server.requests]
    assert all(
        "A dog chases a kite." in text and "- dog: [0.100, 0.200, 0.300, 0.600]" in text for text in sent
    )
    assert not any("SECRET" in text for text in sent)
    assert all(text.startswith("You answer questions") for text in sent)


def test_no_choice_keeps_its_letter() -> None:
    orders = [reader_order(record(n)) for n in range(200)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert all(place != shown for order in orders for shown, place in enumerate(order))
    assert len({tuple(order) for order in orders}) == 6  # all cycles of four
    assert orders == [reader_order(record(n)) for n in range(200)]
    assert orders != [reader_order(record(n), seed=1) for n in range(200)]


def test_two_models_that_prefer_the_same_letter_do_not_agree(folder: Path) -> None:
    with serve(lambda messages: "B") as server:
        answers, _ = reader(folder, server).answers([record(n, correct=1) for n in range(40)])
    assert 1 not in answers and set(answers) == {0, 2, 3}


@pytest.mark.parametrize("text", ["cannot tell", '{"answer": "cannot tell"}', "Either A or C.", "Hm."])
def test_a_reply_that_names_no_choice_is_not_an_answer(folder: Path, text: str) -> None:
    with serve(lambda messages: text) as server:
        assert reader(folder, server).answers([record()]) == ([CANNOT_SAY], [])


@pytest.mark.parametrize("fault", ["refusal", "content_filter", "500"])
def test_a_request_that_fails_is_no_verdict(folder: Path, fault: str) -> None:
    with serve(always_answers("a kite"), faults=[fault]) as server:
        answers, notes = reader(folder, server, concurrency=1).answers([record(0), record(1)])
    assert answers == [None, 1] and len(notes) == 1


def test_nothing_is_asked_twice(folder: Path) -> None:
    records = [record(n) for n in range(30)]
    with serve(always_answers("a kite"), faults=[None] * 12 + ["401"] * 100) as server:
        with pytest.raises(TeacherStop):
            reader(folder, server, concurrency=1).answers(records)
        ledger = folder.parent / "ledger.jsonl"
        assert len(ledger.read_bytes().splitlines()) == 12
        ledger.write_bytes(ledger.read_bytes()[:-20])  # killed in the middle of a line
        server.requests.clear()
        server._faults = iter([None] * 100)
        again = reader(folder, server)
        assert again.answers([*records, records[0]])[0] == [1] * 31
        assert len(server.requests) == 19
        assert again.answers(records)[0] == [1] * 30 and len(server.requests) == 19
        other = [msgspec.structs.replace(records[0], correct_choice_idx=3)]
        again.answers(other)
        assert len(server.requests) == 19  # the answer is not part of the request


def test_the_picture_itself_may_be_sent(folder: Path) -> None:
    with serve(always_answers("a hat")) as server:
        seeing = reader(folder, server, pool=None, attach_image=True, image_root=folder)
        answers, notes = seeing.answers([record(), record(image_id=9)])
    (body,) = server.requests
    text, picture = body["messages"][0]["content"]
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert (
        "You see the picture" in text["text"]
        and "chases a kite" not in text["text"].partition("Image info")[2]
    )
    assert answers == [2, None] and "image 9" in notes[0]


def test_the_blind_reader_is_sent_nothing_about_the_picture(folder: Path) -> None:
    def write(messages: list[dict[str, Any]], schema: dict[str, Any]) -> str:
        assert schema["properties"]["answer"]["enum"] == list(LETTERS[:4])
        return '{"answer": "A"}'

    with serve(always_answers("a hat"), structured=write) as server:
        answers, _ = reader(folder, server, blind=True, attach_image=True, image_root=folder).answers(
            [record()]
        )
    (body,) = server.requests
    assert "chases a kite" not in str(body) and "Objects" not in str(body) and "image_url" not in str(body)
    assert answers == [reader_order(record())[0]]


def test_what_a_reader_needs_is_asked_for(folder: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "l.jsonl"
    with pytest.raises(ValueError, match="openai:MODEL or playground"):
        second_reader("annotations", ledger, settings(), pool=read_pool(folder))
    with pytest.raises(ParameterError, match="image_root"):
        second_reader("playground", ledger, settings(), attach_image=True)
    with pytest.raises(ParameterError, match="coco_dataset"):
        second_reader("playground", ledger, settings())
    with pytest.raises(ParameterError, match="line 1"):
        bad = tmp_path / "bad.j2"
        bad.write_text("{{ question }")
        second_reader("playground", ledger, settings(), blind=True, template=bad)


@pytest.fixture
def dollar_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `any` writes costs a dollar a token: 9 for a letter in JSON, 20 at the most in `frugal`."""
    models = {
        "any": "{input: 0, output: 1000000}",
        "read": "{input: 1000000, output: 0}",
        "seen": "{input: 1, output: 0, image_tokens: 2000000}",
    }
    lines = "".join(f"  {name}: {price}\n" for name, price in models.items())
    (tmp_path / "prices.yaml").write_text(f"date: 2026-01-01\nmodels:\n{lines}")
    monkeypatch.setattr(prices, "PRICES", tmp_path / "prices.yaml")


def frugal(folder: Path, server: PlaygroundServer, budget_usd: float | None, **options: Any) -> SecondReader:
    return reader(folder, server, budget_usd=budget_usd, max_output_tokens=20, **options)


def paid(folder: Path) -> float:
    return sum(row.get("completion_tokens", 0) for row in read_jsonl(folder.parent / "ledger.jsonl"))


@pytest.mark.usefixtures("dollar_a_token")
@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_a_budget_is_not_crossed_and_a_larger_one_goes_on(folder: Path, concurrency: int) -> None:
    records = [record(n) for n in range(16)]
    with serve(always_answers("a kite"), structured=always_answers("a kite")) as server:
        # in three calls, each with an event loop of its own, that wait for one another's money
        first = frugal(folder, server, 100, concurrency=concurrency)
        answers = [answer for start in (0, 4, 8) for answer in first.answers(records[start : start + 4])[0]]
        # 9 a letter and 20 at the most: the ninth still fits below 100, the tenth does not
        assert answers == [1] * 9 + [None] * 3 and first.unasked == 3 and paid(folder) == 81
        assert "budget_usd 100: 81.0000 spent" in first.stopped and "raise budget_usd" in first.stopped
        again = frugal(folder, server, 100, concurrency=concurrency)
        assert again.answers(records) == ([1] * 9 + [None] * 7, []) and len(server.requests) == 9
        more = frugal(folder, server, 1000, concurrency=concurrency)
        assert more.answers(records) == ([1] * 16, []) and (more.unasked, more.stopped) == (0, "")
        assert len({str(body) for body in server.requests}) == len(server.requests) == 16


@pytest.mark.usefixtures("dollar_a_token")
def test_no_record_is_asked_after_one_that_is_too_expensive(folder: Path) -> None:
    long = msgspec.structs.replace(record(1), question="What is long? " * 1000)
    with serve(always_answers("a kite")) as server:
        options: dict[str, Any] = {"pool": read_pool(folder), "budget_usd": 3000}
        frugal = second_reader("openai:read", folder.parent / "ledger.jsonl", settings(server), **options)
        answers, _ = frugal.answers([record(0), long, *(record(n) for n in range(2, 20))])
    assert answers == [1] + [None] * 19 and frugal.unasked == 19


@pytest.mark.usefixtures("dollar_a_token")
def test_two_readers_share_a_budget_and_the_first_goes_first(folder: Path) -> None:
    records = [record(n) for n in range(8)]
    with serve(always_answers("a kite"), structured=always_answers("a kite")) as server:
        for budget, asked in ((40, (3, 0)), (100, (8, 1)), (130, (8, 5)), (500, (8, 8))):
            second = frugal(folder, server, budget)
            blind = frugal(folder, server, budget, blind=True, before=second)
            got = tuple(len(records) - one.answers(records)[0].count(None) for one in (second, blind))
            assert got == asked and paid(folder) <= budget
            assert (blind.unasked, bool(blind.stopped)) == (8 - asked[1], asked[1] < 8)
    assert len(server.requests) == 16


@pytest.mark.usefixtures("dollar_a_token")
def test_requests_without_an_answer_may_have_been_paid_for(folder: Path) -> None:
    records = [record(n) for n in range(12)]
    with serve(always_answers("a kite"), faults=["drop"], structured=always_answers("a kite")) as server:
        second = frugal(folder, server, 100, concurrency=1)
        blind = frugal(folder, server, 120, blind=True, before=second)
        # 20 are as good as gone, so two fewer fit
        answers, notes = second.answers(records)
        assert answers == [None] + [1] * 7 + [None] * 4 and second.unasked == 4 and len(notes) == 1
        second.budget.stopped = ""
        assert blind.answers(records)[0].count(None) == 12 - 2  # 20 + 63 + 2 * 9 + 20 > 120
        asked = len(server.requests)
        for budget, more in ((120, 0), (121, 1)):  # a later run counts them as well
            frugal(folder, server, budget, concurrency=1).answers(records)
            assert len(server.requests) == asked + more


@pytest.mark.usefixtures("dollar_a_token")
def test_no_question_is_tried_again_beyond_the_budget(folder: Path) -> None:
    with serve(
        always_answers("a kite"), faults=[None, *["drop"] * 9], structured=always_answers("a kite")
    ) as server:
        second = frugal(folder, server, 60, concurrency=1, max_attempts=6)
        answers, notes = second.answers([record(n) for n in range(4)])
    # a letter for 9 and two tries that may have cost 20 each; a third would cross 60
    assert answers == [1, None, None, None] and second.unasked == 2 and len(server.requests) == 3
    assert (
        "the budget allows no further attempt" in notes[0]
        and "budget_usd 60: 49.0000 spent" in second.stopped
    )


@pytest.mark.usefixtures("dollar_a_token")
def test_a_stop_does_not_wait_for_requests_that_wait_for_money(folder: Path) -> None:
    with serve(always_answers("a kite"), faults=["401"] * 9) as server:
        began = time.monotonic()
        with pytest.raises(TeacherStop):
            frugal(folder, server, 50, concurrency=8).answers([record(n) for n in range(8)])
    assert len(server.requests) == 1 and time.monotonic() - began < 8


@pytest.mark.usefixtures("dollar_a_token")
def test_a_budget_counts_pictures_and_needs_prices(folder: Path) -> None:
    with serve(always_answers("a kite"), structured=always_answers("a kite")) as server:
        options: dict[str, Any] = {"image_root": folder, "attach_image": True}
        ledger = folder.parent / "ledger.jsonl"
        with pytest.raises(ParameterError, match=r"budget_usd 1 is less than .* cost \(2\.0.*; raise it$"):
            second_reader("openai:seen", ledger, settings(server), budget_usd=1, **options)
        # the picture counts as 2 dollars until the server reports that it was a few tokens
        seeing = second_reader("openai:seen", ledger, settings(server), budget_usd=3, **options)
        assert seeing.answers([record(n) for n in range(5)])[0] == [1] * 5
        second_reader(
            "openai:seen", ledger, settings(server), budget_usd=1, blind=True, **options
        )  # which is sent none
        with pytest.raises(
            ParameterError,
            match="no price is known for openai:mine; add it to dataengine_lib/resources/prices",
        ):
            second_reader("openai:mine", ledger, settings(server), budget_usd=1, blind=True, **options)
        mine = second_reader("openai:mine", ledger, settings(server), blind=True, **options)
        assert mine.answers([record()])[0] != [None]
        asked = len(server.requests)
        for old in (False, True):
            if old:  # an earlier version wrote only the name that the server gives
                ledger.write_text(ledger.read_text().replace('"asked":"openai:mine"', '"asked":""'))
            counting = second_reader(
                "openai:seen", ledger, settings(server), budget_usd=1, blind=True, **options
            )
            with pytest.raises(
                ParameterError, match=r"for openai:mine, of which .*ledger.jsonl holds replies"
            ):
                counting.answers([record()])
        assert len(server.requests) == asked
