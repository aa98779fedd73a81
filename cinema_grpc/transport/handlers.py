"""gRPC's four kinds of method handler in one form, so that the pipeline need not know them apart."""

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

Behaviour = Callable[[Any, Context], Awaitable[Any]]
"""What a handler does: takes a request, or an iterator of them, and gives an answer, or writes some to the context."""
Deserializer = Callable[[bytes], Any]


Write = Callable[[Context, Any], Awaitable[None]]
"""Writes an answer of a stream."""


def behaviour_of(handler: Handler, write: Write) -> Behaviour:
    """Return what a handler does as a coroutine function; one that yields its answers is made to write them."""
    function: Any = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if not inspect.isasyncgenfunction(function):
        behaviour: Behaviour = function
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
