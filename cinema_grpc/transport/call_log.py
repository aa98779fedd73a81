"""The log of calls: one line a call."""

import asyncio
import time
from typing import Any

import structlog
from grpc import StatusCode

from cinema_grpc.transport.call import Call

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
        reason: str | None = None,
        fault: BaseException | None = None,
        *,
        alone: bool,
    ) -> None:
        """Log the end of a call.

        Args:
            call: The call.
            code: Status code that its client gets.
            reason: Reason of the error, if the call failed with an error of the contract.
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
        if reason is not None:
            line["reason"] = reason
        line["request_id"] = call.x_request_id
        if fault is not None:
            self.flush()
            self._logger.error("call", **line, exc_info=fault)
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(0 if alone else SECONDS_TO_COLLECT_LINES, self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write the lines that were collected."""
        lines, self._lines = self._lines, []
        for line in lines:
            self._logger.info("call", **line)
