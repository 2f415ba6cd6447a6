"""As many requests as the server allows and no more: growth, 429s, limits in headers, the user's own limits."""

import asyncio
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from dataengine_lib.chat import rate_control
from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.rate_control import RateControl, RateLimit, parse_duration
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.playground.server import serve


class Clock:
    """A clock that only asyncio.sleep moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(rate_control.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(rate_control.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def moments(gate: RateControl, clock: Clock, number: int, tokens: int = 0) -> list[float]:
    async def main() -> list[float]:
        found = []
        for _ in range(number):
            entered = await gate.enter(tokens)
            found.append(entered - 1000)
            gate.on_success(entered)
        return found

    return asyncio.run(main())


def test_the_window_grows_while_replies_are_quick(clock: Clock) -> None:
    async def main() -> None:
        for _ in range(20):
            entered = [await gate.enter() for _ in range(int(gate.window))]
            clock.now += 0.1
            for moment in entered:
                gate.on_success(moment)

    gate = RateControl(50)
    assert gate.window == rate_control.START_WINDOW
    asyncio.run(main())
    assert gate.window == 50


@pytest.mark.parametrize(("seconds", "grows"), [((20, 20, 20), True), ((2, 4, 20), False), ((40, 40), False)])
def test_the_window_stops_growing_when_replies_queue_at_the_server(
    clock: Clock, seconds: tuple[int, ...], grows: bool
) -> None:
    async def main() -> float:
        for took in seconds:
            before = gate.window
            entered = [await gate.enter() for _ in range(int(gate.window))]
            clock.now += took
            for moment in entered:
                gate.on_success(moment, timeout_s=60)
        return before

    gate = RateControl(500)
    assert (asyncio.run(main()) < gate.window) is grows


def test_caps_of_requests_and_tokens_are_kept(clock: Clock) -> None:
    assert moments(RateControl(10, rpm=60), clock, 4)[1:] == pytest.approx([0, 1, 2], abs=1.01)
    clock.now = 1000.0
    last = moments(RateControl(10, tpm=6000), clock, 11, tokens=100)[-1]
    assert last == pytest.approx(9, abs=1.1)


def test_a_limit_that_the_server_names_is_kept(clock: Clock) -> None:
    gate = RateControl(10)
    gate.read_limits({"x-ratelimit-limit-requests": "120", "x-ratelimit-limit-tokens": "off"})
    times = moments(gate, clock, 21)
    assert (len(times) - 1) / times[-1] == pytest.approx(2 * rate_control.LIMIT_SHARE, rel=0.15)
    gate.read_limits({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2s"})
    before = clock.now
    assert moments(gate, clock, 1)[0] + 1000 >= before + 60


def test_retry_after_holds_all_requests(clock: Clock) -> None:
    async def main() -> float:
        entered = await gate.enter()
        gate.on_rate_limited(entered, 7.0)
        return await gate.enter()

    gate = RateControl(10)
    assert asyncio.run(main()) >= 1007


def test_no_burst_follows_a_pause_after_a_refusal(clock: Clock) -> None:
    async def main() -> None:
        for _ in range(100):
            entered = await gate.enter()
            clock.now += 0.1
            gate.on_success(entered)
        gate.on_rate_limited(await gate.enter(), 3.0)

    gate = RateControl(50)
    asyncio.run(main())
    times = moments(gate, clock, 11)
    assert (times[-1] - times[0]) / 10 == pytest.approx(0.1, rel=0.1)  # of ten a second: spaced, no burst


def test_refusals_close_together_do_not_measure_the_rate_anew(clock: Clock) -> None:
    async def main() -> None:
        for _ in range(100):
            entered = await gate.enter()
            clock.now += 0.1
            gate.on_success(entered)
        for _ in range(2):  # the second comes before any answer could
            gate.on_rate_limited(await gate.enter(), None)

    gate = RateControl(50)
    asyncio.run(main())
    assert gate.requests.rate(clock.now) == pytest.approx(
        10 * rate_control.LIMIT_SHARE * rate_control.REFUSED_FACTOR * rate_control.LIMIT_SHARE, rel=0.05
    )


def test_repeated_refusals_lengthen_the_pause_exponentially(clock: Clock) -> None:
    async def main() -> list[float]:
        found = []
        for _ in range(8):
            entered = await gate.enter()
            found.append(entered)
            gate.on_rate_limited(entered, None)
        return found

    gate = RateControl(10)
    times = asyncio.run(main())
    pauses = [b - a for a, b in pairwise(times)]
    assert all(b > 1.5 * a for a, b in pairwise(pauses)) and gate.window < rate_control.START_WINDOW


def test_occasional_refusals_do_not_slow_down_endlessly(clock: Clock) -> None:
    async def main() -> None:
        for number in range(6000):
            entered = await gate.enter()
            await asyncio.sleep(0.01)
            if number % 50 == 49:
                gate.on_rate_limited(entered, None)
            else:
                gate.on_success(entered)

    gate = RateControl(10)
    asyncio.run(main())
    assert clock.now - 1000 < 60 * 4  # 100 a second at best


def test_a_rate_found_by_trying_grows_back() -> None:
    limit = RateLimit(None)
    assert limit.rate(0) is None
    limit.on_refused(50, 0)
    assert limit.rate(0) == pytest.approx(49) and 49 < limit.rate(15) < 52 and limit.rate(40) > 100
    limit.cap_at(10)
    assert limit.rate(40) == pytest.approx(9.8)


@pytest.mark.parametrize(("text", "seconds"), [("1h2m3.5s", 3723.5), ("20ms", 0.02), ("6m0s", 360), ("7", 7)])
def test_durations_in_headers(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "1w", "s"])
def test_other_texts_are_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|float"):
        parse_duration(text)


def test_a_real_server_that_allows_so_many_a_second() -> None:
    """Most requests are sent in time, and few are refused."""
    lock, bucket = threading.Lock(), {"tokens": 20.0, "last": time.monotonic(), "refused": 0}

    def limit(body: dict[str, Any]) -> str | None:
        with lock:
            now = time.monotonic()
            bucket["tokens"] = min(20.0, bucket["tokens"] + (now - bucket["last"]) * 40)
            bucket["last"] = now
            if bucket["tokens"] >= 1:
                bucket["tokens"] -= 1
                return None
            bucket["refused"] += 1
            return "429"

    async def main(url: str) -> None:
        async with ChatClient("local", url, "k", ChatSettings(concurrency=16, max_attempts=10)) as client:
            asked = [client.complete([{"role": "user", "content": str(number)}]) for number in range(240)]
            assert len({reply.text for reply in await asyncio.gather(*asked)}) == 240

    with serve(lambda messages: messages[0]["content"], limit) as server:
        asyncio.run(main(server.base_url))
    assert bucket["refused"] < 60 and len(server.requests) == 240 + bucket["refused"]


def test_a_closed_gate_refuses_new_requests_and_wakes_waiting_ones() -> None:
    async def main() -> list[BaseException | float]:
        gate = RateControl(1)
        entered = await gate.enter()
        waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
        pausing = asyncio.create_task(gate.pause(600))
        await asyncio.sleep(0)
        gate.close("no money left")
        gate.on_success(entered)
        await asyncio.wait_for(pausing, 30)
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)

    assert [str(error) for error in asyncio.run(main())] == ["no money left"] * 3


@pytest.mark.parametrize(
    ("limit", "left"), [("60;w=60", "0"), ("60, 60;w=60", "0.0"), ("off", "0;w=60"), ("", "0")]
)
def test_limits_in_other_forms(clock: Clock, limit: str, left: str) -> None:
    gate = RateControl(10)
    gate.read_limits(
        {
            "x-ratelimit-limit-requests": limit,
            "x-ratelimit-remaining-requests": left,
            "x-ratelimit-reset-requests": "20s",
        }
    )
    assert moments(gate, clock, 1)[0] >= 19
    rate = gate.requests.rate(clock.now)
    assert rate == pytest.approx(rate_control.LIMIT_SHARE) if limit.startswith("60") else rate is None


def test_nothing_is_sent_to_a_busy_server_before_the_time_it_names(clock: Clock) -> None:
    gate = RateControl(10)

    async def main() -> float:
        gate.on_failure(await gate.enter(), 9.0)
        return await gate.enter()

    assert asyncio.run(main()) >= 1009
