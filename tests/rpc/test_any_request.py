"""Arbitrary requests to every method over a real channel: every answer is one of the contract."""

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from cinema.v1.auth_service_pb2 import LoginRequest, RefreshTokensRequest
from cinema.v1.booking_pb2 import Booking
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cinema_grpc.adapters.database import schema
from tests.builders import NOW
from tests.conftest import Lend
from tests.database import reading
from tests.proofs.any_request import ALTERNATIVES
from tests.rpc.any_values import INT32, INT64, LIKELY, NANOS, ODD_LENGTHS, SECONDS, TEXT
from tests.rpc.conftest import METHODS, PASSWORD, App, Metadata, moment, read_refusal, running

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.no_cover]

Code = grpc.StatusCode
REFUSED_UNSEEN = {Code.INVALID_ARGUMENT, Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.NOT_FOUND}
"""The codes of calls that can't have changed anything."""
REFUSED_AND_NOTED = {"REFRESH_TOKEN_INVALID", "BAD_CREDENTIALS"}
"""The reasons of refusals that do change something: a stolen token ends its session, a wrong password is counted."""
REFUSED_BY_A_RULE = {Code.ALREADY_EXISTS, Code.FAILED_PRECONDITION, Code.RESOURCE_EXHAUSTED, Code.ABORTED}
ROWS_AND_WRITERS = " UNION ALL ".join(
    f"SELECT count(*), sum(xmin::text::bigint) FROM {table}"  # noqa: S608 (names of ours)
    for table in schema.metadata.tables
)
LARGEST_REQUEST = 1024**2
LONG = pytest.param("postgresql", marks=pytest.mark.torture)
EXAMPLES = settings(max_examples=3)


class World:
    """A server with something of everything in it, and who may call it.

    Attributes:
        likely: For the name of a field, values that are sound there, among them identifiers of what exists.
        callers: The metadata of a customer, of staff, of a service, and without a token.
    """

    def __init__(self, app: App, likely: Mapping[str, Sequence[Any]], callers: Sequence[Metadata]) -> None:
        self.app = app
        self.likely = likely
        self.callers = callers
        url = app.server.database.engine.url
        self._file = sqlite3.connect(str(url.database)) if url.drivername.startswith("sqlite") else None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    async def version(self) -> object:
        """Return a value that changes whenever anything is written to the database."""
        if self._file is not None:
            return self._file.execute("PRAGMA data_version").fetchone()
        async with reading(self.app.server.database) as connection:
            return (await connection.exec_driver_sql(ROWS_AND_WRITERS)).all()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", LONG])
