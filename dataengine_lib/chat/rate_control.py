"""Steps 0, 1, 3 and 4: how many requests are in flight at a server, and how fast new ones are sent.

The goal is the highest throughput that the server allows. Two limits are adjusted while replies come in: a window
(requests in flight at the same time) and a rate (requests and tokens per second). A rate limit that the server names in
its headers is kept just below; one that it does not name is found by trying.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from dataengine_lib.chat.reply import TeacherStop

# The window: requests in flight at the same time.
START_WINDOW = 8  # before anything is known about the server
_SHRINK = 0.7  # factor of the window when the server is overloaded
_QUEUED = 2.5  # a reply this many times slower than the fastest one has waited in the server's queue
_RECENT = 50  # outcomes (reply or error) that are looked at to decide whether the server is overloaded
_OVERLOADED = 0.1  # share of errors among the recent outcomes above which it is

# The rate: requests or tokens per second.
LIMIT_SHARE = 0.98  # of a limit is used, since the server's clock is not ours
REFUSED_FACTOR = 0.92  # of the rate remains after a 429 that comes too early to measure the rate anew
_MEASURE_S = 2.0  # seconds of replies that are enough to measure a rate; before, too many are still in flight
_PROVEN_S = 5.0  # seconds for which a rate must be sustained to count as proven
_GROWTH = 0.002  # linear growth per second of a rate that was found by trying
_PLATEAU_S = 15.0  # without a refusal, after which growth accelerates: the limit seems to be elsewhere now
_ACCELERATION = 0.005  # quadratic growth per second squared after the plateau

# Pauses, in seconds.
_LONGEST_HOLD = 30.0  # when every request is refused and the server names no time
_POLL = 1.0  # between two looks at a limit that is waited for
_BURST = 1.0  # unused time that may be caught up with after a pause

_HEADER_KINDS = ("requests", "tokens")
_LIMIT_END = re.compile(r"[,;]")  # cuts "60;w=60" and "60, 60;w=60" after the first number


class RateControl:
    """The gate before a server: `enter` waits for a free slot, then exactly one `on_...` method reports the outcome.

    `max_in_flight` is the largest window; `rpm` and `tpm` are the user's own limits of requests and tokens per minute,
    None for none. `sent` counts requests that were let through, `refused` those answered with status 429.
    """

    def __init__(self, max_in_flight: int, rpm: float | None = None, tpm: float | None = None) -> None:
        self.max_in_flight = max_in_flight
        self.window = float(min(START_WINDOW, max_in_flight))
        self.in_flight = self.sent = self.refused = 0
        self.requests = RateLimit(rpm and rpm / 60)
        self.tokens = RateLimit(tpm and tpm / 60)
        # All moments are time.monotonic(), in seconds.
        self._hold_until = 0.0  # nothing is sent before this moment
        self._slowed_at = 0.0  # last slow-down; the outcome of a request sent before it says nothing new
        self._replies = 0  # since the rate was last measured
        self._measured_since = 0.0  # when that was
        self._fastest = float("inf")  # seconds of the fastest reply
        self._refused_in_row = 0  # refusals since the last reply
        self._recent: deque[bool] = deque(maxlen=_RECENT)  # outcomes of the last requests, True for a reply
        self._proven = 0.0  # replies per second that the server has sustained for _PROVEN_S
        self._proving = (0.0, 0)  # the current measurement of that: its start and its number of replies
        self._ramping_up = True  # no error yet: the window grows by one a reply, as in TCP's slow start
        self._bind()

    def _bind(self) -> None:
        """Create what belongs to the running event loop."""
        self._turn, self._slot_freed = asyncio.Lock(), asyncio.Event()
        self._closed = ""  # the reason, once nothing is sent any more

    def reopen(self) -> None:
        """Serve a new event loop; what was learned about the server is kept."""
        self.in_flight = 0
        self._bind()

    async def enter(self, tokens: int = 0) -> float:
        """Wait until a request of about `tokens` may be sent; returns that moment, which `on_...` methods ask for.

        Raises TeacherStop once the gate is closed.
        """
        async with self._turn:  # first come, first served
            while True:
                if self._closed:
                    raise TeacherStop(self._closed)
                now = time.monotonic()
                next_at = max(self._hold_until, self.requests.next_at, self.tokens.next_at if tokens else 0.0)
                if self.in_flight >= max(1, int(self.window)):
                    self._slot_freed.clear()
                    await self._slot_freed.wait()
                elif next_at > now:
                    # Never sleep for the whole time: tokens reserved too high may be given back meanwhile.
                    await asyncio.sleep(min(next_at - now, _POLL))
                else:
                    break
            self.requests.take(1, now)
            self.tokens.take(tokens, now)
            self.in_flight += 1
            self.sent += 1
            # The first measurement begins with the first request, not when this object is made.
            self._measured_since = self._measured_since or now
            return now

    async def pause(self, seconds: float) -> None:
        """Wait before a retry; returns early when the gate is closed."""
        until = time.monotonic() + seconds
        while not self._closed and (remaining := until - time.monotonic()) > 0:
            await asyncio.sleep(min(remaining, _POLL))

    def close(self, reason: str) -> None:
        """Let no further request through, waiting ones included: `enter` raises TeacherStop with `reason`."""
        self._closed = self._closed or reason
        self._slot_freed.set()

    def on_success(self, entered: float, timeout_s: float = 60.0) -> None:
        """The request that entered at `entered` got a reply; the window grows if it is full and replies are quick.

        A larger window is of no use when replies take much longer than the fastest one, or come near `timeout_s`.
        """
        now = time.monotonic()
        self._replies += 1
        self._refused_in_row = 0
        self._recent.append(True)
        self._update_proven(now)
        seconds = now - entered
        self._fastest = min(self._fastest, seconds)
        quick = seconds < max(timeout_s / 4, _QUEUED * self._fastest) and seconds < timeout_s / 2
        # Quick replies prove nothing about a larger window unless this one is nearly full.
        if self.in_flight >= 0.8 * int(self.window) and quick:
            # After an error: about one more, or 5 %, per window of replies instead of one more per reply.
            step = 1.0 if self._ramping_up else max(1.0, 0.05 * self.window) / self.window
            self.window = min(self.max_in_flight, self.window + step)
        self._leave()

    def on_rate_limited(self, entered: float, wait: float | None) -> None:
        """The request got a 429; `wait` is how many seconds the server asks to wait, None when it does not say."""
        now = time.monotonic()
        self.refused += 1
        self._recent.append(False)
        if wait is not None:
            self._hold_until = max(self._hold_until, now + wait)
        # A request that was sent before the last slow-down is refused because of the rate before it.
        if entered >= self._slowed_at:
            self._slow_down(now)
            # Replies per second between two refusals are what the server allows, pauses and bursts included.
            # But some servers refuse now and then at any rate: the proven rate is a floor against an endless
            # slow-down. It is halved while many requests fail, since the limit may have been lowered.
            if self._overloaded():
                self._proven /= 2
            # Measured where enough time has passed or no rate is known yet; else the last rate was too high
            # still. At least 0.25 s are assumed: the first refusals may come at once, and the rate would be
            # huge.
            rate, measured_s = self.requests.rate(now), now - self._measured_since
            if rate is None or measured_s > _MEASURE_S:
                rate = self._replies / max(0.25, measured_s)
                self._replies, self._measured_since = 0, now
            else:
                rate *= REFUSED_FACTOR
            self.requests.on_refused(max(rate, self._proven / 2), now)
            if wait is None:  # exponential back-off for the whole gate
                self._hold_until = max(
                    self._hold_until, now + min(_LONGEST_HOLD, 0.1 * 2**self._refused_in_row)
                )
            self._refused_in_row += 1
        # No burst after the pause: a server that refuses has no unused quota saved up.
        self.requests.next_at = max(self.requests.next_at, self._hold_until, now)
        self._leave()

    def on_failure(self, entered: float, wait: float | None = None) -> None:
        """No reply in time, no connection or a 5xx: the window shrinks, the rate stays.

        `wait` is how many seconds the server asks to wait, None when it does not say.
        """
        self._recent.append(False)
        if wait is not None:
            self._hold_until = max(self._hold_until, time.monotonic() + wait)
        if entered >= self._slowed_at:
            self._slow_down(time.monotonic())
        self._leave()

    def on_cancelled(self) -> None:
        """The request was cancelled, or its error says nothing about the server's load: only its slot is freed."""
        self._leave()

    def read_limits(self, headers: Mapping[str, str]) -> None:
        """Obey the limits that a server names: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`.

        Limits are per minute, resets are durations such as `1m6.5s` or `20ms`; values of another form are ignored.
        Mistral names its limits `x-ratelimit-limit-{req,tokens}-minute`. Source: OpenAI's guide "Rate limits".
        """
        for kind, limit in zip(_HEADER_KINDS, (self.requests, self.tokens), strict=True):
            short = {"requests": "req"}.get(kind, kind)
            with suppress(ValueError):
                named = headers.get(f"x-ratelimit-limit-{kind}")
                if per_minute := named or headers.get(f"x-ratelimit-limit-{short}-minute"):
                    limit.cap_at(_first_number(per_minute) / 60)
            with suppress(ValueError):
                remaining = headers.get(f"x-ratelimit-remaining-{kind}")
                if remaining and _first_number(remaining) <= 0:
                    # Held for a minute at most, the period of the limits; then the server is asked again.
                    wait = parse_duration(headers.get(f"x-ratelimit-reset-{kind}", ""))
                    self._hold_until = max(self._hold_until, time.monotonic() + min(wait, 60.0))

    def _slow_down(self, now: float) -> None:
        """Shrink the window if the server is overloaded; one stray error leaves it as it is."""
        if self._overloaded():
            # From the requests really in flight: a window that is not full says nothing about the load.
            self.window = max(1.0, min(self.window, float(self.in_flight)) * _SHRINK)
        self._slowed_at, self._ramping_up = now, False

    def _overloaded(self) -> bool:
        return self._recent.count(False) > _OVERLOADED * len(self._recent)

    def _update_proven(self, now: float) -> None:
        """Count a reply; after each _PROVEN_S the measured rate is proven if it is the highest so far."""
        begin, number = self._proving
        if now - begin < _PROVEN_S:
            self._proving = (begin, number + 1)
            return
        # The time before the first reply is no measurement.
        if begin:
            self._proven = max(self._proven, (number + 1) / (now - begin))
        self._proving = (now, 0)

    def _leave(self) -> None:
        self.in_flight -= 1
        self._slot_freed.set()


