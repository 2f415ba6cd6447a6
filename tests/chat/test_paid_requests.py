"""Replies are in the ledger before they are used, and money is reserved before requests are sent."""

import asyncio
from pathlib import Path

import pytest

from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.ledger import Ledger
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply, TeacherStop
from dataengine_lib.chat.settings import ChatSettings

PRICE = Price(input=0, output=1_000_000)  # a dollar a token of a reply
SETTINGS = ChatSettings(max_output_tokens=10, concurrency=1)


def requests(count: int) -> list[PaidRequest[int]]:
    return [PaidRequest(key=f"k{number}", prompt="?", subject=number) for number in range(count)]


def budget(ledger: Ledger, limit: float) -> Budget:
    return Budget(limit, PRICE, "", ledger)


def fields(request: PaidRequest[int]) -> dict[str, str]:
    return {"asked": "m"}


def test_a_reply_is_in_the_ledger_even_if_its_use_fails(tmp_path: Path) -> None:
    async def send(request: PaidRequest[int], limit: int, may_retry: MayRetry) -> Reply:
        return Reply("A", prompt_tokens=1, completion_tokens=4)

    def broken(request: PaidRequest[int], reply: Reply) -> None:
        raise RuntimeError("no disk for the results")

    with Ledger(tmp_path / "l.jsonl", lambda row: PRICE.of(row)) as ledger:
        paid = PaidRequests(budget(ledger, 100), SETTINGS, send, fields)
        with pytest.raises(RuntimeError):
            asyncio.run(paid.ask_all(requests(1), broken, lambda request, failure: None))
    with Ledger(tmp_path / "l.jsonl") as known:
        assert known.paid["k0"].text == "A" and known.spent_usd == 4


def test_each_attempt_that_may_be_billed_costs_its_reservation(tmp_path: Path) -> None:
    sent: list[int] = []
    failed: list[str] = []

    async def send(request: PaidRequest[int], limit: int, may_retry: MayRetry) -> Reply:
        sent.append(request.subject)
        if not may_retry():
            raise AskFailed("no money")
        raise AskFailed("no reply", unanswered=True)

    with Ledger(tmp_path / "l.jsonl", lambda row: PRICE.of(row)) as ledger:
        paid = PaidRequests(budget(ledger, 35), SETTINGS, send, fields)
        asyncio.run(
            paid.ask_all(requests(3), lambda request, reply: None, lambda one, why: failed.append(str(why)))
        )
        # 10 and 10 of the first request, 10 of the second, for whose retry 10 more are not there
        assert (sent, failed, ledger.lost_usd) == ([0, 1], ["no reply", "no money"], 30)
        assert "35: 30.0000 spent" in paid.budget.stopped


def test_requests_with_the_same_key_reserve_money_by_their_names(tmp_path: Path) -> None:
    in_flight, most = 0, 0

    async def send(request: PaidRequest[int], limit: int, may_retry: MayRetry) -> Reply:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1
        return Reply("A", prompt_tokens=1, completion_tokens=10)

    same = [PaidRequest(key="k", prompt="?", subject=number, name=f"n{number}") for number in range(5)]
    with Ledger(tmp_path / "l.jsonl", lambda row: PRICE.of(row)) as ledger:
        settings = SETTINGS.model_copy(update={"concurrency": 5})
        paid = PaidRequests(budget(ledger, 25), settings, send, fields)
        asyncio.run(paid.ask_all(same, lambda request, reply: None, lambda request, failure: None))
        # each may cost 10: two in flight, and no third one after them
        assert (most, ledger.spent_usd, ledger.paid["k"].replies) == (2, 20, 2)


def test_a_reply_that_was_cut_off_is_requested_once_more_at_a_higher_limit(tmp_path: Path) -> None:
    limits: list[int] = []

    async def send(request: PaidRequest[int], limit: int, may_retry: MayRetry) -> Reply:
        limits.append(limit)
        return Reply("A", "length", prompt_tokens=1, completion_tokens=limit)

    def replied(request: PaidRequest[int], reply: Reply) -> None:
        used.append(reply.completion_tokens)

    used: list[int] = []
    with Ledger(tmp_path / "l.jsonl", lambda row: PRICE.of(row)) as ledger:
        paid = PaidRequests(budget(ledger, 45), SETTINGS, send, fields, longer_output_tokens=20)
        asyncio.run(paid.ask_all(requests(2), replied, lambda request, failure: None))
        # the second has no money for its longer reply
        assert (limits, used) == ([10, 20, 10], [20, 10]) and ledger.spent_usd == 40
        assert (ledger.paid["k0"].replies, ledger.paid["k0"].max_output_tokens) == (2, 20)


def test_no_money_stays_reserved_for_a_request_that_a_stop_holds_back(tmp_path: Path) -> None:
    async def send(request: PaidRequest[int], limit: int, may_retry: MayRetry) -> Reply:
        sent.append(request.subject)
        await asyncio.sleep(0)  # the second request waits in `admit` for the money of this one
        raise TeacherStop("key refused")

    sent: list[int] = []
    with Ledger(tmp_path / "l.jsonl", lambda row: PRICE.of(row)) as ledger:
        settings = SETTINGS.model_copy(update={"concurrency": 2})
        paid = PaidRequests(budget(ledger, 15), settings, send, fields)
        with pytest.raises(TeacherStop, match="key refused"):
            asyncio.run(paid.ask_all(requests(3), lambda request, reply: None, lambda request, failure: None))
        assert (sent, ledger.reserved_usd, ledger.spent_usd) == ([0], 0, 0)
    with Ledger(tmp_path / "l.jsonl") as known:
        assert known.spent_usd == 0
