"""gRPC's four kinds of method handler in one form, so that an interceptor need not know them apart."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]
else:  # Only their types are generic.
    Handler = grpc.RpcMethodHandler
    Context = grpc.aio.ServicerContext

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]
Behaviour = Callable[[Any, Context], Awaitable[Any]]
"""What a handler does: takes a request, or an iterator of them, and gives an answer, or writes some to the context."""
Deserializer = Callable[[bytes], Any]


def behaviour_of(handler: Handler) -> Behaviour:
    """Give what a handler does as a coroutine function; one that yields its answers is made to write them."""
    function: Any = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if not inspect.isasyncgenfunction(function):
        behaviour: Behaviour = function
        return behaviour

    async def write_all(request: Any, context: Context) -> None:
        async with aclosing(function(request, context)) as answers:
            async for answer in answers:
                await context.write(answer)

    return write_all


def with_behaviour(
    handler: Handler,
    behaviour: Behaviour,
    request_deserializer: Deserializer | None,
    response_serializer: Callable[[Any], bytes] | None,
) -> Handler:
    """Make a handler of the same kind that does something else.

    Args:
        handler: Tells the kind.
        behaviour: What the new one does; a true coroutine function, or gRPC runs it in a thread.
        request_deserializer: Turns bytes into a request, or None where the behaviour takes bytes.
        response_serializer: Turns an answer into bytes, or None where the behaviour gives bytes.
    """
    if handler.request_streaming:
        stream, unary = grpc.stream_stream_rpc_method_handler, grpc.stream_unary_rpc_method_handler
    else:
        stream, unary = grpc.unary_stream_rpc_method_handler, grpc.unary_unary_rpc_method_handler
    make = stream if handler.response_streaming else unary
    made: Handler = make(behaviour, request_deserializer, response_serializer)
    return made


def refusing_garbage(deserialize: Deserializer) -> Deserializer:
    """Make a deserializer raise InvalidRequest for bytes that are no message; gRPC would call it a fault of ours."""

    def parse(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError:
            raise InvalidRequest(FieldViolation("", "the bytes are no message of the type that is due")) from None

    return parse
