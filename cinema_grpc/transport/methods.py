"""What the call pipeline knows of each method."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.transport.handlers import Context, Handler, Response, refusing_garbage
from cinema_grpc.transport.validation import RequestCheck


class MethodTraits(NamedTuple):
    """How a method is served.

    Attributes:
        check: Parses and validates its requests; None: they are only parsed.
        changes: Whether it changes something.
        response_bytes: Memory to reserve for its response before the servicer is called; 0 for small responses.
        probe: Whether it counts as a stream and is answered during shutdown, as health checks are.
    """

    check: RequestCheck | None = None
    changes: bool = False
    response_bytes: int = 0
    probe: bool = False


class Method:
    """A method of a servicer.

    Attributes:
        traits: How it is served.
        call: Takes a request, or the requests of a stream, and the context. Returns the response, a coroutine that does
            or, if `yields`, an asynchronous iterator of responses.
        parse: Parses a request; raises InvalidRequest for bytes that are no message.
        reads_stream: Whether it takes a stream of requests.
        writes_stream: Whether it returns a stream of responses.
        yields: Whether it yields the responses; else it writes them to the context.
    """

    def __init__(self, name: str, handler: Handler, traits: MethodTraits) -> None:
        """Set up from gRPC's handler of the method.

        Raises:
            ValueError: The method takes a stream of requests and returns one response.
        """
        if handler.request_streaming and not handler.response_streaming:
            raise ValueError(f"{name}: a stream of requests with a single response is not supported")
        call: Any = handler.unary_unary or handler.unary_stream or handler.stream_stream
        self.traits = traits
        self.call: Callable[[Any, Context], Any] = call
        self.parse: Callable[[bytes], Any] = refusing_garbage(handler.request_deserializer or bytes)
        self.reads_stream = handler.request_streaming
        self.writes_stream = handler.response_streaming
        self.yields = inspect.isasyncgenfunction(call)
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

    def encode(self, response: Response) -> bytes:
        """Serialize a response that is not serialized yet."""
        return response if isinstance(response, bytes) else self._serialize(response)
