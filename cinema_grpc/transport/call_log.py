"""The log lines of calls: one for each, written a few at a time."""

import asyncio
import time
from typing import Any, NamedTuple

import structlog
from grpc import StatusCode

from cinema_grpc.transport.call import Call

SECONDS_TO_COLLECT_LINES = 0.005
"""How long a line may wait for others: to write many at once costs far less than to write each."""


class _Line(NamedTuple):
    """What the log says of a call that ended at `end`, on the clock of `time.perf_counter`."""

    call: Call
    code: StatusCode
    reason: str | None
    end: float

    def fields(self) -> dict[str, Any]:
        """Return the fields of the line."""
        milliseconds = round((self.end - self.call.start) * 1000, 2)
        fields: dict[str, Any] = {"method": self.call.method, "code": self.code.name, "milliseconds": milliseconds}
        if self.call.caller is not None:
            fields["user_id"] = self.call.caller.user_id
        if self.reason is not None:
            fields["reason"] = self.reason
        fields["request_id"] = self.call.request_id
        return fields


class CallLog:
    """Writes a line for each call. Lines of calls that run at once are written together."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
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
            code: What its client was told.
            reason: The reason of the error, if there was one of ours.
            fault: What went wrong on our side, which is written with its traceback, at once.
            alone: Whether no other call is open, whose line would follow soon.
        """
        line = _Line(call, code, reason, time.perf_counter())
        if fault is not None:
            self.write()
            self._logger.error("call", **line.fields(), exc_info=fault)
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(0 if alone else SECONDS_TO_COLLECT_LINES, self.write)
        self._lines.append(line)

    def write(self) -> None:
        """Write the lines that were collected."""
        lines, self._lines = self._lines, []
        for line in lines:
            self._logger.info("call", **line.fields())
