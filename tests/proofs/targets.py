"""A server process that is sent malformed input, with some of every kind of entry in its database."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from cinema.v1 import auth_service_pb2, auth_service_pb2_grpc, showtime_service_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from sqlalchemy import update

from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.passwords import Argon2Passwords
from tests.conftest import Lend
from tests.database import writing
from tests.e2e.conftest import Serving, serving
from tests.proofs.any_request import Likely
from tests.replicas.conftest import Chain, Replica
from tests.rpc.conftest import METHODS, PASSWORD, Metadata, moment

SAMPLES = 40
"""How often memory is sampled."""
CONTRACT = {
    StatusCode.OK,
    StatusCode.INVALID_ARGUMENT,
    StatusCode.UNAUTHENTICATED,
    StatusCode.PERMISSION_DENIED,
    StatusCode.NOT_FOUND,
    StatusCode.ALREADY_EXISTS,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.ABORTED,
    StatusCode.RESOURCE_EXHAUSTED,
}
"""The codes that a call may end with while nothing is broken."""
OURS = re.compile(
    rb"Traceback|File \"|\.py\b|site-packages|cinema_grpc|sqlalchemy|sqlite|asyncpg|protovalidate|psycopg"
    rb"|\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WHERE)\b|/(home|root|tmp|usr|opt|var)/|<class|object at 0x|NoneType"
    rb"|\w+Error\b"
)
"""What must not be in an answer: code, SQL, paths."""


@dataclass
class Target:
    """A server process with some of every kind of entry, and the credentials of its callers."""

    server: Serving
    address: str
    credentials: grpc.ChannelCredentials | None
    likely: Likely
    callers: Sequence[Metadata]

    @property
    def process_id(self) -> int:
        return self.server.process.pid

    def channel(self) -> grpc.aio.Channel:
        """Open a channel to it."""
        return channel_to(self.address, self.credentials)

    async def send(self, channel: grpc.aio.Channel, method: str, request: bytes, caller: Metadata) -> list[str]:
        """Make a call, and return what is wrong with the answer."""
        is_stream = METHODS[method].server_streaming
        made: Any = channel.unary_stream(method) if is_stream else channel.unary_unary(method)
        call = made(request, metadata=caller, timeout=60)
        if is_stream and await first_of(call) is not grpc.aio.EOF:
            call.cancel()
            return []
        code, details = await call.code(), await call.details() or ""
        trailing = await call.trailing_metadata() or ()
        sent = b"\n".join(
            [details.encode(), *(value if isinstance(value, bytes) else value.encode() for _, value in trailing)]
        )
        found = OURS.search(sent)
        wrong = [] if code in CONTRACT else [f"{method} answered {code.name}, {details}, to {request.hex()}"]
        return wrong if found is None else [*wrong, f"{method} disclosed {found[0]!r} in answer to {request.hex()}"]


async def first_of(stream: Any) -> Any:
    """Return the first answer of a stream, or EOF if it has none."""
    try:
        return await stream.read()
    except grpc.aio.AioRpcError:
        return grpc.aio.EOF


@asynccontextmanager
async def a_target(
    lend: Lend, kind: str, folder: Path, credentials: grpc.ChannelCredentials | None = None, **settings: str
) -> AsyncIterator[Target]:
    """Run a server; at the end it has to exit with status 0, and must have logged no internal error."""
    with lend(kind, folder) as url:
        database = Database(url)
        chain = Chain(url, database)
        await chain.furnish(showtimes=2, customers=2)
        hasher = Argon2Passwords(memory_kib=64, rounds=1)
        async with writing(database) as connection:
            await connection.execute(update(schema.account).values(password_hash=await hasher.hash(PASSWORD)))
        hasher.close()
        ((movie_id,),) = await chain.rows("SELECT movie_id FROM movie")
        ((cinema_id,),) = await chain.rows("SELECT cinema_id FROM cinema")
        auditoriums = [row[0] for row in await chain.rows("SELECT auditorium_id FROM auditorium")]
        await database.close()
        with serving(folder, CINEMA_DATABASE_URL=url, **settings) as server:
            address = await asyncio.to_thread(lambda: server.address)
            likely = likely_values(chain, str(movie_id), str(cinema_id), [str(each) for each in auditoriums])
            async with channel_to(address, credentials) as channel:
                likely |= await made_by_calls(Replica(server, channel), chain)
                likely["refresh_token"] = await refresh_tokens(channel)
            made_up: Metadata = (("authorization", "Bearer made.up.token"),)
            callers = [*chain.customers, chain.staff, chain.staff, (), made_up]
            yield Target(server, address, credentials, likely, callers)
            assert server.stop() == 0
            assert [line for line in server.lines if '"event":"call"' in line and '"level":"error"' in line] == []


async def made_by_calls(replica: Replica, chain: Chain) -> dict[str, Sequence[Any]]:
    """Return valid values that only a server can make: bookings of the first customer, and a page token."""
    held = [await replica.book(chain.customers[0], chain.showtimes[0], f"D{number}") for number in (98, 99, 100)]
    page = await replica.showtimes.ListShowtimes(showtime_service_pb2.ListShowtimesRequest(page_size=1))
    bookings = [each.booking_id for each in held]
    return {"booking_id": [*bookings, "no-such-booking"], "page_token": ["", page.next_page_token]}


async def refresh_tokens(channel: grpc.aio.Channel) -> list[str]:
    """Return refresh tokens that are valid, one that was used, and one of no session."""
    auth = auth_service_pb2_grpc.AuthServiceStub(channel)
    login = auth_service_pb2.LoginRequest(username="user0", password=PASSWORD)
    good = [(await auth.Login(login)).tokens.refresh_token for _ in range(4)]
    await auth.RefreshTokens(auth_service_pb2.RefreshTokensRequest(refresh_token=good[0]))
    return [*good, good[0][::-1]]


def channel_to(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """Open a channel, with TLS if there is something to trust."""
    return grpc.aio.secure_channel(address, credentials) if credentials else grpc.aio.insecure_channel(address)


def likely_values(chain: Chain, movie_id: str, cinema_id: str, auditoriums: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Return valid values for the fields of all requests, by name."""
    later = [moment(SystemClock().now().replace(microsecond=0) + timedelta(days=days)) for days in (1, 3, 30)]
    return {
        "movie_id": [movie_id],
        "cinema_id": [cinema_id],
        "auditorium_id": auditoriums,
        "showtime_id": chain.showtimes,
        "username": ["user0", "user1", "someone"],
        "password": [PASSWORD],
        "current_password": [PASSWORD],
        "new_password": [PASSWORD],
        "full_name": ["Someone"],
        "email": ["someone@example.com"],
        "title": ["A Film"],
        "rating": ["PG-13"],
        "synopsis": ["A film about films."],
        "runtime": [Duration(seconds=5_400)],
        "name": ["One", "Two"],
        "time_zone": ["Europe/Berlin"],
        "archived": [False, False, True],
        "include_archived": [False, True],
        "update_mask": [FieldMask(paths=[path]) for path in ("title", "name", "archived", "start_time", "prices")],
        "label": ["A", "B", "AA"],
        "sections": [1, 4],
        "rows": ["A", "B"],
        "category": ["standard", "lounge"],
        "seat": ["A1", "B2"],
        "companion_seats": ["A2", "B3"],
        "seats": [f"{row}{number}" for row in "ABC" for number in range(1, 60)],
        "start_time": later,
        "start_time_from": later,
        "start_time_until": later,
        "include_cancelled": [False, True],
        "currency_code": ["EUR"],
        "minor_units": [1_250],
        "seat_gap_policy": [0, 1, 2],
        "ticket_type": ["standard", "child"],
        "ticket_types": ["standard", "child"],
        "party_size": [1, 2, 10],
        "categories": ["standard", "lounge"],
        "wheelchair_spaces": [0, 0, 1],
        "max_options": [0, 10],
        "allow_split": [False, True],
        "proof": ["", "student card"],
        "wheelchair": [False, False, True],
        "extend": [False, True],
        "payment_token": ["tok_visa", "tok_declined"],
        "page_size": [0, 2, 200],
        "status": [0, 1, 2],
        **_staff_values(later),
        "request_id": ["", "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d"],
    }


def _staff_values(later: Sequence[Timestamp]) -> dict[str, Sequence[Any]]:
    """Return the same for what staff alone send."""
    return {
        "kind": [1, 2],
        "reason": ["a leak", "a guest of the house"],
        "release": ["D1", "D2"],
        "release_time": later,
        "create_time": later,
        "created_by": ["", "user-0000"],
        "validate_only": [True, True, False],
        "expected_revision": [0, 0, 1],
        "after_revision": [0, 0, 1, 2],
        "tender": [1, 2, 3],
        "customer_user_id": ["", "user-0001", "nobody"],
        "allow_gap": [False, True],
        "use_house_seats": [False, True],
        "refund_percent": [0, 50, 100],
        "ticket_code": ["no-such-code"],
        "refund_id": ["no-such-refund"],
        "note": ["paid in cash"],
        "from_date": ["2026-05-01"],
        "until_date": ["2026-05-02", "2026-06-01"],
        "group_by": [1, 2, 3, 4, 5, 6],
        "after_position": [0, 1, 2],
        "types": [1, 4, 5],
        "ticket_id": ["no-such-ticket"],
        "code": ["no-such-code"],
        "gate": ["north", "south"],
        "format": [0, 1, 2],
        "redeem_time": later,
    }
