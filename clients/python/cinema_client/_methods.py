"""What the protos say of each method: whether it takes a request_id, and whether it may be repeated."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import MethodOptions

from cinema_client.cinema.v1 import (
    auth_service_pb2,
    booking_service_pb2,
    box_office_service_pb2,
    catalog_service_pb2,
    event_service_pb2,
    showtime_service_pb2,
    ticket_service_pb2,
)

FILES = (
    auth_service_pb2.DESCRIPTOR,
    booking_service_pb2.DESCRIPTOR,
    box_office_service_pb2.DESCRIPTOR,
    catalog_service_pb2.DESCRIPTOR,
    event_service_pb2.DESCRIPTOR,
    showtime_service_pb2.DESCRIPTOR,
    ticket_service_pb2.DESCRIPTOR,
)


@dataclass(frozen=True, slots=True)
class Method:
    """A method: whether its request has a request_id, and whether a repeat has no second effect."""

    takes_request_id: bool
    is_repeatable: bool


def _methods() -> Iterator[tuple[str, Method]]:
    for file in FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                takes_request_id = "request_id" in method.input_type.fields_by_name
                level = method.GetOptions().idempotency_level
                is_repeatable = takes_request_id or level != MethodOptions.IDEMPOTENCY_UNKNOWN
                yield f"/cinema.v1.{service.name}/{method.name}", Method(takes_request_id, is_repeatable)


METHODS = dict(_methods())
"""The methods by their path, such as `/cinema.v1.AuthService/Login`."""
