"""The rate at which watchers are woken."""

import asyncio

from cinema_grpc.application.watched_showtime import AT_ONCE, WakePace


async def test_a_few_are_woken_at_once_and_the_others_in_turn() -> None:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(3 * AT_ONCE)]
    begin = loop.time()
    WakePace(a_second=1_000).wake(futures)
    assert [each.done() for each in futures] == [*[True] * AT_ONCE, *[False] * 2 * AT_ONCE]
    await futures[-1]
    assert all(each.done() for each in futures)
    assert loop.time() - begin >= 2 * AT_ONCE / 1_000


async def test_one_whose_client_has_hung_up_is_skipped() -> None:
    gone, left = (asyncio.get_running_loop().create_future() for _ in range(2))
    gone.cancel()
    WakePace(a_second=1_000).wake([gone, left])
    assert left.done()
