"""Calls that enter, read and list what is in the catalog."""

from collections.abc import Sequence
from typing import Any

from cinema.v1 import catalog_pb2
from cinema.v1 import catalog_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from tests.rpc.conftest import App

SYNOPSIS = "Ein Mädchen, ein Drache, 千と千尋."
TITLE = "Amélie 👩‍🚀 — «Le Fabuleux Destin» 千と千尋の神隠し"
MOVIE: dict[str, Any] = {"title": "A Film", "runtime": Duration(seconds=5400)}
CINEMA: dict[str, Any] = {"name": "A House", "time_zone": "Europe/Berlin"}
ROW = catalog_pb2.SeatRow(label="A", sections=[2])


async def enter(app: App, kind: str, metadata: Any = None, **fields: Any) -> Any:
    """Enter a Movie, a Cinema or an Auditorium, as staff unless told otherwise."""
    request = getattr(pb, f"Create{kind}Request")(**fields)
    metadata = await app.staff() if metadata is None else metadata
    answer = await getattr(app.catalog, f"Create{kind}")(request, metadata=metadata)
    return getattr(answer, kind.lower())


async def read(app: App, kind: str, identifier: str) -> Any:
    """Read an entry by its identifier without signing in."""
    request = getattr(pb, f"Get{kind}Request")(**{f"{kind.lower()}_id": identifier})
    return getattr(await getattr(app.catalog, f"Get{kind}")(request), kind.lower())


async def page(app: App, kind: str, **fields: Any) -> tuple[list[Any], str]:
    """Read a page of a list without signing in; return its entries and the next page's token."""
    answer = await getattr(app.catalog, f"List{kind}s")(getattr(pb, f"List{kind}sRequest")(**fields))
    return list(getattr(answer, f"{kind.lower()}s")), answer.next_page_token


def rows(*layout: tuple[str, Sequence[int]]) -> list[catalog_pb2.SeatRow]:
    return [catalog_pb2.SeatRow(label=label, sections=sections) for label, sections in layout]
