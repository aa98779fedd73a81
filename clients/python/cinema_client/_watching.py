"""When to resume a lost stream, and how long a silent one is trusted."""

import logging
import random
import threading
import time
from collections.abc import Callable

import grpc

from cinema_client._attempts import MAX_ATTEMPTS, spread
from cinema_client._error import CinemaError, Details

logger = logging.getLogger("cinema_client")
logger.addHandler(logging.NullHandler())  # or Python writes warnings to standard error where no log is set up

LONGEST_SILENCE_SECONDS = 20.0
"""A stream without a frame for so long is lost: the server sends one every 15 seconds."""
FINAL = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
}
"""Codes after which another stream would end in the same way."""


def silence() -> CinemaError:
    """Return the error of a stream that was silent for too long."""
    return CinemaError(
        grpc.StatusCode.DEADLINE_EXCEEDED, f"no frame from the server for {LONGEST_SILENCE_SECONDS:g} s", Details()
    )


class Resumption:
    """Decides for one watch whether to open its stream again."""

    def __init__(self) -> None:
        self._has_received = False
        self._failures = 0

    def received(self) -> None:
        """Note that a frame came."""
        self._has_received = True

    def after(self, error: CinemaError) -> float:
        """Return the seconds to wait before the stream is opened again.

        Raises:
            CinemaError: The error itself, if another stream would not help, or if none has ever brought a frame.
        """
        self._failures += 1
        if error.code() in FINAL or (not self._has_received and self._failures >= MAX_ATTEMPTS):
            raise error from None
        delay = random.uniform(0.1, 1.0)  # noqa: S311 (spreads clients, guards no secret)
        if error.retry_delay is not None:
            delay = spread(error.retry_delay)
        logger.warning("a stream was lost, and is opened again in %.1f s: %s", delay, error)
        return delay


class Watchdog:
    """Cancels a stream that is silent for too long.

    Args:
        cancel: Cancels the stream.
    """

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self._silent_since: float | None = time.monotonic()
        self._stopped = threading.Event()
        self.has_cancelled = False
        threading.Thread(target=self._run, name="cinema-watchdog", daemon=True).start()

    def listen(self) -> None:
        """Wait for a frame from now on."""
        self._silent_since = time.monotonic()

    def pause(self) -> None:
        """Wait for nothing: the caller deals with a frame."""
        self._silent_since = None

    def stop(self) -> None:
        """End."""
        self._stopped.set()

    def _run(self) -> None:
        left = LONGEST_SILENCE_SECONDS
        while not self._stopped.wait(left):
            since = self._silent_since
            left = LONGEST_SILENCE_SECONDS if since is None else since + LONGEST_SILENCE_SECONDS - time.monotonic()
            if left <= 0:
                self.has_cancelled = True
                self._cancel()
                return
