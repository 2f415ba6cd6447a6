"""Steps 0, 1 and 3: how many requests are on their way to a server, and how fast they follow each other.

As fast as the server allows and no faster: more at a time while all is well, fewer when it refuses, never against
its word. A rate that the server names is kept just below; one that it does not name is found by trying.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from dataengine_lib.chat.reply import TeacherStop

FIRST = 8  # requests at the same time before anything is known
BELOW = 0.98  # of a rate that the server named or refused to exceed: its clock is not ours
GROWTH = 0.002  # of a rate that was found by trying, by which it grows each second
PLATEAU = 15.0  # seconds after which it grows faster and faster: the limit seems to be elsewhere now
ACCELERATION = 0.005  # of the rate, a second squared
QUEUED = 2.5  # times the fastest answer: requests wait for each other at the server
SHRINK = 0.7  # of the requests at the same time that remain when the server is busy
TROUBLE = 0.1  # share of the last answers that were none, from which the server counts as busy
_LATELY = 50  # answers that count as the last ones
_COUNT = 2.0  # seconds over which answers tell a rate; before, too many of them are still on their way
LESS = 0.92  # of the rate that remains when a refusal comes before that
_PROOF = 5.0  # seconds over which a rate has to be kept to be proven
LONGEST_HOLD = 30.0  # seconds of silence when every answer is a refusal and no time is named
_LOOK = 1.0  # seconds between two looks at a pace that is waited for
_BURST = 1.0  # seconds of the rate that may be caught up with after a pause
_HEADERS = ("requests", "tokens")
_NOT_PART = re.compile(r"[,;]")


class Flow:
    """The gate before a server: `enter` waits for its turn, `left` says how it went.

    `most` requests at the same time at most; `rpm` and `tpm` are caps of requests and tokens a minute, None for
    none. `sent` counts entries, `refused` those answered with 429.
    """

    def __init__(self, most: int, rpm: float | None = None, tpm: float | None = None) -> None:
        self.most = most
        self.window = float(min(FIRST, most))
        self.in_flight = self.sent = self.refused = 0
        self.requests = Pace(rpm and rpm / 60)
        self.tokens = Pace(tpm and tpm / 60)
        self._hold = 0.0  # nothing is sent before this moment
        self._cut = 0.0  # when it was last slowed down; what was sent before says nothing new
        self._answers, self._since = 0, 0.0  # answers since the last cut, and when they began to be counted
        self._fastest = float("inf")  # seconds of the fastest answer
        self._in_vain = 0  # refusals since the last answer
        self._lately: deque[bool] = deque(maxlen=_LATELY)  # of the last requests, which were answered
        self._proven = 0.0  # answers a second that it has been seen to give
        self._span = (0.0, 0)  # since when answers are counted for that, and how many there were
        self._calm = True  # nothing has gone wrong yet
        self._bind()

    def _bind(self) -> None:
        self._turn, self._free = asyncio.Lock(), asyncio.Event()
        self._closed = ""  # why nobody gets in any more

    def reopen(self) -> None:
        """Serve a new event loop; what was learned about the server stays."""
        self.in_flight = 0
        self._bind()

    async def enter(self, tokens: int = 0) -> float:
        """Wait until a request of about `tokens` may go; returns the moment, which `left` wants back.

        Raises TeacherStop once the gate is closed.
        """
        async with self._turn:  # in the order of coming
            while True:
                if self._closed:
                    raise TeacherStop(self._closed)
                now = time.monotonic()
                wait = max(self._hold, self.requests.next, self.tokens.next if tokens else 0.0) - now
                if self.in_flight >= max(1, int(self.window)):
                    self._free.clear()
                    await self._free.wait()
                elif wait > 0:
                    await asyncio.sleep(min(wait, _LOOK))  # what was taken too much may have been given back
                else:
                    break
            self.requests.take(1, now)
            self.tokens.take(tokens, now)
            self.in_flight += 1
            self.sent += 1
            self._since = self._since or now
            return now

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the gate is open."""
        until = time.monotonic() + seconds
        while not self._closed and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK))

    def close(self, why: str) -> None:
        """Let nobody in any more, those who wait included: no request will be answered."""
        self._closed = self._closed or why
        self._free.set()

    def left(self, entered: float, slow: float = 60.0) -> None:
        """A request came back with an answer.

        More at a time do not help when answers take much longer than the fastest did, or come near `slow` seconds.
        """
        now = time.monotonic()
        self._answers += 1
        self._in_vain = 0
        self._lately.append(True)
        self._prove(now)
        took = now - entered
        self._fastest = min(self._fastest, took)
        quick = took < max(slow / 4, QUEUED * self._fastest) and took < slow / 2
        if self.in_flight >= 0.8 * int(self.window) and quick:
            step = 1.0 if self._calm else max(1.0, 0.05 * self.window) / self.window
            self.window = min(self.most, self.window + step)
        self._leave()

    def refused_at(self, entered: float, wait: float | None) -> None:
        """A 429; `wait` is how many seconds the server asks for, None when it does not say."""
        now = time.monotonic()
        self.refused += 1
        self._lately.append(False)
        if wait is not None:
            self._hold = max(self._hold, now + wait)
        if entered >= self._cut:
            self._slow_down(now)
            # Between two refusals a server serves just what it allows, pauses and bursts included. But some refuse
            # now and then whatever the rate: without a floor that would slow down without end.
            if self._troubled():
                self._proven /= 2
            rate, counted = self.requests.rate(now), now - self._since
            if rate is None or counted > _COUNT:
                rate = self._answers / max(0.25, counted)
                self._answers, self._since = 0, now
            else:
                rate *= LESS
            self.requests.found(max(rate, self._proven / 2), now)
            if wait is None:
                self._hold = max(self._hold, now + min(LONGEST_HOLD, 0.1 * 2**self._in_vain))
            self._in_vain += 1
        # What was allowed during the pause is not caught up with: a server that refuses has nothing saved up.
        self.requests.next = max(self.requests.next, self._hold, now)
        self._leave()

    def failed(self, entered: float, wait: float | None = None) -> None:
        """No answer in time, no connection or a server's fault: fewer at a time, the rate may be right.

        `wait` is how many seconds the server asks for, None when it does not say.
        """
        self._lately.append(False)
        if wait is not None:
            self._hold = max(self._hold, time.monotonic() + wait)
        if entered >= self._cut:
            self._slow_down(time.monotonic())
        self._leave()

    def abandoned(self) -> None:
        """A request that was called off, or whose refusal says nothing about the pace."""
        self._leave()

    def told(self, headers: Mapping[str, str]) -> None:
        """Obey the limits that a server names: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`.

        Source: OpenAI's guide "Rate limits"; limits are per minute, resets as in `1m6.5s` or `20ms`.
        """
        for name, pace in zip(_HEADERS, (self.requests, self.tokens), strict=True):
            # "60;w=60" and "60, 60;w=60" are 60; what is no number at all is passed over
            with suppress(ValueError):
                if limit := headers.get(f"x-ratelimit-limit-{name}"):
                    pace.named(float(_NOT_PART.split(limit)[0]) / 60)
            with suppress(ValueError):
                left = headers.get(f"x-ratelimit-remaining-{name}")
                if left and float(_NOT_PART.split(left)[0]) <= 0:
                    wait = seconds_of(headers.get(f"x-ratelimit-reset-{name}", ""))
                    self._hold = max(self._hold, time.monotonic() + min(wait, 60.0))

    def _slow_down(self, now: float) -> None:
        if self._troubled():
            self.window = max(1.0, min(self.window, float(self.in_flight)) * SHRINK)
        self._cut, self._calm = now, False

    def _troubled(self) -> bool:
        return self._lately.count(False) > TROUBLE * len(self._lately)

    def _prove(self, now: float) -> None:
        begin, number = self._span
        if now - begin < _PROOF:
            self._span = (begin, number + 1)
            return
        if begin:
            self._proven = max(self._proven, (number + 1) / (now - begin))
        self._span = (now, 0)

    def _leave(self) -> None:
        self.in_flight -= 1
        self._free.set()


