"""Steps 0, 1, 3 and 4: many requests at once, with a bound, until all are done or no other can succeed."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")
# Least seconds that running requests are given when no others are sent: their replies may be billed. More where
# `timeout_s` is longer, since each has its reply or its timeout by then.
_GRACE_S = 10.0
_SAME_REQUEST_S = 1.0  # signals within this time are one request to stop
_LEAST_FAILURES = 8  # in a row, before a server counts as down; more where more requests run at once
# Of the requests so far, once there are some: a server that fails more often is not asked for the rest.
_MOST_FAILED_SHARE = 0.5
_LEAST_REQUESTS = 20


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run the coroutine `main` to its end, also from a notebook, which has a running event loop already.

    Ctrl-C and SIGTERM (`docker stop`, `scancel`) cancel it: then `ask_each` sends nothing more and waits for the
    replies under way; a second Ctrl-C ends that wait. KeyboardInterrupt is raised afterwards.
    """
    # A loop that runs, as in a notebook, cannot run another coroutine to its end, so `main` gets a loop and a thread of
    # its own; this thread stays free for signals.
    with _Interrupts() as interrupts, ThreadPoolExecutor(1) as pool:
        future = pool.submit(asyncio.run, interrupts.guard(main))
        try:
            result = future.result()
        except asyncio.CancelledError:
            if not interrupts.seen:
                raise
        except BaseException:
            # Raised in this thread, as by a time limit of others: an interrupted cell must not go on spending.
            if not future.done():
                interrupts.cancel()
            raise
    if interrupts.seen:
        raise KeyboardInterrupt
    return result


