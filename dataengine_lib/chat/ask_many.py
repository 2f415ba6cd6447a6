"""Steps 0, 1, 3 and 4: many requests at once, with a bound, until all are done or no other can succeed."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop

T = TypeVar("T")
Item = TypeVar("Item")
# Least seconds that running requests are given when no others are sent: their replies may be billed.
_GRACE_S = 10.0
_LEAST_FAILURES = 8  # in a row, before a server counts as down; more where more requests run at once


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine `main` to its end, also from a notebook, which has a running event loop already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main)
    with ThreadPoolExecutor(1) as pool:
        loop_and_task: list[Any] = []

        async def tracked() -> T:
            loop_and_task[:] = [asyncio.get_running_loop(), asyncio.current_task()]
            return await main

        future = pool.submit(asyncio.run, tracked())
        try:
            return future.result()
        except BaseException:
            # An interrupted cell must not go on spending in the background.
            if loop_and_task and not future.done():
                loop, task = loop_and_task
                loop.call_soon_threadsafe(task.cancel)
            raise


async def ask_each(
    ask: Callable[[Item], Awaitable[Reply]],
    items: Iterable[Item],
    concurrency: int,
    on_reply: Callable[[Item, Reply], None],
    on_failure: Callable[[Item, AskFailed], None],
    admit: Callable[[Item], Awaitable[bool]] | None = None,
    timeout_s: float = 0.0,
) -> None:
    """`ask` every item, at most `concurrency` at a time; each ends in a call of `on_reply` or `on_failure`.

    `admit` is awaited before an item is sent; no more items are sent once it returns False. Raises TeacherStop when an
    item raises it, or when so many fail in a row that the server must be down, after up to `timeout_s` in which
    running requests may end.
    """
    waiting, next_turn = iter(items), asyncio.Lock()
    failures_in_a_row, too_many = 0, max(_LEAST_FAILURES, concurrency)
    stops: list[BaseException] = []  # the first one is the cause of the others
    idle: set[asyncio.Task[Any] | None] = set()  # workers without a running request

    async def ask_one(item: Item) -> None:
        nonlocal failures_in_a_row
        try:
            reply = await ask(item)
        except AskFailed as failure:
            on_failure(item, failure)
            failures_in_a_row += failure.teacher_at_fault
            if failures_in_a_row >= too_many:
                raise TeacherStop(
                    f"{failures_in_a_row} queries in a row got no reply, the last one: {failure};"
                    " run again when the server is well"
                ) from failure
        else:
            failures_in_a_row = 0
            on_reply(item, reply)

    async def next_item() -> Item | None:
        idle.add(me := asyncio.current_task())
        async with next_turn:  # items stay in their order, even while one waits in `admit`
            item = next(waiting, None)
            admitted = item is not None and (admit is None or await admit(item))
            idle.discard(me)
            return item if admitted and not stops else None

    async def worker() -> None:
        try:
            while (item := await next_item()) is not None:
                await ask_one(item)
        except Exception as error:
            stops.append(error)
            raise

    tasks = [asyncio.create_task(worker()) for _ in range(concurrency)]

    def cancel_idle() -> None:
        # They have no request running, and a worker that waits for money could wait for ever: what a stopped
        # request has reserved is not released.
        for task in tasks:
            if task in idle:
                task.cancel()

    try:
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if pending:
            cancel_idle()
            await asyncio.wait(pending, timeout=max(_GRACE_S, timeout_s))
    except asyncio.CancelledError as interrupted:  # as by Ctrl-C; a second one ends this wait too
        stops.append(interrupted)
        cancel_idle()
        await asyncio.wait(tasks, timeout=max(_GRACE_S, timeout_s))
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if stops:
        raise stops[0]