class RateLimit:
    """A limit of requests or tokens per second; `next_at` is the moment from which the next one may be sent.

    A limit that was found by being refused is kept for a while, then exceeded by more and more, as the congestion window of
    CUBIC (RFC 9438) does. `cap`, per second, is never exceeded; None for no cap.
    """

    def __init__(self, cap: float | None) -> None:
        self.cap = cap
        self._found: float | None = None  # per second, just below the rate of the last refusal
        self._found_at = 0.0
        self.next_at = 0.0

    def rate(self, now: float) -> float | None:
        """What is allowed per second at the moment `now`, None for no limit."""
        if self._found is None:
            return self.cap
        age = now - self._found_at
        found = self._found * (1 + _GROWTH * age + _ACCELERATION * max(0.0, age - _PLATEAU_S) ** 2)
        return found if self.cap is None else min(found, self.cap)

    def take(self, number: float, now: float) -> None:
        """Use up the time of `number` requests or tokens."""
        rate = self.rate(now)
        # A token bucket, kept as a moment: what is taken moves `next_at` on by the time it takes at this
        # rate, and of the time that passes unused only the last _BURST seconds count.
        if rate is not None and number:
            self.next_at = max(self.next_at, now - _BURST) + number / rate

    def give_back(self, number: float, now: float) -> None:
        """Return `number` that were taken and not used."""
        rate = self.rate(now)
        if rate is not None:
            self.next_at -= number / rate

    def on_refused(self, rate: float, now: float) -> None:
        """The server refused at `rate` per second: go on just below, and try more after a while."""
        if rate > 0:
            self._found, self._found_at = rate * LIMIT_SHARE, now

    def cap_at(self, rate: float) -> None:
        """Stay just below `rate` per second, the server's own limit; a lower cap stays."""
        if rate > 0 and (self.cap is None or rate * LIMIT_SHARE < self.cap):
            self.cap = rate * LIMIT_SHARE


def _first_number(header: str) -> float:
    """60 for `60`, `60;w=60` and `60, 60;w=60`; ValueError for anything else."""
    return float(_LIMIT_END.split(header)[0])


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `1h2m3.5s`, `20ms` or `7`; ValueError for another text."""
    # "1m6.5s" is read as 1 * 60 s + 6.5 * 1 s.
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    total, number, unit = 0.0, "", ""
    # A unit ends where the next number begins, or at the space that is appended.
    for letter in f"{text} ":
        if letter.isalpha():
            unit += letter
            continue
        if unit:
            total += float(number) * units.get(unit, float("nan"))  # NaN marks an unknown unit
            number = unit = ""
        number += letter.strip()
    total += float(number) if number else 0.0
    # Only NaN differs from itself.
    if total != total or not text:
        raise ValueError(f"not a duration: {text!r}")
    return total
