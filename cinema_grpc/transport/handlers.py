"""RPC handlers: their types, and how a servicer is bound to the methods of its service."""

from collections.abc import Callable
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
Deserializer = Callable[[bytes], Any]


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


def refusing_garbage(deserialize: Deserializer) -> Deserializer:
    """Make a deserializer raise InvalidRequest for bytes that it can't parse; gRPC would report an internal error."""

    def parse(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError:
            raise InvalidRequest(FieldViolation("", "the bytes are no message of the type that is due")) from None

    return parse
