"""A client for programs with asyncio."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from google.protobuf.message import Message
from grpc import aio

from cinema_client import errors
from cinema_client._async_interceptor import AsyncInterceptor, AsyncStreamInterceptor
from cinema_client._channel import credentials, options
from cinema_client._error import CinemaError
from cinema_client._pages import AsyncPages
from cinema_client._session import LONGEST_WAIT_TO_CLOSE_SECONDS, Session, Tokens
from cinema_client._watching import LONGEST_SILENCE_SECONDS, Resumption, silence
from cinema_client.cinema.v1.auth_service_pb2 import (
    LoginRequest,
    LogoutRequest,
    RefreshTokensRequest,
    RegisterRequest,
)
from cinema_client.cinema.v1.auth_service_pb2_grpc import AuthServiceStub
from cinema_client.cinema.v1.booking_service_pb2_grpc import BookingServiceStub
from cinema_client.cinema.v1.box_office_service_pb2_grpc import BoxOfficeServiceStub
from cinema_client.cinema.v1.catalog_service_pb2_grpc import CatalogServiceStub
from cinema_client.cinema.v1.event_service_pb2 import WatchEventsRequest, WatchEventsResponse
from cinema_client.cinema.v1.event_service_pb2_grpc import EventServiceStub
from cinema_client.cinema.v1.showtime_service_pb2 import WatchSeatsRequest, WatchSeatsResponse
from cinema_client.cinema.v1.showtime_service_pb2_grpc import ShowtimeServiceStub
from cinema_client.cinema.v1.ticket_service_pb2_grpc import TicketServiceStub
from cinema_client.cinema.v1.user_pb2 import User

if TYPE_CHECKING:
    from cinema_client.cinema.v1.event_pb2 import EventType

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class AsyncClient(AsyncPages):
    """A client of the cinema service for asyncio. Make it where the event loop runs.

    Args:
        target: HOST:PORT, or a name with several addresses, such as `dns:///cinema.example:50051`.
        root_certificates: Certificate authorities in PEM that sign the server's certificate. None: those of gRPC.
        certificate_chain: The client's own certificate in PEM, for servers that ask for one, with those between it and
            the server's authority.
        private_key: The key of `certificate_chain`, in PEM.
        plaintext: Whether to connect without TLS. None: only to an address of this machine.
        tokens: Tokens of an earlier session, to continue it.
        on_tokens: Called with the tokens each time that they change, with None when the session has ended.
        newer_tokens: Called before a refresh. Returns the tokens that another client of the session has got in place of
            those that have expired, or None if there are none.
        timeout: Seconds for a call, its repeats included; None for no limit. ConfirmPayment may take 30. Streams have
            no limit.

    Attributes:
        auth, catalog, showtimes, bookings, box_office, tickets, events: The methods of the services.
    """

    def __init__(
        self,
        target: str = "localhost:50051",
        *,
        root_certificates: bytes | None = None,
        certificate_chain: bytes | None = None,
        private_key: bytes | None = None,
        plaintext: bool | None = None,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens | None], None] | None = None,
        newer_tokens: Callable[[], Tokens | None] | None = None,
        timeout: float | None = 40.0,
    ) -> None:
        self._session = Session(tokens, on_tokens, newer_tokens)
        self._interceptor = AsyncInterceptor(self._session, timeout, self._refresh)
        interceptors = (self._interceptor, AsyncStreamInterceptor(self._session))
        secure = credentials(target, root_certificates, certificate_chain, private_key, plaintext=plaintext)
        if secure is None:
            self._channel = aio.insecure_channel(target, options(target), interceptors=interceptors)
        else:
            self._channel = aio.secure_channel(target, secure, options(target), interceptors=interceptors)
        self.auth = AuthServiceStub(self._channel)
        self.catalog = CatalogServiceStub(self._channel)
        self.showtimes = ShowtimeServiceStub(self._channel)
        self.bookings = BookingServiceStub(self._channel)
        self.box_office = BoxOfficeServiceStub(self._channel)
        self.tickets = TicketServiceStub(self._channel)
        self.events = EventServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. The session continues: see `tokens`.

        Calls and streams that are under way raise asyncio.CancelledError; those that wait to be repeated or resumed may
        raise gRPC's UsageError. If new tokens are under way, it waits for them for up to 5 seconds, as the refresh
        token has been used by then.
        """
        try:
            if self._interceptor.refreshes:
                await asyncio.wait(self._interceptor.refreshes, timeout=LONGEST_WAIT_TO_CLOSE_SECONDS)
        finally:
            await self._channel.close()

    @property
    def tokens(self) -> Tokens | None:
        """The tokens of the session; None if no user is signed in."""
        return self._session.tokens

    async def register(self, username: str, password: str, full_name: str, email: str) -> User:
        """Create an account, sign in to it, and return it."""
        request = RegisterRequest(username=username, password=password, full_name=full_name, email=email)
        return (await self.auth.Register(request)).user

    async def login(self, username: str, password: str) -> User:
        """Sign in, and return the account. Later calls are made by this user, with tokens that are kept fresh."""
        return (await self.auth.Login(LoginRequest(username=username, password=password))).user

    async def logout(self) -> None:
        """End the session, if there is one."""
        async with self._interceptor.refreshing:  # else tokens that a refresh brings meanwhile would stay
            if tokens := self._session.tokens:
                await self.auth.Logout(LogoutRequest(refresh_token=tokens.refresh_token))

    async def watch_seats(self, showtime_id: str, after_revision: int = 0) -> AsyncIterator[WatchSeatsResponse]:
        """Return what happens to the seats of a showtime, frame by frame, until it has ended or is cancelled.

        A lost stream is resumed where it ended, for as long as it takes. It fails only if no stream brings a frame, or
        if another stream would end in the same way, such as after the end of the session.

        Args:
            showtime_id: The showtime.
            after_revision: Revision that the caller knows, to learn what has changed since; 0 for all seats.
        """
        request = WatchSeatsRequest(showtime_id=showtime_id, after_revision=after_revision)
        async for frame in self._watch(self.showtimes.WatchSeats, request):
            request.after_revision = frame.revision
            yield frame

    async def watch_events(
        self,
        after_position: int = 0,
        types: "Iterable[EventType.ValueType]" = (),
        *,
        showtime_id: str = "",
        cinema_id: str = "",
        booking_id: str = "",
    ) -> AsyncIterator[WatchEventsResponse]:
        """Return events as they happen, frame by frame. For staff and services.

        A lost stream is resumed where it ended, for as long as it takes. It fails only if no stream brings a frame, or
        if another stream would end in the same way, such as after the end of the session.

        Args:
            after_position: The `next_position` of the last frame that the caller has dealt with; 0 to begin
                with the first event, which is PositionTrimmed if that is no longer kept.
            types: Only events of these types; none for all.
            showtime_id: Only events of this showtime.
            cinema_id: Only events of this cinema.
            booking_id: Only events of this booking.
        """
        request = WatchEventsRequest(
            after_position=after_position,
            types=types,
            showtime_id=showtime_id,
            cinema_id=cinema_id,
            booking_id=booking_id,
        )
        async for frame in self._watch(self.events.WatchEvents, request):
            request.after_position = frame.next_position
            yield frame

    async def _watch(
        self, method: "aio.UnaryStreamMultiCallable[Request, Response]", request: Request
    ) -> AsyncIterator[Response]:
        """Return the frames of a stream, and those of further streams in its place, until one ends without an error."""
        resumption = Resumption()
        while True:
            tokens = self._session.tokens
            stream: Any = method(request)
            frames = aiter(stream)
            try:
                while True:
                    async with asyncio.timeout(LONGEST_SILENCE_SECONDS):
                        frame = await anext(frames)
                    resumption.received()
                    yield frame
            except StopAsyncIteration:
                return
            except TimeoutError:
                await asyncio.sleep(resumption.after(silence()))
            except errors.TokenExpired:
                if tokens is None:
                    raise
                await self._renew(tokens, resumption)
            except CinemaError as error:
                await asyncio.sleep(resumption.after(error))
            finally:
                stream.cancel()

    async def _renew(self, expired: Tokens, resumption: Resumption) -> None:
        """Get new tokens for a stream; wait, if they can't be had now."""
        try:
            await self._interceptor.refresh(expired)
        except CinemaError as error:
            await asyncio.sleep(resumption.after(error))

    async def _refresh(self, refresh_token: str) -> None:
        await self.auth.RefreshTokens(RefreshTokensRequest(refresh_token=refresh_token))
