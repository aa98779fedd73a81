"""Server reflection, by which tools such as grpcurl learn what can be called."""
# ruff: noqa: N802 (the names are those of a descriptor pool)

from collections.abc import Iterable
from functools import cache
from typing import Any

import cinema.v1.error_reason_pb2  # noqa: F401 (so that tools find it, though no message has it)
import google.rpc.error_details_pb2  # noqa: F401 (so that tools can print the details of errors)
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

from cinema_grpc.transport.handlers import Handler

SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def reflection_handlers(services: Iterable[str]) -> dict[str, Handler]:
    """Return the handlers of both versions of server reflection, by full name of the method.

    Their messages differ in name only. gRPC for Python has v1alpha only, so v1 is derived from it.

    Args:
        services: Full names of the services to list, besides reflection itself.
    """
    _describe_v1()
    servicer = aio.ReflectionServicer([*services, *SERVICES], _Pool())
    handler: Handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {f"/{name}/ServerReflectionInfo": handler for name in SERVICES}


@cache
def _describe_v1() -> None:
    description = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(description)
    renamed = text_format.MessageToString(description).replace("v1alpha", "v1")
    v1 = text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(v1.SerializeToString())


class _Pool:
    """The default descriptor pool, which can't find methods by name, with that ability."""

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        pool = descriptor_pool.Default()
        try:
            return pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return pool.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(descriptor_pool.Default(), name)
