"""Malformed requests over a real channel: each gets an error that names the field, and changes nothing."""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from cinema.v1.auth_service_pb2 import GetCurrentUserRequest
from cinema.v1.booking_service_pb2 import BestSeats, SeatChoice
from cinema.v1.catalog_pb2 import SeatArea, SeatRow, WheelchairSpace
from cinema.v1.showtime_pb2 import PriceLine, SeatBlock
from cinema.v1.ticket_service_pb2 import OfflineRedemption
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from cinema_grpc.transport.page_tokens import encode, query_of
from tests.rpc.bad_fields import BAD_FIELDS, LISTS
from tests.rpc.conftest import METHODS, App, refusal, running
from tests.rpc.malformed_requests import MALFORMED, WELL_FORMED
from tests.rpc.malformed_values import LABELS, Instead, money, rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT_NAMES = {name.rpartition("/")[2]: name for name in METHODS}
OF_ANYONE = LISTS[:4]
"""Lists whose page tokens are the same for everyone."""
ANYWHERE = [(), ("a", "b"), ("",), ("a\0",)]
FORGED = {
    "ListShowtimes": [
        *ANYWHERE,
        ("1", "1", "a\0"),
        ("x", "1", "a"),
        ("1", "1.5", "a"),
        ("9" * 300, "1", "a"),
        ("1", f"-{'9' * 19}", "a"),
    ],
    "ListTickets": [
        *ANYWHERE,
        ("a",),
        ("1 a",),
        ("1 a 0 0",),
        ("x a 0",),
        ("1 a x",),
        ("-1 a 0",),
        ("1 a -1",),
        ("\u0661 a 0",),
        ("1_0 a 0",),
        (f"{2**63} a 0",),
        (f"1 a {10**9}",),
        (f"1 a {'9' * 300}",),
        ("1 a\0 0",),
    ],
}
"""Cursors that no list ever had."""
UNDERSTOOD = {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAUTHENTICATED}
NO_MESSAGES = (b"\xff", b"\x00", b"\x0a\x05abc", b"\x0b", b"\x0c", b"\x0f\x00", b"\x80" * 20, bytes(range(256)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    """One server for all tests, since malformed requests change nothing."""
    async with running(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('malformed')}/cinema.db") as app:
        await app.staff()
        yield app


@pytest.fixture
def contents(app: App) -> Iterator["Contents"]:
    """The contents of the database, before and after."""
    connection = sqlite3.connect(str(app.server.database.engine.url.database))
    yield Contents(connection)
    connection.close()


class Contents:
    """The contents of the database, as another program sees them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._before = self._dump()

    def changed(self) -> bool:
        """Return whether anything has changed since the test began."""
        return self._dump() != self._before

    def _dump(self) -> list[str]:
        return list(self._connection.iterdump())


def field_of(path: str) -> str:
    return re.split(r"[.\[]", path)[0]


async def send(app: App, name: str, request: bytes) -> bytes:
    """Call a method as staff, which may call any method."""
    return await app.send(SHORT_NAMES[name], request, await app.staff())


def written(name: str, fields: dict[str, Any]) -> bytes:
    """Return a well-formed request, with some fields replaced."""
    request = GetMessageClass(METHODS[SHORT_NAMES[name]].input_type)(**(WELL_FORMED[name] | fields))
    return request.SerializeToString()


async def test_the_table_is_complete() -> None:
    """Every field of every request has malformed values, but for those that are true or false."""
    assert SHORT_NAMES.keys() == WELL_FORMED.keys() == MALFORMED.keys()
    for name, full_name in SHORT_NAMES.items():
        fields = {each.name for each in METHODS[full_name].input_type.fields if each.type != each.TYPE_BOOL}
        assert {field_of(path) for path in MALFORMED[name]} == fields, name


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in MALFORMED.items() for path in paths])
async def test_a_malformed_field(app: App, contents: Contents, name: str, path: str) -> None:
    """The error names this field alone, in the details, the metadata and the message."""
    for value in MALFORMED[name][path]:
        fields = value.fields if isinstance(value, Instead) else {field_of(path): value}
        refused = await refusal(send(app, name, written(name, fields)))
        assert refused.fields == [path], str(value)[:100]
        assert refused.metadata["fields"] == ",".join(refused.fields)
        assert path in refused.message
    assert not contents.changed()


async def test_well_formed_requests_are_accepted(app: App, contents: Contents) -> None:
    """So the malformed requests above are malformed in one field only; and some of these do change the database."""
    for name in WELL_FORMED:
        try:
            await send(app, name, written(name, {}))
        except grpc.aio.AioRpcError as error:
            assert error.code() in UNDERSTOOD, name  # noqa: PT017 (most succeed)
    assert contents.changed()


@pytest.mark.parametrize("name", WELL_FORMED)
async def test_bytes_that_are_no_message(app: App, contents: Contents, name: str) -> None:
    """The error names no field; a string that is not UTF-8 is no message either."""
    first = METHODS[SHORT_NAMES[name]].input_type.fields_by_number.get(1)
    not_text = (b"\x0a\x02\xff\xfe",) if first is not None and first.type == first.TYPE_STRING else ()
    for raw in (*NO_MESSAGES, *not_text):
        refused = await refusal(send(app, name, raw))
        assert refused.fields == [""], raw
        assert "bytes" in refused.message
    assert not contents.changed()


@pytest.mark.parametrize("name", LISTS)
async def test_a_forged_page_token(app: App, name: str) -> None:
    """A token in the right format and for the right query, whose cursor is invalid, is malformed."""
    me = await app.auth.GetCurrentUser(GetCurrentUserRequest(), metadata=await app.staff())
    request = GetMessageClass(METHODS[SHORT_NAMES[name]].input_type)(**WELL_FORMED[name])
    bound = query_of(request, "" if name in OF_ANYONE else me.user.user_id)
    for cursor in FORGED.get(name, ANYWHERE):
        refused = await refusal(send(app, name, written(name, {"page_token": encode(bound, cursor)})))
        assert refused.fields == ["page_token"], cursor


@pytest.mark.parametrize(("name", "fields", "expected"), BAD_FIELDS)
async def test_every_bad_field_is_named(
    app: App, contents: Contents, name: str, fields: dict[str, Any], expected: list[str]
) -> None:
    """In one error, by its path."""
    refused = await refusal(send(app, name, written(name, fields)))
    assert sorted(refused.fields) == expected
    assert refused.metadata["fields"] == ",".join(refused.fields)
    assert not contents.changed()


WRONG: dict[str, Any] = {
    "google.protobuf.Timestamp": Timestamp(nanos=-1),
    "google.protobuf.Duration": Duration(nanos=-1),
    "google.protobuf.FieldMask": FieldMask(paths=["x"]),
    "cinema.v1.Money": money("?", -1),
    "cinema.v1.SeatRow": SeatRow(),
    "cinema.v1.SeatArea": SeatArea(),
    "cinema.v1.WheelchairSpace": WheelchairSpace(),
    "cinema.v1.PriceLine": PriceLine(),
    "cinema.v1.SeatBlock": SeatBlock(),
    "cinema.v1.SeatChoice": SeatChoice(),
    "cinema.v1.BestSeats": BestSeats(),
    "cinema.v1.OfflineRedemption": OfflineRedemption(),
}
"""By message type, a value that is malformed wherever it stands."""


def wrong(field: Any) -> Any:
    """Return a value that is malformed for the field."""
    if field.message_type is not None:
        value = WRONG[field.message_type.full_name]
    elif field.enum_type is not None:
        value = 99
    else:
        value = -1 if field.type in {field.TYPE_INT32, field.TYPE_INT64} else "\0" * 1_100
    return [value] * 10 if field.is_repeated else value


@pytest.mark.parametrize("name", [name for name, fields in MALFORMED.items() if fields])
async def test_a_request_in_which_all_is_wrong(app: App, contents: Contents, name: str) -> None:
    """The error names each field, although one is a list with many malformed entries."""
    fields = [each for each in METHODS[SHORT_NAMES[name]].input_type.fields if each.type != each.TYPE_BOOL]
    refused = await refusal(send(app, name, written(name, {field.name: wrong(field) for field in fields})))
    assert {field_of(path) for path in refused.fields} == {field.name for field in fields}
    assert not contents.changed()


async def test_more_bad_fields_than_an_error_has_room_for(app: App, contents: Contents) -> None:
    """The error arrives, and says that there are others."""
    fields = {"rows": rows(*((label, [0] * 200) for label in LABELS[:60]))}
    refused = await refusal(send(app, "CreateAuditorium", written("CreateAuditorium", fields)))
    assert refused.fields[:2] == ["rows[0].sections[0]", "rows[0].sections[1]"]
    assert "and others" in refused.message
    assert not contents.changed()


async def test_a_request_of_more_than_a_megabyte(app: App, contents: Contents) -> None:
    """gRPC refuses it unread, with a code alone; the next call succeeds."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await send(app, "CreateMovie", written("CreateMovie", {"synopsis": "x" * 1_100_000}))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not contents.changed()
    assert await send(app, "GetCurrentUser", b"")
