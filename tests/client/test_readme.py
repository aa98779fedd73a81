"""The examples of the client's README run as they stand there."""

import asyncio
import itertools
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cinema_client import CinemaError, Client
from cinema_client.cinema.v1.auth_service_pb2 import GetCurrentUserRequest
from cinema_client.cinema.v1.booking_service_pb2 import CreateBookingRequest, ListBookingsRequest

from tests.client.conftest import SECONDS
from tests.client.proxy import Fault, Proxy
from tests.rpc.conftest import App

EXAMPLES = dict(
    re.findall(
        r"<!-- example: (\w+) -->\n```python\n(.*?)```",
        (Path(__file__).parents[2] / "clients/python/README.md").read_text(),
        re.DOTALL,
    )
)


async def run(name: str, proxy: Proxy, **names: Any) -> dict[str, Any]:
    """Run an example against the server, with names that stand before it, and return all names."""
    code = EXAMPLES[name].replace("localhost:50051", proxy.address)
    await asyncio.wait_for(asyncio.to_thread(exec, code, names), SECONDS)
    return names


async def test_the_booking(app: App, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    """Then the list with asyncio."""
    showtime = await app.showtime()
    names = await run("book", proxy)
    app.tokens["ada"] = (("authorization", f"Bearer {names['client'].tokens.access_token}"),)
    assert [ticket.seat for ticket in (await app.read(names["booking"].booking_id)).tickets] == list(names["seats"])
    printed = capsys.readouterr().out
    assert showtime.movie.title in printed
    assert len(names["seats"]) == 2
    await run("async", proxy, __name__="example")
    assert showtime.movie.title in capsys.readouterr().out


async def test_the_repeat(app: App, proxy: Proxy) -> None:
    """The first call succeeded without a response: there is one booking."""
    showtime = await app.showtime()
    with Client(proxy.address) as client:
        await asyncio.to_thread(client.register, "ada", "correct horse battery", "Ada", "ada@example.com")
        await asyncio.to_thread(client.auth.GetCurrentUser, GetCurrentUserRequest())
        request = CreateBookingRequest(showtime_id=showtime.showtime_id, seats=["A1", "A2"])
        proxy.faults = [Fault.LOSE_RESPONSE] * 5
        await run("repeat", proxy, client=client, request=request, CinemaError=CinemaError)
        bookings = await asyncio.to_thread(client.bookings.ListBookings, ListBookingsRequest())
    assert len(bookings.bookings) == 1


async def test_the_watch(app: App, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    """The map that it keeps is what GetShowtime says."""
    showtime, came = await app.showtime(), threading.Event()

    class Briefly:
        """A client whose streams end after two frames."""

        def watch_seats(self, showtime_id: str) -> Iterator[Any]:
            for frame in itertools.islice(client.watch_seats(showtime_id), 2):
                came.set()
                yield frame

    with Client(proxy.address) as client:
        task = asyncio.create_task(run("watch", proxy, client=Briefly(), showtime=showtime))
        assert await asyncio.to_thread(came.wait, SECONDS)
        await app.book(showtime.showtime_id, "A1", "A2")
        seats = (await task)["seats"]
    assert len(seats) == showtime.total_seats
    assert len(set(seats.values())) == 2
    assert capsys.readouterr().out
