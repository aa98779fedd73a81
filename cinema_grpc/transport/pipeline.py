"""The call pipeline: what every call passes through, from its first byte to its last.

In order: admit, receive the message, wait for calls that arrive together, authenticate, validate, make room for the
answer, call the servicer, encode, log. A call counts until gRPC has sent its answer.

All methods are served as streams of requests. grpc.aio reads the message of a unary call before any code of ours runs,
for as long as the client likes, and never answers a call that ends without one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextvars import Context as ContextVariables
from functools import partial
from typing import Any, NamedTuple, cast

import grpc
import structlog
from grpc import StatusCode

from cinema_grpc.application.errors import ShuttingDown
from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest
from cinema_grpc.transport import security_log
from cinema_grpc.transport.admission import AnswerRoom, Budget
from cinema_grpc.transport.authentication import Authentication
from cinema_grpc.transport.call import REQUEST_ID_HEADER, Call, Peer, current_call
from cinema_grpc.transport.call_log import CallLog
from cinema_grpc.transport.door import Door
from cinema_grpc.transport.errors import REASONS, InternalError, TooManyCalls, describe
from cinema_grpc.transport.handlers import (
    Behaviour,
    Context,
    Handler,
    encoder_of,
    refusing_garbage,
    stream_behaviour_of,
)
from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.peers import client_of
from cinema_grpc.transport.resets import close_connections, reset_streams
from cinema_grpc.transport.validation import RequestCheck

STATUS_DETAILS_HEADER = "grpc-status-details-bin"
LONGEST_SWEEP_INTERVAL = 1.0
"""How often, in seconds, calls are looked over for those that have taken too long."""
SECONDS_TO_READ_WHEN_SHORT = 1.0
"""How long a client may take to read an answer while calls wait for the room that it takes."""


class MethodTraits(NamedTuple):
    """What the pipeline has to know of a method.

    Attributes:
        check: How its requests are checked; None for those that are only read, by the handler's own deserializer.
        changes: Whether it changes something.
        answer_bytes: How many bytes are set aside for its answer; 0 for one that is always small.
        probe: Whether it is counted as a stream and answered while the server shuts down, as health checks are.
    """

    check: RequestCheck | None = None
    changes: bool = False
    answer_bytes: int = 0
    probe: bool = False


class CallPipeline(grpc.GenericRpcHandler):
    """Finds the handler of each call, and runs it within the steps that each call passes through."""

    def __init__(
        self,
        methods: Mapping[str, Handler],
        limits: Limits | None = None,
        authentication: Authentication | None = None,
        traits: Mapping[str, MethodTraits] | None = None,
    ) -> None:
        """Set up; needs no event loop yet.

        Args:
            methods: The handlers of the methods by full name, such as "/cinema.v1.BookingService/GetBooking".
            limits: What clients may do at most.
            authentication: Finds out who is calling; without it, every method is open to anyone.
            traits: What is known of the methods; one that is missing has the default ones.
        """
        self._limits = limits = limits or Limits()
        self._authentication = authentication
        self._calls = Budget("calls_at_once", limits.calls_at_once, self._give_up, limits.sales_reserve)
        self._streams = Budget("streams_at_once", limits.streams_at_once, self._end_stream)
        self._messages = Budget("receiving_at_once", limits.receiving_at_once, self._end_silent)
        self._room = AnswerRoom(limits.unsent_bytes_per_connection, limits.unsent_bytes)
        self._door = Door()
        self._open = 0
        self._receiving: dict[Call, float] = {}
        self._streaming: set[Call] = set()
        self._waiting: set[Call] = set()
        self._sending: dict[Call, float] = {}
        self._dropped: list[Call] = []
        self._silent: Counter[str] = Counter()
        self._closing: set[str] = set()
        self._next_count = 0.0
        self._sweeping = False
        self._stopping = False
        self._idle = asyncio.Event()
        self._call_log = CallLog()
        self._logger = structlog.get_logger().bind()
        known = traits or {}
        for name, handler in methods.items():
            if handler.request_streaming and not handler.response_streaming:
                raise ValueError(f"{name}: a stream of requests with a single answer is not supported")
        self._handlers = {
            name: self._handler(handler, known.get(name, MethodTraits())) for name, handler in methods.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Return the handler of a call, which becomes that of the current task; None for an unknown method."""
        handler = self._handlers.get(handler_call_details.method)
        if handler is not None:
            current_call.set(Call(handler_call_details.method, handler_call_details.invocation_metadata))
        return handler

    def begin_shutdown(self) -> None:
        """Refuse new calls, those whose message has not come, and streams, with SHUTTING_DOWN; other calls go on."""
        self._stopping = True
        for call in [*self._receiving, *self._streaming]:
            call.interrupt(ShuttingDown())
        self._note_idle()

    async def idle(self) -> None:
        """Wait, after `begin_shutdown`, until no call is open."""
        await self._idle.wait()

    def _handler(self, handler: Handler, traits: MethodTraits) -> Handler:
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._streamed(handler, traits),
                None,
                encoder_of(handler),
            )
        return grpc.stream_unary_rpc_method_handler(self._answered(handler, traits), None, None)

    def _answered(self, handler: Handler, traits: MethodTraits) -> Callable[[Any, Context], Any]:
        """Return what serves a method that takes one message and gives one answer."""
        behaviour = cast("Behaviour", handler.unary_unary)
        read, refuse = traits.check or RequestCheck(_reading(handler), _never)
        encode = encoder_of(handler)

        async def answer(_messages: object, context: Context) -> bytes | None:
            call = self._begin(context)
            try:
                self._admit(call, traits)
                context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
                raw = await self._receive(call, context)
                if not traits.probe:
                    await self._door.enter()
                await self._authenticate(call)
                request, violations = read(_present(raw))
                del raw  # it may be large, and the call may wait
                if violations:
                    await refuse(request, violations)
                if traits.answer_bytes:
                    await self._make_room(call, traits.answer_bytes)
                response = await behaviour(request, context)
                encoded = encode(response)
                self._fit_room(call, len(encoded))
            except (Exception, asyncio.CancelledError) as error:
                if not await self._refuse(call, context, error):
                    raise
                return None
            else:
                self._log(call, StatusCode.OK)
                return encoded
            finally:
                self._begin_sending(call)

        return answer

    def _streamed(self, handler: Handler, traits: MethodTraits) -> Callable[[Any, Context], Any]:
        """Return what serves a method that gives any number of answers."""
        behaviour = stream_behaviour_of(handler, self._write)
        read, refuse = traits.check or RequestCheck(_reading(handler), _never)

        async def stream(_messages: object, context: Context) -> None:
            call = self._begin(context)
            try:
                self._admit(call, traits, streams=True)
                context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
                # Else the first answer carries them. To end the stream while it is under way would send them once
                # more, which gRPC refuses, and the client would never hear of the end.
                await context.send_initial_metadata(())
                self._check_open()
                raw = b"" if handler.request_streaming else await self._receive(call, context)
                self._streaming.add(call)
                await self._authenticate(call)
                if handler.request_streaming:
                    request: Any = self._messages_of(call, context, handler)
                else:
                    request, violations = read(_present(raw))
                    if violations:
                        await refuse(request, violations)
                await behaviour(request, context)
            except (Exception, asyncio.CancelledError) as error:
                if not await self._refuse(call, context, error):
                    raise
            else:
                self._log(call, StatusCode.OK)
            finally:
                self._begin_sending(call)

        return stream

    def _begin(self, context: Context) -> Call:
        """Open the call of this task."""
        call = current_call.get()
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # gRPC runs each call in one
        call.context, call.task, call.client = context, task, client_of(context.peer())
        self._open += 1
        task.add_done_callback(partial(self._end, call))
        if not self._sweeping:
            self._sweeping = True
            self._sweep_later()
        return call

    def _end(self, call: Call, _task: object) -> None:
        """Close a call, once its answer is sent or given up."""
        call.task = None  # its context holds the call
        self._open -= 1
        self._sending.pop(call, None)
        self._calls.release(call)
        self._streams.release(call)
        if call.room:
            self._room.release(call.client.connection, call.room)
        self._note_idle()

    def _admit(self, call: Call, traits: MethodTraits, *, streams: bool = False) -> None:
        """Count a call, or refuse it.

        Raises:
            ShuttingDown, TooManyCalls.
        """
        if not traits.probe:
            self._check_open()
        if streams or traits.probe:
            self._streams.take(call)
        else:
            self._calls.take(call, reserved=self._calls.is_scarce and traits.changes and self._is_signed_in(call))

    def _is_signed_in(self, call: Call) -> bool:
        return self._authentication is not None and self._authentication.is_signed_in(call)

    def _end_silent(self, call: Call) -> bool:
        """End a call whose message has not come, for one of a client that has fewer of them."""
        call.interrupt(TooManyCalls("receiving_at_once", self._limits.receiving_at_once))
        self._note_silent(call)
        return True

    def _end_stream(self, call: Call) -> bool:
        """End a stream, for one of a client that has fewer of them."""
        if call not in self._streaming and call not in self._receiving:
            return False  # it ends already: to interrupt it now would keep its status from the client
        call.interrupt(TooManyCalls("streams_at_once", self._limits.streams_at_once))
        return True

    def _give_up(self, call: Call) -> bool:
        """Give up a call that waits for room, or whose answer is not read, for one of a client that has fewer."""
        if call in self._waiting:
            call.interrupt(TooManyCalls("calls_at_once", self._limits.calls_at_once))
            return True
        since = self._sending.get(call)
        if since is None or time.monotonic() - since < SECONDS_TO_READ_WHEN_SHORT:
            return False  # it is under way
        del self._sending[call]
        self._dropped.append(call)
        return True

    def _note_silent(self, call: Call) -> None:
        """Count calls of a connection whose message has not come; close the connection if there are many.

        To refuse each of the calls that may be on their way costs more than the client spends on making them. A
        connection on which other calls are under way is kept: it may be a proxy's.
        """
        connection = call.client.connection
        self._silent[connection] += 1
        if not 0 < self._limits.late_requests_per_connection <= self._silent[connection]:
            return
        self._silent[connection] = 0
        for other in self._calls.of(call.client):
            if other is not call and other not in self._receiving and other not in self._sending:
                return
        self._logger.warning("connection closed: too many requests did not come", peer=connection)
        if not self._closing:
            asyncio.get_running_loop().call_soon(self._close_connections)
        self._closing.add(connection)

    def _close_connections(self) -> None:
        closing, self._closing = self._closing, set()
        close_connections(closing)

    def _check_open(self) -> None:
        if self._stopping:
            raise ShuttingDown

    async def _receive(self, call: Call, context: Context) -> bytes | None:
        """Return the message of a call, or None if the client sent none.

        Raises:
            TooManyCalls: Too many messages are awaited already.
        """
        try:
            self._messages.take(call)
        except TooManyCalls:
            self._note_silent(call)
            raise
        self._receiving[call] = time.monotonic()
        try:
            message: Any = await context.read()
        finally:
            del self._receiving[call]
            self._messages.release(call)
        return None if message is grpc.aio.EOF else message

    async def _messages_of(self, call: Call, context: Context, handler: Handler) -> AsyncIterator[Any]:
        """Return the messages of a stream; each has to come as soon as that of any other call."""
        parse = refusing_garbage(handler.request_deserializer or bytes)
        while (raw := await self._receive(call, context)) is not None:
            yield parse(raw)

    async def _authenticate(self, call: Call) -> None:
        if self._authentication is not None:
            await self._authentication.check(call)

    async def _make_room(self, call: Call, size: int) -> None:
        self._waiting.add(call)
        try:
            await self._room.take(call.client.connection, size, self._limits.longest_wait)
        finally:
            self._waiting.discard(call)
        call.room = size

    def _fit_room(self, call: Call, size: int) -> None:
        """Set aside as many bytes as an answer has."""
        if size > call.room:
            self._room.add(call.client.connection, size - call.room)
        elif size < call.room:
            self._room.release(call.client.connection, call.room - size)
        call.room = size

    async def _write(self, context: Context, answer: Any) -> None:
        """Write one answer of a stream, when there is room for it; the client has to read it as any other."""
        call = current_call.get()
        size = len(answer) if isinstance(answer, bytes) else answer.ByteSize()
        await self._room.take(call.client.connection, size, self._limits.longest_wait)
        self._sending[call] = time.monotonic()
        try:
            await context.write(answer)
        finally:
            self._sending.pop(call, None)
            self._room.release(call.client.connection, size)

    def _begin_sending(self, call: Call) -> None:
        call.context = None  # a task that the call has begun may outlive it, and must not keep it alive
        self._streaming.discard(call)
        self._sending[call] = time.monotonic()

    async def _refuse(self, call: Call, context: Context, error: BaseException) -> bool:
        """End a call that raised an error; return False if the error is for gRPC to see.

        It is not raised here: an error that leads to a frame which leads back to it stays, with all of the call, until
        the next garbage collection.
        """
        if isinstance(error, grpc.aio.AbortError):
            self._log(call, context.code())  # A servicer that is not ours has told its caller by itself.
            return False
        if isinstance(error, asyncio.CancelledError) and call.interruption is not None and _was_only_interrupted(call):
            error = call.interruption
        if isinstance(error, grpc.aio.InternalError) or (isinstance(error, asyncio.CancelledError) and _given_up(call)):
            call.peer = Peer.of(context)  # for what it has caused, which may still be under way
            self._log(call, StatusCode.CANCELLED)  # The client hung up, or its deadline passed.
            return False
        # A CancelledError that is left came from what the call waited for; gRPC would never answer the client.
        if isinstance(error, asyncio.CancelledError) and self._stopping:
            error = ShuttingDown()
        refusal = error if isinstance(error, CinemaError) and error.reason in REASONS else InternalError()
        code, status = describe(refusal)
        self._log(call, code, refusal.reason, None if refusal is error else error)
        if refusal.reason in security_log.REFUSALS:
            security_log.note("refused", refused=True, reason=refusal.reason)
        details = (STATUS_DETAILS_HEADER, status.SerializeToString())
        request_id = (REQUEST_ID_HEADER, call.request_id)
        self._begin_sending(call)
        try:
            await context.abort(code, status.message, trailing_metadata=(details, request_id))
        except grpc.aio.AbortError as abort:
            # gRPC keeps this error, and raises it again as soon as the handler is done.
            abort.__traceback__ = abort.__context__ = None
        return True

    def _sweep_later(self) -> None:
        interval = min(LONGEST_SWEEP_INTERVAL, self._limits.receive_timeout / 2, self._limits.send_timeout / 2)
        asyncio.get_running_loop().call_later(interval, self._sweep, context=ContextVariables())

    def _sweep(self) -> None:
        """Look over the open calls, now and again for as long as there are any."""
        try:
            self._end_overdue()
        except Exception:
            self._logger.exception("open calls could not be looked over")
        finally:
            if self._open:
                self._sweep_later()
            else:
                self._sweeping = False

    def _end_overdue(self) -> None:
        """End calls whose message has not come in time, and those whose answer the client does not read."""
        now, limits = time.monotonic(), self._limits
        for call in list(_since(self._receiving, now - limits.receive_timeout)):
            problem = f"no complete message came within {limits.receive_timeout:g} s"
            call.interrupt(InvalidRequest(FieldViolation("", problem)))
            self._note_silent(call)
        if now >= self._next_count:
            self._next_count = now + limits.receive_timeout
            self._silent.clear()
        unread = {*self._dropped, *_since(self._sending, now - limits.send_timeout)}
        self._dropped.clear()
        if self._room.is_short:
            heaviest = self._room.heaviest()
            late = _since(self._sending, now - SECONDS_TO_READ_WHEN_SHORT)
            unread |= {call for call in late if call.client.connection == heaviest}
        tasks = {call: call.task for call in unread if call.task is not None}  # of the others the answer was read since
        if tasks:
            reset_streams(tasks.values())
        for call in tasks:
            self._logger.warning("answer not read", method=call.method, request_id=call.request_id)

    def _log(self, call: Call, code: StatusCode, reason: str | None = None, fault: BaseException | None = None) -> None:
        self._call_log.add(call, code, reason, fault, alone=self._open <= 1)

    def _note_idle(self) -> None:
        if self._stopping and not self._open:
            self._call_log.write()
            self._idle.set()


def _reading(handler: Handler) -> Callable[[bytes], tuple[Any, Sequence[FieldViolation]]]:
    """Return what only reads a request."""
    parse = refusing_garbage(handler.request_deserializer or bytes)
    return lambda raw: (parse(raw), ())


async def _never(_request: object, violations: Sequence[FieldViolation]) -> None:
    raise AssertionError(violations)


def _present(message: bytes | None) -> bytes:
    if message is None:
        raise InvalidRequest(FieldViolation("", "the call ended without a message; send exactly one"))
    return message


def _since(times: Mapping[Call, float], end: float) -> Iterator[Call]:
    """Return the calls whose time is before `end`; they stand in the order of their times."""
    for call, since in times.items():
        if since > end:
            return
        yield call


def _was_only_interrupted(call: Call) -> bool:
    """Return whether the cancellation under way is our own alone, and take it back if so."""
    return call.task is not None and call.task.uncancel() == 0


def _given_up(call: Call) -> bool:
    """Return whether the call itself was cancelled, rather than something that it waited for."""
    return call.task is not None and call.task.cancelling() > 0
