"""The exit timer: a process that was told to stop exits in bounded time, whatever hangs."""

import os
import sys
import threading
from dataclasses import dataclass, field

import structlog

from cinema_grpc.observability.log_writer import LogStream

logger = structlog.get_logger()

SECONDS_BEYOND_GRACE = 5.0
"""Time to stop beyond that for open calls, CINEMA_SHUTDOWN_SECONDS."""
NOT_CLEAN = 1
"""The exit code of a server that did not stop in good order."""


@dataclass
class ExitTimer:
    """Exits the process some time after `start`, from a thread, since a statement, a file or the event loop may hang.

    It is as safe as being killed at any moment: the database rolls back uncommitted transactions.

    Attributes:
        seconds: The time after `start`.
    """

    seconds: float
    _started: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the timer, unless it runs."""
        if not self._started.is_set():
            self._started.set()
            timer = threading.Timer(self.seconds, self._exit)
            timer.daemon = True
            timer.start()

    def _exit(self) -> None:
        logger.error("the server did not stop in time and exits", seconds=self.seconds)
        if isinstance(sys.stderr, LogStream):
            sys.stderr.drain()
        os._exit(NOT_CLEAN)
