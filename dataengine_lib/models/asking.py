"""Steps 0 and 3: many queries at once, with a bound, until all are answered or asking on makes no sense."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dataengine_lib.data.records import Query
from dataengine_lib.models.teacher import AskFailed, Reply, Teacher, TeacherStop

T = TypeVar("T")
GRACE = 10.0  # seconds for requests on their way when the rest is called off: their replies may be paid for


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


async def ask_all(
    teacher: Teacher,
    queries: Iterable[Query],
    concurrency: int,
    on_reply: Callable[[Query, Reply], None],
    on_failure: Callable[[Query, AskFailed], None],
    admit: Callable[[Query], Awaitable[bool]] | None = None,
) -> None:
    """Ask every query, at most `concurrency` at a time; each ends in a call of `on_reply` or `on_failure`.

    `admit` is awaited before a query is sent and ends the sending when it says False. Raises TeacherStop,
    after a grace for what is on its way, when a query raises it or when so many queries fail in a row that
    the teacher must be down.
    """
    waiting, turn = iter(queries), asyncio.Lock()
    in_a_row, too_many = 0, max(8, concurrency)
    stops: list[BaseException] = []  # the first says more than those that it causes

    async def ask_one(query: Query) -> None:
        nonlocal in_a_row
        try:
            reply = await teacher.ask(query)
        except AskFailed as failure:
            on_failure(query, failure)
            in_a_row += failure.teacher_at_fault
            if in_a_row >= too_many:
                raise TeacherStop(
                    f"{in_a_row} queries in a row got no reply, the last one: {failure};"
                    " run again when the teacher is well"
                ) from failure
        else:
            in_a_row = 0
            on_reply(query, reply)

    async def next_query() -> Query | None:
        async with turn:  # in order, also when `admit` lets them wait
            query = next(waiting, None)
            admitted = query is not None and (admit is None or await admit(query))
            return query if admitted and not stops else None

    async def worker() -> None:
        try:
            while query := await next_query():
                await ask_one(query)
        except Exception as error:
            stops.append(error)
            raise

    tasks = [asyncio.create_task(worker()) for _ in range(concurrency)]
    try:
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if pending:
            await asyncio.wait(pending, timeout=GRACE)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if stops:
        raise stops[0]
