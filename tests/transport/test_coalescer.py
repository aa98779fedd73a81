"""The ingress coalescer: lets calls through together, in order, and waits for none that has hung up."""

import asyncio

from cinema_grpc.transport.coalescer import IngressCoalescer

MANY = 50


async def test_a_call_that_arrives_alone_is_let_through() -> None:
    coalescer = IngressCoalescer()
    for _ in range(2):
        async with asyncio.timeout(5):
            await coalescer.wait()


async def test_calls_that_arrive_one_by_one_are_let_through_together_and_in_order() -> None:
    coalescer = IngressCoalescer()
    events: list[str] = []

    async def call(number: int) -> None:
        for _ in range(2 * number):  # so that no call arrives in every other turn
            await asyncio.sleep(0)
        events.append(f"{number} arrives")
        await coalescer.wait()
        events.append(f"{number} goes on")

    await asyncio.gather(*map(call, range(MANY)))
    order = [event for event in events if event.endswith("goes on")]
    assert order == [f"{number} goes on" for number in range(MANY)]
    together = events.index("0 goes on")
    assert together > 1, "the first call went on alone"
    assert events[together : 2 * together] == order[:together], "a call arrived between two that went on"


async def test_a_call_that_was_cancelled_does_not_hold_up_others() -> None:
    coalescer = IngressCoalescer()

    async def call() -> None:
        await coalescer.wait()

    first, second = asyncio.create_task(call()), asyncio.create_task(call())
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(5):
        await second
    assert first.cancelled()


async def test_calls_are_let_through_also_when_the_wait_is_cancelled() -> None:
    coalescer = IngressCoalescer()
    waiting = coalescer.wait()
    assert coalescer._releasing is not None
    await asyncio.sleep(0)
    coalescer._releasing.cancel()
    async with asyncio.timeout(5):
        await waiting
        await coalescer.wait()
