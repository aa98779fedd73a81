"""What tests of the stores begin with."""

from collections.abc import AsyncIterator

import pytest_asyncio

from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from tests.builders import FakeClock
from tests.store.programme import Programme


@pytest_asyncio.fixture
async def programme(database_url: str) -> AsyncIterator[Programme]:
    clock = FakeClock()
    database = Database(database_url, clock)
    filled = Programme(database, SqlCatalogStore(database), SqlListingsReader(database), clock)
    await filled.fill()
    yield filled
    await database.close()
