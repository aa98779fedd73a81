"""Turns: a limit on how many run at once, in order of arrival; those that would wait too long are refused."""

import asyncio

import pytest

from cinema_grpc.adapters.database.turns import Turns
from cinema_grpc.application.errors import Overloaded


async def test_so_many_have_their_turn_at_once() -> None:
    turns, order = Turns(2, longest_wait=60), list[int]()
    leave = [asyncio.Event() for _ in range(4)]

    async def work(number: int) -> None:
        async with turns.take():
            order.append(number)
            await leave[number].wait()

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert (order, turns.waiting) == ([0, 1], 2)
    tasks[2].cancel()
    leave[1].set()
    await asyncio.wait([tasks[1], tasks[2]])
    while len(order) < 3:  # noqa: ASYNC110 (it is about to have its turn)
        await asyncio.sleep(0)
    assert (order, turns.waiting) == ([0, 1, 3], 0)
    for each in leave:
        each.set()
    await asyncio.wait(tasks)
    assert turns.waiting == 0


async def test_who_would_wait_too_long_is_refused() -> None:
    """Unless it must run."""
    turns = Turns(1, longest_wait=1.0)
    turns.admission.record(60.0)
    async with turns.take():
        with pytest.raises(Overloaded):
            await turns.take().__aenter__()
        must_run = asyncio.create_task(turns.take(must_run=True).__aenter__())
        await asyncio.sleep(0)
        assert turns.waiting == 1
    await must_run
