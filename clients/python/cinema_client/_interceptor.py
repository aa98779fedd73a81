"""Carries out each call of a Client by the rules of the service: authorization, repeats, and errors with types."""

import threading
import time
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import grpc

from cinema_client import errors
from cinema_client._attempts import Attempts, typed
from cinema_client._error import CinemaError
from cinema_client._session import FailedRefresh, Session, Tokens


class Details(grpc.ClientCallDetails):
    """How one attempt is made."""

    def __init__(self, details: grpc.ClientCallDetails, timeout: float | None, metadata: Any) -> None:
        self.method = details.method
        self.timeout = timeout
        self.metadata = metadata
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class Interceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Wraps each call of a channel.

    Args:
        session: The tokens.
        timeout: Seconds for a call without a timeout of its own; None for no limit.
        refresh: Calls RefreshTokens with a refresh token.
    """

    def __init__(self, session: Session, timeout: float | None, refresh: Callable[[str], object]) -> None:
        self._session = session
        self._timeout = timeout
        self._refresh_tokens = refresh
        self._failure: FailedRefresh | None = None
        self.refreshing = threading.Lock()

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Make a call, and repeat it as long as it may be."""
        timeout = self._timeout if details.timeout is None else details.timeout
        attempts = Attempts(details.method, request, timeout, details.metadata, self._session)
        latest: grpc.RpcError | None = None
        while True:
            metadata = attempts.start()
            try:
                call = continuation(Details(details, attempts.timeout, metadata), attempts.request)
                response = call.result()
            except grpc.RpcError as failed:
                latest = failed
                repeat = attempts.after(failed)
            except ValueError:
                if latest is None:
                    raise
                raise typed(latest, attempts.request_id) from None  # the client was closed before the repeat
            else:
                self._session.follow(attempts.request, response)
                return call
            if repeat.refresh:
                try:
                    self.refresh(repeat.refresh)
                except CinemaError as error:
                    error.request_id = attempts.request_id  # of the call that is to be repeated, not of the refresh
                    raise
                except ValueError:
                    raise typed(latest, attempts.request_id) from None  # as above
            time.sleep(repeat.delay)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        """Begin a stream; its errors have types. It is not resumed: see Client.watch_seats and Client.watch_events."""
        attempts = Attempts(details.method, request, details.timeout, details.metadata, self._session)
        return Stream(continuation(Details(details, details.timeout, attempts.start()), request))

    def refresh(self, expired: Tokens) -> None:
        """Get new tokens, unless another thread already has. Threads that wait for one refresh share its failure."""
        begin = time.monotonic()
        with self.refreshing:
            if self._session.has_replaced(expired):
                return
            if self._failure is not None and self._failure.is_of(expired, begin):
                raise copy(self._failure.error)
            try:
                self._refresh_tokens(expired.refresh_token)
            except CinemaError as error:
                if isinstance(error, errors.RefreshTokenInvalid):
                    self._session.end(expired)
                self._failure = FailedRefresh(expired, time.monotonic(), copy(error))
                raise


class Stream:
    """The responses of a stream. Everything else that a gRPC call offers, such as cancel(), is there too."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as failed:
            raise typed(failed) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)
