"""The outermost interceptor: every call gets its x-request-id, a log line, and a status for whatever went wrong.

It also counts the calls that run, and ends them in good order when the server stops.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import grpc
import structlog
from grpc import StatusCode

from cinema_grpc.application.errors import ShuttingDown
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.transport import security_log
from cinema_grpc.transport.call import REQUEST_ID_HEADER, Call, Peer, current_call
from cinema_grpc.transport.door import Door
from cinema_grpc.transport.errors import CATALOGUE, InternalError, TooManyCalls, describe
from cinema_grpc.transport.handlers import (
    Behaviour,
    Context,
    Continuation,
    Deserializer,
    Handler,
    behaviour_of,
    refusing_garbage,
    with_behaviour,
)

STATUS_DETAILS_HEADER = "grpc-status-details-bin"
SECONDS_TO_COLLECT_LINES = 0.005
"""How long a line of the log may wait for others: to write many at once costs far less than to write each."""


class _Line(NamedTuple):
    """What the log has to say of a call that ended at `end`, on the clock of `time.perf_counter`."""

    method: str
    call: Call
    code: StatusCode
    reason: str | None
    end: float

    def fields(self) -> dict[str, Any]:
        """Give the fields of the line."""
        milliseconds = round((self.end - self.call.start) * 1000, 2)
        fields: dict[str, Any] = {"method": self.method, "code": self.code.name, "milliseconds": milliseconds}
        if self.call.caller is not None:
            fields["user_id"] = self.call.caller.user_id
        if self.reason is not None:
            fields["reason"] = self.reason
        fields["request_id"] = self.call.request_id
        return fields


class Boundary(grpc.aio.ServerInterceptor):
    """Stands between gRPC and everything else; it has to be the first of the interceptors."""

    def __init__(self, always_answered: frozenset[str] = frozenset(), calls_at_once: int = sys.maxsize) -> None:
        """Set up.

        Args:
            always_answered: The methods, by full name, that are answered to the last and however many calls run,
                such as health checks.
            calls_at_once: How many calls may run; the next gets OVERLOADED.
        """
        self._always_answered = always_answered
        self._calls_at_once = calls_at_once
        self._handlers: dict[str, Handler] = {}
        self._running = 0
        self._door = Door()
        self._streams: set[asyncio.Task[Any]] = set()
        self._ended_streams: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._idle = asyncio.Event()
        self._lines: list[_Line] = []
        self._logger = structlog.get_logger().bind()

    def begin_shutdown(self) -> None:
        """Refuse new calls and end streams, both with SHUTTING_DOWN; other calls that run go on."""
        self._stopping = True
        self._note_idle()
        for task in self._streams - self._ended_streams:
            self._ended_streams.add(task)
            task.cancel()

    async def idle(self) -> None:
        """Wait, after `begin_shutdown`, until no call runs."""
        await self._idle.wait()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Give the handler of a method, wrapped; the inner interceptors are asked for each method once."""
        method = handler_call_details.method
        # gRPC runs the handler in this same task, so it finds the call in the context variable.
        current_call.set(Call(method, handler_call_details.invocation_metadata))
        handler = self._handlers.get(method)
        if handler is None:
            found = await continuation(handler_call_details)
            if found is None:
                return None  # Not remembered: there is no end to the names that a client can make up.
            handler = self._handlers[method] = self._wrap(method, found)
        return handler

    def _wrap(self, method: str, handler: Handler) -> Handler:
        # Requests are read and answers written within the behaviour, where what goes wrong is ours to answer.
        behaviour = behaviour_of(handler)
        parse, serialize = handler.request_deserializer, handler.response_serializer
        if parse is not None:
            parse = refusing_garbage(parse)
        if parse is not None and not handler.request_streaming:
            behaviour, parse = _reading(behaviour, parse), None
        if handler.response_streaming:
            return with_behaviour(handler, self._conducted(method, self._until_shutdown(behaviour)), parse, serialize)
        return with_behaviour(handler, self._conducted(method, behaviour, serialize), parse, None)

    def _conducted(
        self, method: str, behaviour: Behaviour, serialize: Callable[[Any], bytes] | None = None
    ) -> Behaviour:
        """Wrap what a method does into everything that each call gets; its answer is turned into bytes if need be."""
        always_answered = method in self._always_answered

        async def conducted(request: Any, context: Context) -> Any:
            call = current_call.get()
            call.context = context
            self._running += 1
            try:
                if not always_answered:
                    self._check_open()
                    await self._door.enter()
                context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
                answer = await behaviour(request, context)
                if serialize is not None and not isinstance(answer, bytes):  # some are kept in the form that is sent
                    answer = serialize(answer)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (each gets a status)
                return await self._conclude(method, call, context, error)
            else:
                self._log(method, call, StatusCode.OK)
                return answer
            finally:
                call.context = None  # a task that the call has begun may outlive it, and must not keep it alive
                self._running -= 1
                self._note_idle()

        return conducted

    def _check_open(self) -> None:
        if self._stopping:
            raise ShuttingDown
        if self._running > self._calls_at_once:  # with the one that asks
            raise TooManyCalls(self._calls_at_once)

    def _until_shutdown(self, behaviour: Behaviour) -> Behaviour:
        """Make a stream raise ShuttingDown when the server stops."""

        async def until_shutdown(request: Any, context: Context) -> None:
            task = cast("asyncio.Task[Any]", asyncio.current_task())  # gRPC runs each call in one
            # Else the first answer carries them, and to end the stream while it is under way would send them once more.
            # gRPC refuses to, and the client would never hear of the end.
            await context.send_initial_metadata(())
            self._check_open()
            self._streams.add(task)
            try:
                await behaviour(request, context)
            except asyncio.CancelledError:
                if task in self._ended_streams and task.uncancel() == 0:
                    raise ShuttingDown from None
                raise  # The client hung up, perhaps in the same moment.
            finally:
                self._streams.discard(task)
                self._ended_streams.discard(task)

        return until_shutdown

    async def _conclude(self, method: str, call: Call, context: Context, error: BaseException) -> None:
        """End a call that raised an error; what this raises is for gRPC to see."""
        if isinstance(error, grpc.aio.AbortError):
            self._log(method, call, context.code())  # A servicer that is not ours has told its caller by itself.
            raise error
        if isinstance(error, grpc.aio.InternalError) or (isinstance(error, asyncio.CancelledError) and _given_up()):
            call.peer = Peer.of(context)  # for what it has caused, which may still be under way
            self._log(method, call, StatusCode.CANCELLED)  # The client hung up, or its deadline passed.
            raise error
        # A CancelledError that is left came from what the call waited for; gRPC would never answer the client.
        refusal = error if isinstance(error, CinemaError) and error.reason in CATALOGUE else InternalError()
        code, status = describe(refusal)
        self._log(method, call, code, refusal.reason, None if refusal is error else error)
        if refusal.reason in security_log.REFUSALS:
            security_log.note("refused", refused=True, reason=refusal.reason)
        details = (STATUS_DETAILS_HEADER, status.SerializeToString())
        request_id = (REQUEST_ID_HEADER, call.request_id)
        try:
            await context.abort(code, status.message, trailing_metadata=(details, request_id))
        except grpc.aio.AbortError as abort:
            # gRPC keeps this error, and raises it again as soon as the handler is done. If it led to the handler's
            # frames, which lead to gRPC's side of the call, all that would stay until the next garbage collection.
            abort.__traceback__ = abort.__context__ = None

    def _log(
        self, method: str, call: Call, code: StatusCode, reason: str | None = None, fault: BaseException | None = None
    ) -> None:
        line = _Line(method, call, code, reason, time.perf_counter())
        if fault is not None:
            self._write_lines()
            self._logger.error("call", **line.fields(), exc_info=fault)
            return
        # While other calls run, whose lines will follow soon, lines are collected for a moment.
        if not self._lines:
            wait = SECONDS_TO_COLLECT_LINES if self._running > 1 else 0
            asyncio.get_running_loop().call_later(wait, self._write_lines)
        self._lines.append(line)

    def _write_lines(self) -> None:
        lines, self._lines = self._lines, []
        for line in lines:
            self._logger.info("call", **line.fields())

    def _note_idle(self) -> None:
        if self._stopping and not self._running:
            self._write_lines()
            self._idle.set()


def _reading(behaviour: Behaviour, parse: Deserializer) -> Behaviour:
    """Make a behaviour take bytes."""

    async def reading(raw: bytes, context: Context) -> Any:
        return await behaviour(parse(raw), context)

    return reading


def _given_up() -> bool:
    """Tell whether the running call was cancelled, rather than something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
