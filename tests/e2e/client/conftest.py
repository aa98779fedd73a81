"""A server, which all tests here call, each with showtimes of its own."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client.shop import Person, Shop, open_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A running server."""
    with open_shop(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture
def anyone(shop: Shop, tmp_path: Path) -> Person:
    """Someone who is not signed in."""
    (tmp_path / "anyone").mkdir()
    return Person(shop, tmp_path / "anyone")


@pytest.fixture
def customer(shop: Shop, tmp_path: Path) -> Person:
    """A new customer, who is signed in."""
    (tmp_path / "customer").mkdir()
    person = Person(shop, tmp_path / "customer")
    name = f"ada-{uuid.uuid4().hex[:12]}"
    ended = person.run(
        "register", name, "--email", f"{name}@example.com", "--full-name", "Ada", CINEMA_PASSWORD="a long private one"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"signed in to http://{shop.address} as {name} (customer)\n"
    return person


@pytest.fixture
def clerk(shop: Shop, tmp_path: Path) -> Person:
    """A member of staff, who is signed in."""
    (tmp_path / "clerk").mkdir()
    return Person(shop, tmp_path / "clerk").sign_in("clerk")