class _Interrupts:
    """SIGINT and SIGTERM while a coroutine runs: the first one cancels it, and so does each later SIGINT."""

    def __init__(self) -> None:
        self.seen = 0  # signals that cancelled the task
        self._first = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Interrupts":
        # Only the main thread may set handlers, and only it gets signals.
        if threading.current_thread() is threading.main_thread():
            for one in (signal.SIGINT, signal.SIGTERM):
                # Ignored as in `nohup` and shells' background jobs, or handled by a program around Python (None).
                if signal.getsignal(one) not in (signal.SIG_IGN, None):
                    self._before[one] = signal.signal(one, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    async def guard(self, main: Coroutine[Any, Any, _Result]) -> _Result:
        """Await `main` in the task that signals cancel."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.seen:  # before the loop had started
            main.close()
            raise asyncio.CancelledError
        return await main

    def cancel(self) -> None:
        """Cancel the task; one that has not begun sees it in `guard`."""
        self.seen += 1
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop has just been closed: the task has ended
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _on_signal(self, number: int, frame: object) -> None:
        now = time.monotonic()
        # scancel signals this process and its parent, which forwards the signal: that is one request to stop.
        if not self.seen:
            self._first = now
            self.cancel()
        elif number == signal.SIGINT and now > self._first + _SAME_REQUEST_S:
            self.cancel()


async def ask_each(
    ask: Callable[[_Item], Awaitable[Reply]],
    items: Iterable[_Item],
    concurrency: int,
    on_reply: Callable[[_Item, Reply], None],
    on_failure: Callable[[_Item, AskFailed], None],
    admit: Callable[[_Item], Awaitable[bool]] | None = None,
    timeout_s: float = 0.0,
    stop_sending: Callable[[], None] = lambda: None,
    withdraw: Callable[[_Item], None] = lambda item: None,
) -> None:
    """`ask` every item, at most `concurrency` at a time; each ends in a call of `on_reply` or `on_failure`.

    `admit` is awaited before an item is sent; no more items are sent once it returns False. `withdraw` is called with an
    item that was admitted and is not sent, as another one has stopped the run meanwhile. Raises TeacherStop when an
    item raises it, or when so many fail in a row, or of all so far, that the server must be down or not able to answer.
    Then, and when it is cancelled, running requests have up to `timeout_s` to end; `stop_sending` is called first, after
    which `ask` must send nothing more, retries included.
    """
    most_failures = max(_LEAST_FAILURES, concurrency)
    workers = _Workers(ask, items, on_reply, on_failure, admit, most_failures, stop_sending, withdraw)
    await workers.run(concurrency, max(_GRACE_S, timeout_s))


class _Workers(Generic[_Item]):
    """The tasks of one `ask_each`; each takes the next item when it is done with one."""

    def __init__(
        self,
        ask: Callable[[_Item], Awaitable[Reply]],
        items: Iterable[_Item],
        on_reply: Callable[[_Item, Reply], None],
        on_failure: Callable[[_Item, AskFailed], None],
        admit: Callable[[_Item], Awaitable[bool]] | None,
        most_failures: int,
        stop_sending: Callable[[], None],
        withdraw: Callable[[_Item], None],
    ) -> None:
        self._ask, self._on_reply, self._on_failure, self._admit = ask, on_reply, on_failure, admit
        self._stop_sending, self._withdraw = stop_sending, withdraw
        self._waiting, self._next_turn = iter(items), asyncio.Lock()
        self._failures_in_a_row, self._most_failures = 0, most_failures
        self._failures = self._ended = 0
        self._stops: list[BaseException] = []  # the first one is the cause of the others
        self._tasks: list[asyncio.Task[None]] = []
        self._idle: set[asyncio.Task[Any] | None] = set()  # those without a running request

    async def run(self, concurrency: int, grace_s: float) -> None:
        """Until all items are done; when one raises, running requests have `grace_s` seconds to end."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(concurrency)]
        try:
            # Tasks are pending only after one has raised; otherwise all are done.
            _, pending = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
            if pending:
                self._cancel_idle()
                await asyncio.wait(pending, timeout=grace_s)
        except asyncio.CancelledError as interrupted:  # as by Ctrl-C; a second one ends this wait too
            self._stops.append(interrupted)
            self._cancel_idle()
            if running := sum(not task.done() and task not in self._idle for task in self._tasks):
                _log.warning(
                    "interrupted: waiting up to %.0f s for the replies to %d requests under way;"
                    " interrupt once more to stop at once",
                    grace_s,
                    running,
                )
            await asyncio.wait(self._tasks, timeout=grace_s)
            raise
        finally:
            # No task outlives this call: what still runs after the grace period is cut off.
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._stops:
            raise self._stops[0]

    async def _work(self) -> None:
        try:
            while (item := await self._next_item()) is not None:
                await self._ask_one(item)
        except Exception as error:  # TeacherStop, or a fault of `on_reply` such as a full disk
            self._stops.append(error)
            raise

    async def _next_item(self) -> _Item | None:
        self._idle.add(me := asyncio.current_task())
        async with self._next_turn:  # items stay in their order, even while one waits in `admit`
            # Nothing is reserved for an item that would not be sent.
            item = None if self._stops else next(self._waiting, None)
            admitted = item is not None and (self._admit is None or await self._admit(item))
            self._idle.discard(me)
            if item is None or not admitted:
                return None
            if self._stops:  # another task has failed while this one waited in `admit`
                self._withdraw(item)
                return None
            return item

    async def _ask_one(self, item: _Item) -> None:
        try:
            reply = await self._ask(item)
        except AskFailed as failure:
            self._on_failure(item, failure)
            # A request that is itself at fault (unreadable image, content filter) does not change the counts.
            if failure.teacher_at_fault:
                self._failures_in_a_row += 1
                self._failures += 1
                self._ended += 1
                self._check_failures(failure)
        else:
            self._failures_in_a_row = 0
            self._ended += 1
            self._on_reply(item, reply)

    def _check_failures(self, last: AskFailed) -> None:
        """Raise TeacherStop when too many requests have failed, in a row or of all."""
        counted = ""
        if self._failures_in_a_row >= self._most_failures:
            counted = f"{self._failures_in_a_row} queries in a row"
        elif self._ended >= _LEAST_REQUESTS and self._failures > _MOST_FAILED_SHARE * self._ended:
            counted = f"{self._failures} of {self._ended} queries"
        if counted:
            raise TeacherStop(
                f"{counted} got no usable reply, the last one: {last}; run again when the server is well"
            ) from last

    def _cancel_idle(self) -> None:
        """Let no more requests begin; those under way go on."""
        self._stop_sending()
        # They have no request running, and one that waits for money could wait for ever: what a stopped request
        # has reserved is not released.
        for task in self._tasks:
            if task in self._idle:
                task.cancel()
