"""gRPC's four kinds of method handler in one form, so that the pipeline need not know them apart."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]
else:  # Only their types are generic.
    Handler = grpc.RpcMethodHandler
    Context = grpc.aio.ServicerContext

Response = Message | bytes
"""A message of the method's response type, or its serialization, which is sent unchanged."""
Behaviour = Callable[[Any, Context], Awaitable[Response]]
"""Takes a request and returns the response."""
StreamBehaviour = Callable[[Any, Context], Awaitable[None]]
"""Takes a request, or an iterator of them, and writes any number of responses to the context."""
Deserializer = Callable[[bytes], Any]

Write = Callable[[Context, Any], Awaitable[None]]
"""Writes an answer of a stream."""


def handlers_of(service: ServiceDescriptor, servicer: object) -> dict[str, Handler]:
    """Return the handlers of a service's methods by full name, such as "/cinema.v1.BookingService/GetBooking".

    Args:
        service: The service, as the protos declare it.
        servicer: Has a method of the same name for each of them, which takes the request and the context. It returns a
            Response, or writes the responses of a stream to the context.

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


def encoder_of(handler: Handler) -> Callable[[Response], bytes]:
    """Return what serializes a handler's responses; one that is serialized already stays as it is."""
    serialize: Any = handler.response_serializer or bytes
    return lambda response: response if isinstance(response, bytes) else serialize(response)


def stream_behaviour_of(handler: Handler, write: Write) -> StreamBehaviour:
    """Return what a handler does as a coroutine function; one that yields its answers is made to write them."""
    function: Any = handler.unary_stream or handler.stream_stream
    if not inspect.isasyncgenfunction(function):
        behaviour: StreamBehaviour = function
        return behaviour

    async def write_all(request: Any, context: Context) -> None:
        async with aclosing(function(request, context)) as answers:
            async for answer in answers:
                await write(context, answer)

    return write_all


def refusing_garbage(deserialize: Deserializer) -> Deserializer:
    """Make a deserializer raise InvalidRequest for bytes that are no message; gRPC would call it a fault of ours."""

    def parse(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError:
            raise InvalidRequest(FieldViolation("", "the bytes are no message of the type that is due")) from None

    return parse
