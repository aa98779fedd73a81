"""The log of calls: one line a call."""

import asyncio
import time
from contextvars import Context
from typing import Any

import structlog
from grpc import StatusCode

from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.transport.call import Call

QUIET_SERVICES = ("/grpc.health.", "/grpc.reflection.")
"""Beginnings of methods whose lines have the level debug: probes call them every few seconds."""
MAX_FIELDS = 20
"""Maximum number of bad fields in a line."""
SECONDS_TO_COLLECT_LINES = 0.005
"""Longest delay of a line. Writing many lines at once costs far less than writing each."""


class CallLog:
    """Writes the lines of calls, those of concurrent calls together."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []
        self._logger = structlog.get_logger().bind()

    def add(
        self,
        call: Call,
        code: StatusCode,
        refusal: CinemaError | None = None,
        fault: BaseException | None = None,
        *,
        alone: bool,
    ) -> None:
        """Log the end of a call.

        Args:
            call: The call.
            code: Status code that its client gets.
            refusal: The error of the contract that the call failed with, if it did. The line has its reason and the
                names of bad fields; not their values, which may be private.
            fault: Cause of an internal error; logged with its traceback, without delay.
            alone: Whether no other call is open, whose line could be written with this one.
        """
        line: dict[str, Any] = {
            "method": call.method,
            "code": code.name,
            "milliseconds": round((time.perf_counter() - call.start) * 1000, 2),
        }
        if call.principal is not None:
            line["user_id"] = call.principal.user_id
        if refusal is not None:
            line["reason"] = refusal.reason
            if refusal.violations:
                line["fields"] = [each.field for each in refusal.violations[:MAX_FIELDS]]
        line["client"] = call.client.network
        if user_agent := call.user_agent:
            line["user_agent"] = user_agent
        line["request_id"] = call.x_request_id
        if call.trace_id:
            line["trace_id"] = call.trace_id
        if fault is not None:
            Context().run(self.flush)
            self._logger.error("call", **line, exc_info=fault)
            return
        if not self._lines:
            delay = 0 if alone else SECONDS_TO_COLLECT_LINES
            # Without the context of this call, whose trace the lines of others would get.
            asyncio.get_running_loop().call_later(delay, self.flush, context=Context())
        self._lines.append(line)

    def flush(self) -> None:
        """Write the lines that were collected."""
        lines, self._lines = self._lines, []
        for line in lines:
            log = self._logger.debug if line["method"].startswith(QUIET_SERVICES) else self._logger.info
            log("call", **line)
