"""A batcher serves many requests together; each gets its own answer, and an error goes to those that it concerns."""

import asyncio
from contextvars import ContextVar

import pytest

from cinema_grpc.application.batcher import Batcher

MANY = 50


async def double(numbers: list[int]) -> list[int]:
    return [2 * each for each in numbers]


async def test_each_gets_the_answer_to_its_own_request() -> None:
    batcher: Batcher[int, int] = Batcher(double, batch_size=7)
    assert await asyncio.gather(*map(batcher.ask, range(MANY))) == [2 * each for each in range(MANY)]
    assert not batcher.tasks


async def test_requests_that_arrive_together_make_one_batch() -> None:
    """Those that arrive meanwhile make the next, and as many batches are served at once as there are workers."""
    batches: list[list[int]] = []
    released = asyncio.Event()

    async def serve(numbers: list[int]) -> list[int]:
        batches.append(numbers)
        await released.wait()
        return numbers

    batcher = Batcher(serve, workers=2, batch_size=2)
    asking = [asyncio.create_task(batcher.ask(number)) for number in range(6)]
    while len(batches) < 2:  # noqa: ASYNC110 (they are about to be served)
        await asyncio.sleep(0)
    assert batches == [[0, 1], [2, 3]]
    assert batcher.rounds_ahead()[0] == 1
    released.set()
    assert await asyncio.gather(*asking) == list(range(6))
    assert batches[2:] == [[4, 5]]


async def test_an_error_goes_to_all_of_its_batch() -> None:
    async def fail(_numbers: list[int]) -> list[int]:
        raise ConnectionError("no answer")

    batcher = Batcher(fail, workers=3)
    answers = await asyncio.gather(*map(batcher.ask, range(MANY)), return_exceptions=True)
    assert [type(each) for each in answers] == [ConnectionError] * MANY


async def test_an_error_among_the_answers_goes_to_one_caller() -> None:
    async def serve(numbers: list[int]) -> list[int | Exception]:
        return [ZeroDivisionError() if number == 1 else number for number in numbers]

    batcher: Batcher[int, int] = Batcher(serve)
    first, second, third = await asyncio.gather(*map(batcher.ask, range(3)), return_exceptions=True)
    assert (first, type(second), third) == (0, ZeroDivisionError, 2)


async def test_requests_whose_callers_have_gone_are_dropped() -> None:
    served: list[list[int]] = []

    async def note(numbers: list[int]) -> list[int]:
        served.append(numbers)
        return numbers

    batcher = Batcher(note)
    asking = [asyncio.create_task(batcher.ask(number)) for number in range(3)]
    await asyncio.sleep(0)
    for each in asking:
        each.cancel()
    await asyncio.wait(batcher.tasks)
    assert served == []


async def test_a_worker_has_no_context_of_a_caller() -> None:
    """What it logs is not put down to the call that came first."""
    call: ContextVar[str] = ContextVar("call")
    seen: list[str] = []

    async def note(numbers: list[int]) -> list[int]:
        seen.append(call.get("none"))
        return numbers

    batcher = Batcher(note)
    call.set("the first call's")
    assert await batcher.ask(1) == 1
    assert seen == ["none"]


async def test_a_cancelled_worker_leaves_no_caller_waiting() -> None:
    """As when the database is closed: requests of its batch and those that wait are cancelled."""
    begun = asyncio.Event()

    async def hang(_numbers: list[int]) -> list[int]:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    batcher = Batcher(hang, batch_size=1)
    asking = [asyncio.create_task(batcher.ask(number)) for number in range(2)]
    await begun.wait()
    for task in batcher.tasks:
        task.cancel()
    for each in asking:
        with pytest.raises(asyncio.CancelledError):
            await each
