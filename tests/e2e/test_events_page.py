"""The consumer of docs/events.md works as it stands there."""

import asyncio
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from cinema_grpc.adapters.database import schema
from tests.database import writing
from tests.rpc.conftest import DEADLINE, PASSWORD, App, running

PAGE = Path(__file__).parents[2] / "docs/events.md"


class Enough(Exception):
    """Ends the consumer, which has no end of its own."""


def consumer() -> Any:
    """Return the function on the page."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 32
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (it is ours)
    return names["consume"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_consumer(database_url: str, tmp_path: Path) -> None:
    """It keeps its effects and its position together: what a failure interrupts is handled again, and nothing else."""
    database = str(tmp_path / "consumer.db")
    consume, limit = consumer(), 0
    handled: list[int] = []

    def handle(own: sqlite3.Connection, event: Any) -> None:
        if event.position > limit:
            raise Enough
        own.execute("CREATE TABLE IF NOT EXISTS effect (position INTEGER PRIMARY KEY)")
        own.execute("INSERT INTO effect VALUES (?)", [event.position])
        handled.append(event.position)

    def run(address: str) -> None:
        with closing(sqlite3.connect(database)) as own, pytest.raises(Enough):
            consume(address, "billing", PASSWORD, own, handle)

    async with running(database_url) as app:
        showtime_id = await _some_events(app)
        for limit in (2, 5):
            thread = threading.Thread(target=run, args=(app.server.address,))
            thread.start()
            async with asyncio.timeout(60):
                while len(handled) < 2 + limit * (limit == 5):  # noqa: ASYNC110 (as below)
                    await asyncio.sleep(0.01)
                if limit == 5:
                    await app.book(showtime_id, "B5", "B6")
                while thread.is_alive():  # noqa: ASYNC110 (a thread has no event)
                    await asyncio.sleep(0.01)
    assert handled == [1, 2, 1, 2, 3, 4, 5]  # the first response was rolled back
    with closing(sqlite3.connect(database)) as own:
        assert own.execute("SELECT position FROM feed").fetchone() == (5,)
        assert [row[0] for row in own.execute("SELECT position FROM effect")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_consumer_stops_at_a_restored_backup(database_url: str, tmp_path: Path) -> None:
    """It has handled events that the feed no longer has; it says so, and keeps its position."""
    database = str(tmp_path / "consumer.db")
    with closing(sqlite3.connect(database)) as own, own:
        own.execute("CREATE TABLE feed (position INTEGER)")
        own.execute("INSERT INTO feed VALUES (9)")
    said: list[str] = []

    def run(address: str) -> None:
        with closing(sqlite3.connect(database)) as own, pytest.raises(SystemExit) as stop:
            consumer()(address, "billing", PASSWORD, own, lambda *_: said.append("an event"))
        said.append(str(stop.value))

    async with running(database_url) as app:
        await _some_events(app)
        thread = threading.Thread(target=run, args=(app.server.address,), daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, DEADLINE)
    assert said == ["the feed ends at 5, before 9: see A restored backup"]
    with closing(sqlite3.connect(database)) as own:
        assert own.execute("SELECT position FROM feed").fetchone() == (9,)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_consumer_stops_when_a_failover_loses_events(database_url: str, tmp_path: Path) -> None:
    """Also if its stream survives that."""
    database = str(tmp_path / "consumer.db")
    handled: list[int] = []
    said: list[str] = []

    def run(address: str) -> None:
        with closing(sqlite3.connect(database)) as own, pytest.raises(SystemExit) as stop:
            consumer()(address, "billing", PASSWORD, own, lambda _, event: handled.append(event.position))
        said.append(str(stop.value))

    async with running(database_url) as app:
        showtime_id = await _some_events(app)
        thread = threading.Thread(target=run, args=(app.server.address,), daemon=True)
        thread.start()
        async with asyncio.timeout(60):
            while len(handled) < 5:  # noqa: ASYNC110 (a thread has no event)
                await asyncio.sleep(0.01)
            async with writing(app.server.database) as connection:
                await connection.execute(delete(schema.event).where(schema.event.c.position > 2))
            await app.book(showtime_id, "B5", "B6")
            await asyncio.to_thread(thread.join)
    assert said[0].endswith("before 5: see A restored backup")  # at 3, or at 2 if it asked before the booking
    assert handled == [1, 2, 3, 4, 5]


async def _some_events(app: App) -> str:
    showtime = await app.showtime()
    for seats in (("A1", "A2"), ("A3", "A4"), ("A5", "A6"), ("B1", "B2")):
        await app.book(showtime.showtime_id, *seats, by=f"customer{seats[0]}")
    await app.service()
    return showtime.showtime_id
