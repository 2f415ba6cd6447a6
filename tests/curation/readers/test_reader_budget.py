"""`budget_usd` of readers: never crossed, shared by two readers, and gone on with when it is raised."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from reading_qas.second_readers import always_answers, reader, record, second_reader, settings

from dataengine_lib.chat import prices
from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.core.files import read_jsonl
from dataengine_lib.curation.readers.second_reader import SecondReader
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.server import PlaygroundServer, serve


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
