"""Watchers that do not read: what they cost, and that they delay no other call."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from cinema.v1 import showtime_pb2

from cinema_grpc.transport.call import CallState
from tests.conftest import Lend
from tests.rpc.clients import SECONDS, connection, count, open_calls_of, until
from tests.rpc.conftest import App, running
from tests.rpc.watcher import Watcher, watching

ROWS = tuple((row, (100,)) for row in "ABCDEFGHIJKLMNOPQRST")
SEATS = [f"{row}{number}" for row in "ABCDEFGHIJKLMNOPQRST" for number in range(1, 101)]
LARGEST_FRAME = 25_000
"""Bytes of all 2,000 seats."""
ALLOW = showtime_pb2.SEAT_GAP_POLICY_ALLOW
SMALL_WINDOW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_535))
"""Without these, the connection of a client on the same machine holds more and more of what it does not read."""


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


async def toggle(app: App, showtime_id: str, watcher: Watcher, times: int) -> int:
    """Block all seats and release them again, each of which a watcher has to see; return the last revision."""
    revision = (await app.read_showtime(showtime_id)).revision
    for number in range(times):
        if number % 2 == 0:
            await app.block(showtime_id, *SEATS)
        else:
            await app.block(showtime_id, release=SEATS)
        revision += 1
        await watcher.until(revision)
    return revision


async def test_a_watcher_that_never_reads_holds_up_no_one(url: str) -> None:
    """It costs one frame; and when it reads after all, it gets what its connection holds, and the rest in one frame."""
    async with running(url) as app, connection(app, *SMALL_WINDOW) as other:
        showtime_id = (await app.showtime(rows=ROWS, policy=ALLOW)).showtime_id
        async with watching(app, showtime_id, channel=other) as lazy, watching(app, showtime_id) as watcher:
            await lazy.frame()
            await watcher.frame()
            # Its connection holds 64 KiB of frames for it, or a little more.
            revision = await toggle(app, showtime_id, watcher, times=20)
            await until(lambda: count(app, CallState.WRITING) == 1)
            assert 0 < open_calls_of(app).memory._used <= LARGEST_FRAME
            frames = await lazy.until(revision)
            assert len(frames) < 15
            await lazy.check()


async def test_a_watcher_that_does_not_read_for_long_is_cut_off_and_resumes(url: str) -> None:
    async with running(url, send_seconds=0.4) as app, connection(app, *SMALL_WINDOW) as other:
        showtime_id = (await app.showtime(rows=ROWS, policy=ALLOW)).showtime_id
        async with watching(app, showtime_id) as watcher:
            async with watching(app, showtime_id, channel=other) as lazy:
                known = (await lazy.frame()).revision
                await watcher.frame()
                await toggle(app, showtime_id, watcher, times=20)
                async with asyncio.timeout(SECONDS):
                    await until(lambda: not open_calls_of(app).memory._used)
                while (frame := await lazy.read()) is not None:
                    known = frame.revision
            async with watching(app, showtime_id, known, channel=other) as again:
                assert not (await again.frame()).snapshot
                assert again.latest.revision == watcher.latest.revision
