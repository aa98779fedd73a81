"""Carries out each call of an AsyncClient by the rules of the service: authorization, repeats, errors with types."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from copy import copy
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc import aio

from cinema_client import errors
from cinema_client._attempts import Attempts, typed
from cinema_client._error import CinemaError
from cinema_client._session import FailedRefresh, Session, Tokens


class AsyncInterceptor(aio.UnaryUnaryClientInterceptor):
    """Wraps each call of a channel that has one response.

    Args:
        session: The tokens.
        timeout: Seconds for a call without a timeout of its own; None for no limit.
        refresh: Calls RefreshTokens with a refresh token.
    """

    def __init__(self, session: Session, timeout: float | None, refresh: Callable[[str], Awaitable[object]]) -> None:
        self._session = session
        self._timeout = timeout
        self._refresh_tokens = refresh
        self._failure: FailedRefresh | None = None
        self.refreshing = asyncio.Lock()
        self.refreshes: set[asyncio.Task[None]] = set()  # the event loop alone would let them be collected

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Make a call, and repeat it as long as it may be."""
        details = client_call_details
        timeout = self._timeout if details.timeout is None else details.timeout
        attempts = Attempts(_path(details), request, timeout, details.metadata, self._session)
        while True:
            metadata = attempts.start()
            call = await continuation(_attempt(details, attempts.timeout, metadata), attempts.request)
            try:
                try:
                    response = await call
                except aio.AioRpcError as failed:
                    repeat = attempts.after(failed)
                else:
                    self._session.follow(attempts.request, response)
                    return call
                if repeat.refresh:
                    await self.refresh(repeat.refresh)
            except CinemaError as error:
                error.request_id = attempts.request_id  # of the call that is to be repeated, not of a refresh
                return FailedCall(call, error)
            await asyncio.sleep(repeat.delay)

    async def refresh(self, expired: Tokens) -> None:
        """Get new tokens, unless another task already has; also if the caller is cancelled meanwhile.

        Tasks that wait for one refresh share its failure.
        A refresh that was cut off could have used up the refresh token, whose second use would end the session.
        """
        task = asyncio.create_task(self._refresh(expired))
        self.refreshes.add(task)
        task.add_done_callback(self.refreshes.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # its caller may have gone
        await asyncio.wait([task])
        task.result()

    async def _refresh(self, expired: Tokens) -> None:
        begin = time.monotonic()
        async with self.refreshing:
            if self._session.has_replaced(expired):
                return
            if self._failure is not None and self._failure.is_of(expired, begin):
                raise copy(self._failure.error)
            try:
                await self._refresh_tokens(expired.refresh_token)
            except CinemaError as error:
                if isinstance(error, errors.RefreshTokenInvalid):
                    self._session.end(expired)
                self._failure = FailedRefresh(expired, time.monotonic(), copy(error))
                raise


class FailedCall:
    """A call that failed, and raises an error with a type when it is awaited.

    An interceptor must not raise such an error itself: grpcio before 1.83 writes a traceback to standard error then.
    """

    def __init__(self, call: Any, error: CinemaError) -> None:
        self._call = call
        self._error = error

    def __await__(self) -> Generator[Any, None, Any]:
        return self._fail().__await__()

    async def _fail(self) -> Any:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


aio.UnaryUnaryCall.register(FailedCall)


class AsyncStreamInterceptor(aio.UnaryStreamClientInterceptor):
    """Begins the streams of a channel; their errors have types.

    They are not resumed: see AsyncClient.watch_seats and AsyncClient.watch_events.

    Args:
        session: The tokens.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Begin a stream."""
        details = client_call_details
        attempts = Attempts(_path(details), request, details.timeout, details.metadata, self._session)
        return _responses(await continuation(_attempt(details, details.timeout, attempts.start()), request))


async def _responses(call: Any) -> AsyncIterator[Message]:
    try:
        async for response in call:
            yield response
    except grpc.RpcError as failed:
        raise typed(failed) from None


def _path(details: Any) -> str:
    return details.method.decode() if isinstance(details.method, bytes) else str(details.method)


def _attempt(details: Any, timeout: float | None, metadata: Any) -> aio.ClientCallDetails:
    return aio.ClientCallDetails(
        details.method, timeout, aio.Metadata(*metadata), details.credentials, details.wait_for_ready
    )
