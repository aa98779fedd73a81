"""The open calls of a pipeline: what they may hold, and the end of those that hold it for too long.

Each call holds a place among the calls, the streams or the watches, and another while it waits for a request message.
When places run out, clients share them; see `call_budgets`. Twice as often as the shortest timeout, and at
least once a second, a sweep looks at all open calls: it ends those whose message is late, resets those whose response
is not read, and closes connections on which many messages were late.
"""

import asyncio
import time
from collections import Counter
from contextvars import Context as ContextVariables
from typing import Any

import structlog

from cinema_grpc.application.errors import ShuttingDown
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.transport.call import Call, CallState
from cinema_grpc.transport.call_budgets import Budget, ResponseMemory
from cinema_grpc.transport.errors import TooManyCalls, TooManyWatches
from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.resets import close_connections, reset_streams

LONGEST_SWEEP_INTERVAL = 1.0
SECONDS_BETWEEN_CLOSINGS = 1.0
"""Minimum time between two times that connections are closed: each time, all open files are looked at."""
SECONDS_TO_READ_WHEN_SHORT = 1.0
"""Seconds that a client has to read a response while other calls lack the place or the memory that it holds."""


class OpenCalls:
    """The calls from admission until gRPC has sent their responses.

    Attributes:
        calls: Places for calls.
        streams: Places for streams and health checks.
        watches: Places for streams that last.
        memory: Memory for responses.
        stopping: Whether the server is shutting down.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.calls = Budget("calls_at_once", limits.calls_at_once, self._evict_call, limits.sales_reserve)
        self.streams = Budget("streams_at_once", limits.streams_at_once, self._evict_stream)
        self.watches = Budget("watches_at_once", limits.watches_at_once, self._evict_watch, refusal=TooManyWatches)
        self._receiving = Budget("receiving_at_once", limits.receiving_at_once, self._evict_receiving)
        self.memory = ResponseMemory(limits.unsent_bytes_per_connection, limits.unsent_bytes)
        self.stopping = False
        self._open: set[Call] = set()
        self._idle = asyncio.Event()
        self._sweeping = False
        self._sweep_due = 0.0
        self._stood_still = False
        self._late: Counter[str] = Counter()
        self._late_until = 0.0
        self._closing: set[str] = set()
        self._close_time = 0.0
        self._logger = structlog.get_logger().bind()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, call: Call, task: "asyncio.Task[Any]") -> None:
        """Add a call until its task is done; gRPC has sent its response then, or its stream was reset."""
        call.task = task
        task.add_done_callback(lambda _: self._remove(call))
        self._open.add(call)
        if not self._sweeping:
            self._sweeping = True
            self._sweep_later()

    def begin_receiving(self, call: Call) -> None:
        """Take a place among the calls that wait for a message. The message has to come in time.

        Raises:
            TooManyCalls: None is free for its client.
        """
        try:
            self._receiving.take(call)
        except TooManyCalls:
            self._count_late(call)
            raise
        call.enter(CallState.RECEIVING)

    def end_receiving(self, call: Call) -> None:
        """Free the place of a call that waited for a message."""
        self._receiving.release(call)
        call.enter(CallState.RUNNING)

    def begin_shutdown(self) -> None:
        """End streams and calls whose message has not come, with SHUTTING_DOWN."""
        self.stopping = True
        for call in list(self._open):
            if call.is_interruptible:
                call.interrupt(ShuttingDown())
        self._note_idle()

    async def idle(self) -> None:
        """Wait, after `begin_shutdown`, until no call is open."""
        await self._idle.wait()

    def _remove(self, call: Call) -> None:
        call.task = None  # it refers to the call
        self._open.discard(call)
        self.calls.release(call)
        self.streams.release(call)
        self.watches.release(call)
        if call.response_bytes:
            self.memory.release(call.client.connection, call.response_bytes)
        self._note_idle()

    def _note_idle(self) -> None:
        if self.stopping and not self._open:
            self._idle.set()

    def _evict_call(self, call: Call) -> bool:
        if call.state is CallState.WAITING:
            return call.interrupt(TooManyCalls("calls_at_once", self._limits.calls_at_once))
        if call.state is CallState.ENDING and time.monotonic() - call.state_time >= SECONDS_TO_READ_WHEN_SHORT:
            call.enter(CallState.ABANDONED)
            return True
        return False

    def _evict_stream(self, call: Call) -> bool:
        # Interrupting a stream that is ending would keep its status from the client.
        if not call.is_interruptible:
            return False
        call.interrupt(TooManyCalls("streams_at_once", self._limits.streams_at_once))
        return True

    def _evict_watch(self, call: Call) -> bool:
        if not call.is_interruptible:
            return False
        call.interrupt(TooManyWatches("watches_at_once", self._limits.watches_at_once))
        return True

    def _evict_receiving(self, call: Call) -> bool:
        call.interrupt(TooManyCalls("receiving_at_once", self._limits.receiving_at_once))
        self._count_late(call)
        return True

    def _count_late(self, call: Call) -> None:
        """Count a call whose message did not come; close its connection if it has many of them.

        To refuse each call that may be under way on the connection costs more than the client spends on making it. A
        connection with other calls is kept: it may be a proxy's.
        """
        connection = call.client.connection
        if connection in self._closing:
            return
        self._late[connection] += 1
        if not 0 < self._limits.late_requests_per_connection <= self._late[connection]:
            return
        self._late[connection] = 0
        others = (other for other in self.calls.of(call.client) if other is not call)
        if any(other.state not in {CallState.RECEIVING, CallState.ENDING} for other in others):
            return
        self._logger.warning("connection closed: too many requests did not arrive in time", peer=connection)
        if not self._closing:
            delay = max(0.0, self._close_time + SECONDS_BETWEEN_CLOSINGS - time.monotonic())
            asyncio.get_running_loop().call_later(delay, self._close_connections, context=ContextVariables())
        self._closing.add(connection)

    def _close_connections(self) -> None:
        closing, self._closing, self._close_time = self._closing, set(), time.monotonic()
        close_connections(closing)

    def _sweep_later(self) -> None:
        interval = min(LONGEST_SWEEP_INTERVAL, self._limits.receive_seconds / 2, self._limits.send_seconds / 2)
        self._sweep_due = time.monotonic() + interval
        asyncio.get_running_loop().call_later(interval, self._sweep, context=ContextVariables())

    def _sweep(self) -> None:
        # A process that stood still has to read first what came meanwhile, and judges at the next sweep.
        is_late = time.monotonic() - self._sweep_due > LONGEST_SWEEP_INTERVAL
        self._stood_still = is_late and not self._stood_still
        try:
            if not self._stood_still:
                self._end_overdue()
        except Exception:
            self._logger.exception("sweep of open calls failed")
        finally:
            self._sweeping = bool(self._open)
            if self._sweeping:
                self._sweep_later()

    def _end_overdue(self) -> None:
        now, limits = time.monotonic(), self._limits
        heaviest = self.memory.heaviest() if self.memory.is_short else None
        unread = []
        for call in self._open:
            seconds = now - call.state_time
            if call.state is CallState.RECEIVING:
                if seconds >= limits.receive_seconds:
                    self._end_late(call)
            elif call.state in {CallState.ENDING, CallState.WRITING}:
                short = call.client.connection == heaviest
                if seconds >= (SECONDS_TO_READ_WHEN_SHORT if short else limits.send_seconds):
                    unread.append(call)
            elif call.state is CallState.ABANDONED:
                unread.append(call)
        if now >= self._late_until:
            self._late_until = now + limits.receive_seconds
            self._late.clear()
        self._reset(unread)

    def _end_late(self, call: Call) -> None:
        problem = f"no complete message came within {self._limits.receive_seconds:g} s"
        if call.interrupt(InvalidRequest(FieldViolation("", problem))):
            self._count_late(call)

    def _reset(self, unread: list[Call]) -> None:
        tasks = [call.task for call in unread if call.task is not None]
        if tasks:
            reset_streams(tasks)
        for call in unread:
            self._logger.warning("response not read: stream reset", method=call.method, request_id=call.x_request_id)
