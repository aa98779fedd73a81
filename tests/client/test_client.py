"""Connections, pages, and life beside other stubs in a process."""

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from cinema_client import AsyncClient, CinemaError, Client
from cinema_client._channel import is_loopback
from cinema_client.cinema.v1 import booking_service_pb2, catalog_service_pb2

from tests.certificates import Authority, write
from tests.client.conftest import SECONDS, Either
from tests.client.proxy import Proxy
from tests.rpc.conftest import App, running

STUBS = "cinema.v1.booking_service_pb2"


async def test_pages(app: App, proxy: Proxy, either: Either) -> None:
    """All items, page by page; the request of the caller stays as it was."""
    movies = [(await app.movie()).movie_id for _ in range(5)]
    request = catalog_service_pb2.ListMoviesRequest(page_size=2)
    found = await either.take(either.client.pages(either.client.catalog.ListMovies, request), 99)
    assert sorted(each.movie_id for each in found) == sorted(movies)
    assert len(proxy.of("ListMovies")) == 3
    assert request == catalog_service_pb2.ListMoviesRequest(page_size=2)


async def test_what_has_no_pages(app: App, either: Either) -> None:
    await either.sign_in(app)
    booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
    request = booking_service_pb2.GetBookingRequest(booking_id=booking.booking_id)
    with pytest.raises(TypeError, match="GetBookingResponse is no page of a list"):
        await either.take(either.client.pages(either.client.bookings.GetBooking, request), 1)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_tls(kind: type[Client | AsyncClient], database_url: str, tmp_path: Path) -> None:
    """With certificates, on this machine too. A client without TLS is not served."""
    authority = Authority()
    async with running(database_url, **write(tmp_path, *authority.issue())) as app:
        address = app.server.address
        request = catalog_service_pb2.ListMoviesRequest()
        for either, code in (
            (Either(kind(address, root_certificates=authority.certificate), []), None),
            (Either(kind(address, root_certificates=Authority().certificate), []), grpc.StatusCode.UNAVAILABLE),
            (Either(kind(address, plaintext=False), []), grpc.StatusCode.UNAVAILABLE),
            (Either(kind(address), []), grpc.StatusCode.UNAVAILABLE),
        ):
            if code is None:
                await either.call(either.client.catalog.ListMovies, request)
            else:
                with pytest.raises(CinemaError) as raised:
                    await either.call(either.client.catalog.ListMovies, request)
                assert raised.value.code() is code
            await either.close()
        with pytest.raises(ValueError, match="are for TLS: leave them out"):
            kind(address, root_certificates=authority.certificate, plaintext=True)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_client_certificates(kind: type[Client | AsyncClient], database_url: str, tmp_path: Path) -> None:
    """A server that asks for one refuses clients without, and those with another authority's."""
    authority = Authority()
    files = write(tmp_path, *authority.issue(), client_ca=authority.certificate)
    async with running(database_url, **files) as app:
        request = catalog_service_pb2.ListMoviesRequest()
        for (key, chain), is_served in (
            (authority.issue("desk.example"), True),
            (Authority().issue("desk.example"), False),
            ((None, None), False),
        ):
            client = kind(
                app.server.address,
                root_certificates=authority.certificate,
                certificate_chain=chain,
                private_key=key,
                timeout=30,
            )
            either = Either(client, [])
            if is_served:
                await either.call(either.client.catalog.ListMovies, request)
            else:
                with pytest.raises(CinemaError) as raised:
                    await either.call(either.client.catalog.ListMovies, request)
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            await either.close()
    key, chain = authority.issue()
    with pytest.raises(ValueError, match="need each other"):
        kind("localhost:1", certificate_chain=chain)
    with pytest.raises(ValueError, match="need each other"):
        kind("localhost:1", private_key=key)
    with pytest.raises(ValueError, match="are for TLS: leave them out"):
        kind("localhost:1", certificate_chain=chain, private_key=key, plaintext=True)


async def test_without_tls_only_on_this_machine(app: App) -> None:
    """`plaintext=True` says otherwise; the address here is that of this machine all the same."""
    with Client(app.server.address, plaintext=True) as client:
        either = Either(client, [])
        await either.call(client.catalog.ListMovies, catalog_service_pb2.ListMoviesRequest())
    for target in (
        "localhost:50051",
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:50051",
        "dns:///localhost:1",
        "ipv6:[::1]:1",
    ):
        assert is_loopback(target), target
    for target in ("cinema.example:50051", "10.0.0.1:1", "0.0.0.0:1", "localhost.example:1", "dns:///cinema.example"):
        assert not is_loopback(target), target


@pytest.mark.parametrize("modules", [("cinema_client", STUBS), (STUBS, "cinema_client")], ids=" then ".join)
def test_beside_the_servers_stubs(modules: tuple[str, str]) -> None:
    """A process can have both, in either order; and the client alone has no module `buf` or `cinema`."""
    code = f"""
import sys, {", ".join(modules)}
from cinema.v1 import booking_pb2 as theirs
from cinema_client.cinema.v1 import booking_pb2 as ours
booking = ours.Booking(booking_id="b")
assert theirs.Booking.FromString(booking.SerializeToString()).booking_id == "b"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)  # noqa: S603 (our own program)
    alone = "import sys, cinema_client; assert not {'buf', 'cinema', 'protovalidate'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", alone], check=True, timeout=SECONDS)  # noqa: S603 (our own program)
