"""The call pipeline: the steps that every call passes through.

A call is admitted if its client may hold one more, gets its x-request-id, and has to send its message in time. It then
waits for calls that arrive with it, and is authenticated and validated, in that order. Once there is memory for its
response, the servicer is called and the response is encoded. Each call ends with one line in the log, whatever became
of it; errors become statuses in `_refuse`. Its place and its memory are freed when gRPC has sent the response: see
`open_calls`, which also ends calls that take too long.

All methods are served as streams of requests. For a unary method grpc.aio would read the message before any code of
ours runs, for as long as the client likes, and would never answer a call that ends without one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, cast

import grpc
from grpc import StatusCode

from cinema_grpc.application.errors import ShuttingDown
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.transport import security_log
from cinema_grpc.transport.authentication import Authentication
from cinema_grpc.transport.call import REQUEST_ID_HEADER, Call, CallState, client_of, current_call
from cinema_grpc.transport.call_counts import CallCounts
from cinema_grpc.transport.call_log import CallLog
from cinema_grpc.transport.call_tracer import CallTracer
from cinema_grpc.transport.coalescer import IngressCoalescer
from cinema_grpc.transport.errors import REASONS, InternalError, describe
from cinema_grpc.transport.handlers import Context, Handler, Method, MethodTraits, Response, code_of_cancellation
from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.open_calls import OpenCalls

STATUS_DETAILS_HEADER = "grpc-status-details-bin"


class CallPipeline(grpc.GenericRpcHandler):
    """Runs each call through the steps.

    Attributes:
        counts: Counts of the calls.
    """

    def __init__(
        self,
        methods: Mapping[str, Handler],
        limits: Limits | None = None,
        authentication: Authentication | None = None,
        traits: Mapping[str, MethodTraits] | None = None,
        counts: CallCounts | None = None,
        tracer: CallTracer | None = None,
    ) -> None:
        """Set up; needs no event loop yet.

        Args:
            methods: Handlers by the full name of the method, such as "/cinema.v1.BookingService/GetBooking".
            limits: Limits on what clients may do.
            authentication: Authenticates calls; None: every method is public.
            traits: How methods are served, by full name; a method that is missing has the default traits.
            counts: Counts the calls.
            tracer: Traces the calls, if that is wanted.
        """
        self._limits = limits or Limits()
        self._authentication = authentication
        self._open_calls = OpenCalls(self._limits)
        self._coalescer = IngressCoalescer()
        self._call_log = CallLog()
        self.counts = counts or CallCounts()
        self._tracer = tracer
        traits = traits or {}
        self._handlers = {
            name: self._handler(Method(name, handler, traits.get(name, MethodTraits()), self.counts))
            for name, handler in methods.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Make a call the current one of its task, and return its handler; None for an unknown method."""
        handler = self._handlers.get(handler_call_details.method)
        if handler is not None:
            current_call.set(Call(handler_call_details.method, handler_call_details.invocation_metadata))
        return handler

    def begin_shutdown(self) -> None:
        """Refuse new calls, streams and calls whose message has not come, with SHUTTING_DOWN; other calls go on."""
        self._open_calls.begin_shutdown()

    async def idle(self) -> None:
        """Wait, after `begin_shutdown`, until no call is open and all are logged."""
        await self._open_calls.idle()
        self._call_log.flush()

    def _handler(self, method: Method) -> Handler:
        run = partial(self._run, method)
        if method.writes_stream:
            return grpc.stream_stream_rpc_method_handler(run, None, method.encode)
        return grpc.stream_unary_rpc_method_handler(run, None, None)

    async def _run(self, method: Method, _messages: object, context: Context) -> bytes | None:
        """Run a call, and return the encoded response of a unary method."""
        call = self._begin(method, context)
        try:
            response: bytes | None = None
            if method.writes_stream:
                await self._run_stream(method, call, context)
            else:
                response = await self._run_unary(method, call, context)
        except (Exception, asyncio.CancelledError) as error:
            if not await self._refuse(method, call, context, error):
                raise
            return None
        else:
            self._log(method, call, StatusCode.OK)
            return response
        finally:
            call.enter(CallState.ENDING)

    async def _run_unary(self, method: Method, call: Call, context: Context) -> bytes:
        self._admit(method, call)
        self._identify(call, context)
        message = await self._receive(method, call, context)
        await self._coalesce(method)
        await self._authenticate(method, call)
        request = await method.validate(message)
        del message  # it may be large, and the call may wait
        await self._reserve_memory(method, call)
        response: Response = await method.call(request, context)
        encoded = method.encode(response)
        self._hold_memory(call, len(encoded))
        method.counts.sent += 1
        return encoded

    async def _run_stream(self, method: Method, call: Call, context: Context) -> None:
        self._admit(method, call)
        self._identify(call, context)
        await self._send_initial_metadata(call, context)
        message = None if method.reads_stream else await self._receive(method, call, context)
        await self._authenticate(method, call)
        request = self._requests(method, call, context) if method.reads_stream else await method.validate(message)
        del message
        if not method.yields:
            await method.call(request, context)
            return
        async with aclosing(method.call(request, context)) as responses:
            async for response in responses:
                await self._write(method, call, context, response)

    def _begin(self, method: Method, context: Context) -> Call:
        method.counts.started += 1
        call = current_call.get()
        call.client = client_of(context.peer())
        call.certificate_names = tuple(name.decode(errors="replace") for name in context.peer_identities() or ())
        call.is_stream = method.writes_stream
        self._open_calls.add(call, cast("asyncio.Task[Any]", asyncio.current_task()))  # gRPC runs each call in one
        if self._tracer is not None:
            self._tracer.begin(call)
        return call

    def _admit(self, method: Method, call: Call) -> None:
        traits = method.traits
        if not traits.probe:
            self._check_open()
        if traits.watch:
            self._open_calls.watches.take(call)
        elif method.writes_stream or traits.probe:
            self._open_calls.streams.take(call)
        else:
            calls = self._open_calls.calls
            calls.take(call, reserved=calls.is_scarce and traits.changes and self._is_signed_in(call))

    def _check_open(self) -> None:
        if self._open_calls.stopping:
            raise ShuttingDown

    def _is_signed_in(self, call: Call) -> bool:
        return self._authentication is not None and self._authentication.is_signed_in(call)

    def _identify(self, call: Call, context: Context) -> None:
        context.set_trailing_metadata(((REQUEST_ID_HEADER, call.x_request_id),))

    async def _send_initial_metadata(self, call: Call, context: Context) -> None:
        """Send what the first response would carry otherwise.

        To end a stream while its first response is under way would send the initial metadata again, which gRPC refuses:
        the client would never learn of the end.
        """
        await context.send_initial_metadata(())
        self._check_open()
        call.enter(CallState.RUNNING)

    async def _receive(self, method: Method, call: Call, context: Context) -> bytes | None:
        """Return the next message of a call, or None if the client sends no more."""
        self._open_calls.begin_receiving(call)
        try:
            message: Any = await context.read()
        finally:
            self._open_calls.end_receiving(call)
        if message is grpc.aio.EOF:
            return None
        method.counts.received += 1
        return cast("bytes", message)

    async def _requests(self, method: Method, call: Call, context: Context) -> AsyncIterator[Any]:
        while (message := await self._receive(method, call, context)) is not None:
            yield method.parse(message)

    async def _coalesce(self, method: Method) -> None:
        if not method.traits.probe:
            await self._coalescer.wait()

    async def _authenticate(self, method: Method, call: Call) -> None:
        if self._authentication is not None:
            await self._authentication.check(call, changes=method.traits.changes)

    async def _reserve_memory(self, method: Method, call: Call) -> None:
        """Wait for memory for the largest response of the method, if it may be large."""
        size = method.traits.response_bytes
        if size:
            call.enter(CallState.WAITING)
            await self._open_calls.memory.take(call.client.connection, size, self._limits.longest_wait_seconds)
            call.response_bytes = size
            call.enter(CallState.RUNNING)

    def _hold_memory(self, call: Call, size: int) -> None:
        """Hold as much memory as the response takes, until it is sent."""
        memory, connection = self._open_calls.memory, call.client.connection
        if size > call.response_bytes:
            memory.add(connection, size - call.response_bytes)
        elif size < call.response_bytes:
            memory.release(connection, call.response_bytes - size)
        call.response_bytes = size

    async def _write(self, method: Method, call: Call, context: Context, response: Response) -> None:
        """Write a response of a stream once there is memory for it; the client has to read it in time."""
        encoded = method.encode(response)
        memory, connection = self._open_calls.memory, call.client.connection
        await memory.take(connection, len(encoded), self._limits.longest_wait_seconds)
        call.enter(CallState.WRITING)
        try:
            await context.write(encoded)
            method.counts.sent += 1
        finally:
            call.enter(CallState.RUNNING)
            memory.release(connection, len(encoded))

    async def _refuse(self, method: Method, call: Call, context: Context, error: BaseException) -> bool:
        """Send the status of a call that failed; return False if the error is for gRPC to see.

        It is not raised here: a traceback that leads to a frame which leads back to it would keep the call until the
        next garbage collection.
        """
        if isinstance(error, grpc.aio.AbortError):  # the health and reflection servicers send a status themselves
            self._log(method, call, context.code())
            return False
        cause = self._cause(call, error)
        if cause is None:
            self._log(method, call, code_of_cancellation(context))
            return False
        refusal = cause if isinstance(cause, CinemaError) and cause.reason in REASONS else InternalError()
        code, status = describe(refusal)
        self.counts.note_error(refusal)
        self._log(method, call, code, refusal, None if refusal is cause else cause)
        if refusal.reason in security_log.REFUSALS:
            security_log.note("refused", refused=True, reason=refusal.reason)
        call.enter(CallState.ENDING)
        details = (STATUS_DETAILS_HEADER, status.SerializeToString())
        request_id = (REQUEST_ID_HEADER, call.x_request_id)
        try:
            await context.abort(code, status.message, trailing_metadata=(details, request_id))
        except (grpc.aio.AbortError, grpc.aio.InternalError) as end:  # the latter if the call has ended already
            # gRPC keeps the former, and raises it again as soon as the handler is done.
            end.__traceback__ = end.__context__ = None
        return True

    def _cause(self, call: Call, error: BaseException) -> BaseException | None:
        """Return what made a call fail; None if the client hung up or its deadline passed."""
        if isinstance(error, grpc.aio.InternalError):  # gRPC's: the call has ended already
            return None
        if not isinstance(error, asyncio.CancelledError) or call.task is None:
            return error
        if call.interruption is not None and call.task.uncancel() == 0:
            return call.interruption
        if call.task.cancelling() > 0:
            return None
        # Something that the call waited for was cancelled. gRPC would never answer the client.
        return ShuttingDown() if self._open_calls.stopping else error

    def _log(
        self,
        method: Method,
        call: Call,
        code: StatusCode,
        refusal: CinemaError | None = None,
        fault: BaseException | None = None,
    ) -> None:
        method.counts.end(code, call.start)
        if self._tracer is not None:
            self._tracer.end(call, code, None if refusal is None else refusal.reason)
        self._call_log.add(call, code, refusal, fault, alone=len(self._open_calls) <= 1)