async def world(
    request: pytest.FixtureRequest, lend: Lend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    with lend(request.param, tmp_path_factory.mktemp("any")) as database_url:
        async with running(database_url) as app:
            with closing(await a_world(app)) as world:
                yield world


async def a_world(app: App) -> World:
    showtime = await app.showtime()
    held = await app.book(showtime.showtime_id, "A1", "A2")
    other = await app.book(showtime.showtime_id, "A3", "A4", by="bob")
    sold = await app.sell(showtime.showtime_id, "A9", "A10")
    voided = await app.void((await app.sell(showtime.showtime_id, "B7", "B8")).booking_id)
    likely = {
        **LIKELY,
        "movie_id": [showtime.movie.movie_id],
        "cinema_id": [showtime.cinema.cinema_id],
        "auditorium_id": [showtime.auditorium_id],
        "showtime_id": [showtime.showtime_id, (await app.showtime()).showtime_id],
        "booking_id": [held.booking_id, other.booking_id, sold.booking_id, voided.booking_id],
        "refresh_token": await refresh_tokens(app),
        **staff_values(sold, voided),
    }
    feed = app.server.event_feed
    for task in (
        app.server.tasks.pay_refunds,
        app.server.tasks.delete_expired,
        app.server.tasks.delete_events,
        feed.sequencer,
    ):
        await task.stop()  # so that nothing is written but by calls
    return World(app, likely, [await app.customer(), await app.staff(), await app.service(), ()])


def staff_values(sold: Booking, voided: Booking) -> dict[str, Sequence[Any]]:
    """Return sound values for the fields of requests of staff."""
    return {
        "kind": [1, 2],
        "reason": ["", "unwell"],
        "release": ["B3", "B4"],
        "release_time": [None, moment(NOW + timedelta(hours=1))],
        "create_time": [None],
        "created_by": [""],
        "validate_only": [True, True, False],
        "expected_revision": [0, 0, 1],
        "after_revision": [0, 0, 1, 2],
        "tender": [1, 2, 3],
        "customer_user_id": ["", sold.user_id],
        "allow_gap": [False, True],
        "use_house_seats": [False, True],
        "refund_percent": [0, 50, 100],
        "ticket_code": ["none", sold.tickets[0].code],
        "refund_id": ["none", voided.refund.refund_id],
        "note": ["from the till"],
        "from_date": ["2026-05-01"],
        "until_date": ["2026-05-02"],
        "group_by": [0, 3],
        "ticket_id": ["none", *(ticket.ticket_id for ticket in sold.tickets)],
        "code": ["none", *(ticket.code for ticket in sold.tickets)],
        "gate": ["north", "south"],
        "format": [0, 2],
        "redeem_time": [moment(NOW)],
    }


async def refresh_tokens(app: App) -> list[str]:
    """Sign in twice; return a used refresh token, its successor, and the unused one of the other session."""
    request = LoginRequest(username="bob", password=PASSWORD)
    used, latest = (await app.auth.Login(request)).tokens, (await app.auth.Login(request)).tokens
    answer = await app.auth.RefreshTokens(RefreshTokensRequest(refresh_token=used.refresh_token))
    return [used.refresh_token, answer.tokens.refresh_token, latest.refresh_token]


@st.composite
def requests(draw: st.DrawFn, kind: Descriptor, likely: Mapping[str, Sequence[Any]]) -> Any:
    """Make a message, of which most fields are sound and some are anything that their type can hold."""
    alternatives = ALTERNATIVES.get(kind.name, ())
    chosen = draw(st.sampled_from(alternatives)) if alternatives else ""
    fields = [
        each
        for each in kind.fields
        if each.name not in alternatives or each.name == chosen or draw(st.integers(0, 7)) == 7
    ]
    return GetMessageClass(kind)(**{field.name: draw(content(field, likely)) for field in fields})


@st.composite
def content(draw: st.DrawFn, field: FieldDescriptor, likely: Mapping[str, Sequence[Any]]) -> Any:
    """Make what a field holds."""
    odd = draw(st.integers(0, 3)) == 3
    kind = field.message_type
    if kind is not None and kind.file.package == "cinema.v1":
        value: st.SearchStrategy[Any] = requests(kind, likely)
    elif odd:
        value = anything(field)
    else:
        value = st.sampled_from(likely[field.name])
    if not field.is_repeated:
        return None if odd and kind is not None and draw(st.booleans()) else draw(value)
    if odd and draw(st.booleans()):
        return [draw(value)] * draw(ODD_LENGTHS)
    return draw(st.lists(value, min_size=1, max_size=3))


def anything(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Make a value that only the field's type bounds."""
    if field.message_type is FieldMask.DESCRIPTOR:
        return st.builds(FieldMask, paths=st.lists(TEXT, max_size=3))
    if field.message_type is not None:
        times = {"google.protobuf.Timestamp": Timestamp, "google.protobuf.Duration": Duration}
        return st.builds(times[field.message_type.full_name], seconds=SECONDS | INT64, nanos=NANOS)
    return {
        FieldDescriptor.TYPE_STRING: TEXT,
        FieldDescriptor.TYPE_INT32: INT32,
        FieldDescriptor.TYPE_INT64: INT64,
        FieldDescriptor.TYPE_ENUM: INT32,
        FieldDescriptor.TYPE_BOOL: st.booleans(),
    }[field.type]


@st.composite
def damaged(draw: st.DrawFn, message: Message) -> bytes:
    """Make bytes that are almost a message: cut, with others put in, or with some repeated."""
    raw = message.SerializeToString()[:2_000]
    start, stop = sorted(draw(st.tuples(*(st.integers(0, len(raw)),) * 2)))
    return raw[:start] + draw(st.binary(max_size=8) | st.just(raw[start:stop] * 2)) + raw[stop:]


async def check(world: World, method: str, request: bytes) -> None:
    """Call a method as everyone, and check that each answer is one that the contract knows."""
    for caller in world.callers:
        before = await world.version()
        try:
            await world.app.send(method, request, caller)
        except grpc.aio.AioRpcError as error:
            refused = read_refusal(error)
        else:
            continue
        assert refused.code in REFUSED_UNSEEN | REFUSED_BY_A_RULE, refused
        assert "x-request-id" in refused.trailers
        if refused.code in REFUSED_UNSEEN and refused.reason not in REFUSED_AND_NOTED:
            assert await world.version() == before, refused
        if refused.code is Code.INVALID_ARGUMENT:
            assert refused.details["BadRequest"].field_violations


async def test_whether_anything_was_written_can_be_told(world: World) -> None:
    """A refused call leaves the version of the database as it is; a good one does not."""
    before = await world.version()
    await check(world, "/cinema.v1.CatalogService/CreateMovie", b"")
    assert await world.version() == before
    await world.app.movie()
    assert await world.version() != before


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
@EXAMPLES
async def test_any_message(world: World, method: str, data: st.DataObject) -> None:
    """Of the right type, with anything in its fields."""
    request = data.draw(requests(METHODS[method].input_type, world.likely)).SerializeToString()
    assume(len(request) <= LARGEST_REQUEST)  # gRPC refuses larger ones by itself: see test_malformed
    await check(world, method, request)


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
@EXAMPLES
async def test_any_bytes(world: World, method: str, data: st.DataObject) -> None:
    """Whether or not they are a message."""
    near = requests(METHODS[method].input_type, world.likely).flatmap(damaged)
    await check(world, method, data.draw(near | st.binary(max_size=200)))
