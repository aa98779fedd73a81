"""The messages of Health.List, a newer method of grpc.health.v1 that Python's package of the service lacks."""

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

PACKAGE = "grpc.health.v1"


def _file() -> FileDescriptorProto:
    """Return the file that declares both, as https://github.com/grpc/grpc-proto does."""
    file = FileDescriptorProto(
        name="cinema_grpc/health_list.proto", package=PACKAGE, syntax="proto3", dependency=[health_pb2.DESCRIPTOR.name]
    )
    file.message_type.add(name="HealthListRequest")
    response = file.message_type.add(name="HealthListResponse")
    entry = response.nested_type.add(name="StatusesEntry")
    entry.options.map_entry = True
    single, message = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.TYPE_MESSAGE
    entry.field.add(name="key", number=1, label=single, type=FieldDescriptorProto.TYPE_STRING)
    entry.field.add(
        name="value",
        number=2,
        label=single,
        type=message,
        type_name=f".{PACKAGE}.{health_pb2.HealthCheckResponse.__name__}",
    )
    response.field.add(
        name="statuses",
        number=1,
        label=FieldDescriptorProto.LABEL_REPEATED,
        type=message,
        type_name=f".{PACKAGE}.HealthListResponse.StatusesEntry",
    )
    return file


Default().AddSerializedFile(_file().SerializeToString())
HealthListRequest: Any = GetMessageClass(Default().FindMessageTypeByName(f"{PACKAGE}.HealthListRequest"))
HealthListResponse: Any = GetMessageClass(Default().FindMessageTypeByName(f"{PACKAGE}.HealthListResponse"))
