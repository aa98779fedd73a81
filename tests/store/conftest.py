"""What tests of the stores begin with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.programme_reader import SqlProgrammeReader
from tests.builders import FakeClock
from tests.store.programme import Programme


@pytest_asyncio.fixture
async def programme(tmp_path: Path) -> AsyncIterator[Programme]:
    clock = FakeClock()
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/cinema.db", clock)
    async with database.writing() as connection:
        await connection.run_sync(schema.metadata.create_all)
    filled = Programme(database, SqlCatalogStore(database), SqlProgrammeReader(database), clock)
    await filled.fill()
    yield filled
    await database.close()
