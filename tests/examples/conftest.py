"""One server for all examples."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import SECONDS, serving


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with demo data and without reflection, on a free port of loopback."""
    with serving(tmp_path_factory.mktemp("demo"), "--demo", CINEMA_REFLECTION="no") as server:
        server.wait_for('"serving"', 5 * SECONDS)  # compilers may be at work
        yield server.address
