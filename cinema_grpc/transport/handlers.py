"""RPC handlers: their types, how servicers are bound to methods, and what the call pipeline knows of each method."""

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest
from cinema_grpc.transport.call_counts import CallCounts
from cinema_grpc.transport.validation import RequestCheck, rejecting_malformed

logger = structlog.get_logger()

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]
else:  # Only their types are generic.
    Handler = grpc.RpcMethodHandler
    Context = grpc.aio.ServicerContext

Response = Message | bytes
"""A message of the method's response type, or its serialization, which is sent unchanged."""
SECONDS_BEFORE_DEADLINE = 0.1
"""A client whose deadline passes hangs up a moment before it passes here."""
LONGEST_UNCHECKED = 1_000
"""Maximum bytes of a request that only asks for a name. It stays in memory as long as its stream."""


class MethodTraits(NamedTuple):
    """How a method is served.

    Attributes:
        check: Parses and validates its requests, as `validation.request_checks` makes it; None: they are only parsed.
        changes: Whether it changes something.
        response_bytes: Memory to reserve for its response before the servicer is called; 0 for small responses.
        probe: Whether it is a health check: it takes a place among the streams, and is answered during shutdown.
        watch: Whether it is a stream that lasts, of which a process serves only so many: STREAM_LIMIT.
        shielded: Whether a call runs to its end after its client has gone, so that the security log has what it did.
    """

    check: RequestCheck | None = None
    changes: bool = False
    response_bytes: int = 0
    probe: bool = False
    watch: bool = False
    shielded: bool = False


class Method:
    """A method of a servicer.

    Attributes:
        traits: How it is served.
        call: Takes a request, or the requests of a stream, and the context. Returns the response, a coroutine that does
            or, if `yields`, an asynchronous iterator of responses.
        reads_stream: Whether it takes a stream of requests.
        writes_stream: Whether it returns a stream of responses.
        yields: Whether it yields the responses; else it writes them to the context.
        counts: Counts of its calls.
    """

    def __init__(self, name: str, handler: Handler, traits: MethodTraits, counts: CallCounts) -> None:
        """Set up from gRPC's handler of the method.

        Raises:
            ValueError: The method takes a stream of requests and returns one response.
        """
        if handler.request_streaming and not handler.response_streaming:
            raise ValueError(f"{name}: a stream of requests with a single response is not supported")
        call: Any = handler.unary_unary or handler.unary_stream or handler.stream_stream
        self.traits = traits
        self.call: Callable[[Any, Context], Any] = _shielded(call) if traits.shielded else call
        self._parse = rejecting_malformed(handler.request_deserializer or bytes)
        self.reads_stream = handler.request_streaming
        self.writes_stream = handler.response_streaming
        self.yields = inspect.isasyncgenfunction(call)
        kind = "bidi_stream" if self.reads_stream else "server_stream" if self.writes_stream else "unary"
        self.counts = counts.of(name, kind)
        self._serialize: Any = handler.response_serializer or bytes

    async def validate(self, message: bytes | None) -> Any:
        """Return the request in a message.

        Raises:
            InvalidRequest: There is no message, or it is malformed.
        """
        if message is None:
            raise InvalidRequest(FieldViolation("", "the call ended without a message; send exactly one"))
        if self.traits.check is None:
            return self.parse(message)
        request, violations = self.traits.check.read(message)
        if violations:
            await self.traits.check.refuse(request, violations)
        return request

    def parse(self, message: bytes) -> Any:
        """Return the request in a message of a method that has no check: one of health or reflection.

        Raises:
            InvalidRequest: It is malformed, or longer than any name that these methods ask for.
        """
        if len(message) > LONGEST_UNCHECKED:
            raise InvalidRequest(FieldViolation("", f"must be at most {LONGEST_UNCHECKED} bytes"))
        return self._parse(message)

    def encode(self, response: Response) -> bytes:
        """Serialize a response that is not serialized yet."""
        return response if isinstance(response, bytes) else self._serialize(response)


def code_of_cancellation(context: Context) -> StatusCode:
    """Return the code of a call that was cancelled: its deadline has passed, or its client has hung up."""
    left: float | None = context.time_remaining()
    return StatusCode.CANCELLED if left is None or left > SECONDS_BEFORE_DEADLINE else StatusCode.DEADLINE_EXCEEDED


def _shielded(call: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Any]:
    """Have calls of a unary method run in tasks of their own, which are not cancelled with the callers."""
    running: set[asyncio.Task[Response]] = set()  # the event loop alone would let them be collected

    async def run(request: Any, context: Context) -> Response:
        task: asyncio.Task[Response] = asyncio.create_task(call(request, context))
        running.add(task)
        task.add_done_callback(running.discard)
        try:
            await asyncio.wait([task])
            return task.result()
        except asyncio.CancelledError:
            task.add_done_callback(_take_outcome)
            raise
        finally:
            del task  # else an error that the task holds leads to this frame and back: a reference cycle

    return run


def _take_outcome(task: "asyncio.Task[Response]") -> None:
    """Take the outcome of a call whose client has gone: a refusal has no reader, a bug is logged."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, CinemaError):
        logger.error("a call failed after its client had gone", exc_info=error)


def handlers_of(service: ServiceDescriptor, servicer: object) -> dict[str, Handler]:
    """Return the handlers of a service's methods by full name, such as "/cinema.v1.BookingService/GetBooking".

    Args:
        service: The service, as the protos declare it.
        servicer: Has a method of the same name for each of them, which takes the request and the context. It returns a
            Response, or, for a stream, yields Responses or writes them to the context.

    Raises:
        AttributeError: The servicer lacks a method.
    """
    handlers: dict[str, Handler] = {}
    for method in service.methods:
        streams = method.server_streaming
        make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        handlers[f"/{service.full_name}/{method.name}"] = make(
            getattr(servicer, method.name),
            GetMessageClass(method.input_type).FromString,
            GetMessageClass(method.output_type).SerializeToString,
        )
    return handlers
