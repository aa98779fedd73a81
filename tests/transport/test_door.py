"""The door: who comes alone gets in, many come in together and in order, and who hangs up holds nobody up."""

import asyncio

from cinema_grpc.transport.door import Door

MANY = 50


async def test_one_who_comes_alone_gets_in() -> None:
    door = Door()
    for _ in range(2):
        async with asyncio.timeout(5):
            await door.enter()


async def test_those_who_come_one_by_one_get_in_together_and_in_order() -> None:
    door = Door()
    events: list[str] = []

    async def come(number: int) -> None:
        for _ in range(2 * number):  # a turn with nobody between two of them
            await asyncio.sleep(0)
        events.append(f"{number} comes")
        await door.enter()
        events.append(f"{number} is in")

    await asyncio.gather(*map(come, range(MANY)))
    order = [event for event in events if event.endswith("in")]
    assert order == [f"{number} is in" for number in range(MANY)]
    together = events.index("0 is in")
    assert together > 1, "the first one got in alone"
    assert events[together : 2 * together] == order[:together], "somebody came between those who got in"


async def test_one_who_has_hung_up_holds_nobody_up() -> None:
    door = Door()

    async def enter() -> None:
        await door.enter()

    first, second = asyncio.create_task(enter()), asyncio.create_task(enter())
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(5):
        await second
    assert first.cancelled()


async def test_whoever_waits_gets_in_also_when_the_wait_is_ended() -> None:
    door = Door()
    waiting = door.enter()
    assert door._opening is not None
    await asyncio.sleep(0)
    door._opening.cancel()
    async with asyncio.timeout(5):
        await waiting
        await door.enter()