class Pace:
    """A rate of requests or tokens; `next` is the moment from which the next may go.

    A rate found by trying stays near it for a while and then grows ever faster, as CUBIC does (RFC 9438).
    """

    def __init__(self, cap: float | None) -> None:
        self.cap = cap  # a second, by the user's or the server's word
        self._found: float | None = None  # a second, by trying
        self._since = 0.0
        self.next = 0.0

    def rate(self, now: float) -> float | None:
        """What is allowed a second now, None for no limit."""
        if self._found is None:
            return self.cap
        calm = now - self._since
        found = self._found * (1 + GROWTH * calm + ACCELERATION * max(0.0, calm - PLATEAU) ** 2)
        return found if self.cap is None else min(found, self.cap)

    def take(self, number: float, now: float) -> None:
        """Use up the time of `number` requests or tokens."""
        rate = self.rate(now)
        if rate is not None and number:
            self.next = max(self.next, now - _BURST) + number / rate

    def give_back(self, number: float, now: float) -> None:
        """Less was used than taken."""
        rate = self.rate(now)
        if rate is not None:
            self.next -= number / rate

    def found(self, rate: float, now: float) -> None:
        """A server refused at `rate` answers a second: go on just below, and try again in a while."""
        if rate > 0:
            self._found, self._since = rate * BELOW, now

    def named(self, rate: float) -> None:
        """The server's own limit a second."""
        if rate > 0 and (self.cap is None or rate * BELOW < self.cap):
            self.cap = rate * BELOW


def seconds_of(text: str) -> float:
    """Seconds of a span as in `1h2m3.5s`, `20ms` or `7`; ValueError for another text."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    total, number, unit = 0.0, "", ""
    for letter in f"{text} ":
        if letter.isalpha():
            unit += letter
            continue
        if unit:
            total += float(number) * units.get(unit, float("nan"))
            number = unit = ""
        number += letter.strip()
    total += float(number) if number else 0.0
    if total != total or not text:
        raise ValueError(f"not a span of time: {text!r}")
    return total
