"""The hard end of a process that was told to stop: it exits by then, whatever hangs."""

import os
import sys
import threading
from dataclasses import dataclass, field

import structlog

from cinema_grpc.log_writer import LogStream

logger = structlog.get_logger()

SECONDS_BEYOND_GRACE = 5.0
"""How long a server that stops may take beyond what running calls may take, CINEMA_SHUTDOWN_SECONDS."""
NOT_CLEAN = 1
"""The exit code of a server that did not stop in good order."""


@dataclass
class HardEnd:
    """Exits the process some time after `start`, from a thread: a statement, a file or the event loop may hang.

    Exiting is safe at any moment, as being killed is: the database undoes what was not committed.

    Attributes:
        seconds: How long after `start`.
    """

    seconds: float
    _started: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to count; a second call changes nothing."""
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
