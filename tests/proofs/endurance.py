"""A server under watch: what memory, files, tasks and transactions it is left with."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from cinema_grpc.adapters.database.database import Database
from tests.conftest import Lend
from tests.database import reading
from tests.e2e.conftest import Serving, serving
from tests.proofs.vitals import MEBIBYTE, growth, memory, open_files
from tests.replicas.conftest import Chain, Metadata

SHOWTIMES = 20
CHANNELS = 8
TIMEOUT = 60
SPARE_FILES = 5
"""How many more files than before a server may have open in the end: connections to a database, kept in its pool."""
PASSING_TASKS = 3
"""How many more tasks than at its start a server may have as it stops: those of a pass in the background. A call that
leaves one behind leaves hundreds."""
SECONDS_TO_REST = 30


@dataclass
class Endurance:
    """A server under watch, and channels to it.

    Attributes:
        samples: Its memory, at even intervals while `watched` runs.
    """

    chain: Chain
    server: Serving
    channels: list[grpc.aio.Channel]
    samples: list[int] = field(default_factory=list)

    @property
    def process_id(self) -> int:
        return self.server.process.pid

    @asynccontextmanager
    async def watched(self, seconds: float) -> AsyncIterator[None]:
        """Sample the server's memory every so many seconds."""

        async def look() -> None:
            while True:
                self.samples.append(memory(self.process_id))
                await asyncio.sleep(seconds)

        looking = asyncio.create_task(look())
        yield
        looking.cancel()

    def grown(self, text: str, record: Callable[[str, object], None]) -> float:
        """Return how many bytes memory grew over the second half, and record that with a text."""
        grown = growth(self.samples)
        some = " ".join(f"{each / MEBIBYTE:.0f}" for each in self.samples[:: max(1, len(self.samples) // 10)])
        record("figures", f"{text}; MiB of memory: {some}, {grown / MEBIBYTE:+.2f} over the second half")
        return grown

    async def call(self, number: int, method: str, request: Any, by: Metadata, **options: Any) -> Any:
        unary: Any = self.channels[number % len(self.channels)].unary_unary(method)
        return await unary(request.SerializeToString(), metadata=by, timeout=TIMEOUT, **options)


@asynccontextmanager
async def endurance(lend: Lend, kind: str, folder: Path, **settings: str) -> AsyncIterator[Endurance]:
    """Run a server; when its clients are gone it has to have no more files and tasks than when it began to serve."""
    with lend(kind, folder) as url:
        database = Database(url)
        chain = Chain(url, database)
        await chain.furnish(showtimes=SHOWTIMES, customers=200)
        await database.close()
        with serving(folder, CINEMA_DATABASE_URL=url, CINEMA_LOG_LEVEL="info", **settings) as server:
            address = await asyncio.to_thread(lambda: server.address)
            before = open_files(server.process.pid)
            async with AsyncExitStack() as stack:
                own = (("grpc.use_local_subchannel_pool", 1),)
                channels = []
                for _ in range(CHANNELS):
                    channel = grpc.aio.insecure_channel(address, options=own)
                    channels.append(await stack.enter_async_context(channel))
                del channel
                yield Endurance(chain, server, channels)
                channels.clear()
            gc.collect()  # gRPC keeps a client's connection until its channel is collected
            await at_rest(server, before)
            if kind == "postgresql":
                await no_transaction_is_open(url)
            assert server.stop() == 0
            lines = [json.loads(line) for line in server.lines if line.startswith("{")]
            assert [line for line in lines if line["event"] == "call" and line["level"] == "error"] == []
            (began,) = [line["tasks"] for line in lines if line["event"] == "serving"]
            (ended,) = [line["tasks"] for line in lines if line["event"] == "stopping"]
            assert ended <= began + PASSING_TASKS


async def at_rest(server: Serving, files: int) -> None:
    """Wait until a server has no more files open than before, but for those of its pool."""
    async with asyncio.timeout(SECONDS_TO_REST):
        while open_files(server.process.pid) > files + SPARE_FILES:  # noqa: ASYNC110 (of another process)
            await asyncio.sleep(0.1)


async def no_transaction_is_open(url: str) -> None:
    """Wait until no connection of the server has an open transaction in PostgreSQL."""
    database = Database(url)
    try:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        async with asyncio.timeout(SECONDS_TO_REST):
            busy = 1
            while busy:
                async with reading(database) as connection:  # in one transaction it would read the same each time
                    ((busy,),) = (await connection.exec_driver_sql(query)).all()
                await asyncio.sleep(0.1)
    finally:
        await database.close()
