"""Steps 0, 1 and 3: many requests at once, with a bound, until all are answered or asking on makes no sense."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop

T = TypeVar("T")
Item = TypeVar("Item")
# least seconds for requests on their way when the rest is called off: their replies may be paid for
GRACE = 10.0


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, also from a notebook, whose own loop is running already."""
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

    `admit` is awaited before an item is sent and ends the sending when it says False. Raises TeacherStop,
    after a grace of up to `timeout_s` for what is on its way, when an item raises it or when so many fail in a row
    that the server must be down.
    """
    waiting, turn = iter(items), asyncio.Lock()
    in_a_row, too_many = 0, max(8, concurrency)
    stops: list[BaseException] = []  # the first says more than those that it causes
    idle: set[asyncio.Task[Any] | None] = set()  # workers that wait for their turn, or for money

    async def ask_one(item: Item) -> None:
        nonlocal in_a_row
        try:
            reply = await ask(item)
        except AskFailed as failure:
            on_failure(item, failure)
            in_a_row += failure.teacher_at_fault
            if in_a_row >= too_many:
                raise TeacherStop(
                    f"{in_a_row} queries in a row got no reply, the last one: {failure};"
                    " run again when the server is well"
                ) from failure
        else:
            in_a_row = 0
            on_reply(item, reply)

    async def next_item() -> Item | None:
        idle.add(me := asyncio.current_task())
        async with turn:  # in order, also when `admit` lets them wait
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

    def call_off() -> None:
        for task in tasks:
            if task in idle:  # nothing of it is on its way, and what a stop leaves reserved never comes free
                task.cancel()

    try:
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if pending:
            call_off()
            await asyncio.wait(pending, timeout=max(GRACE, timeout_s))
    except asyncio.CancelledError as interrupted:  # a second interruption ends this wait too
        stops.append(interrupted)
        call_off()
        await asyncio.wait(tasks, timeout=max(GRACE, timeout_s))
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if stops:
        raise stops[0]
