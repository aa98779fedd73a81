"""Tells which calls are repeats of one another: by their request_id, and by their content."""

import hashlib
from typing import TypeVar

from cinema.v1 import booking_service_pb2, catalog_service_pb2, showtime_service_pb2

from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.transport.authentication import caller

A = TypeVar("A")

ChangingRequest = (
    booking_service_pb2.CreateBookingRequest
    | booking_service_pb2.ConfirmPaymentRequest
    | booking_service_pb2.CancelBookingRequest
    | catalog_service_pb2.CreateMovieRequest
    | catalog_service_pb2.CreateCinemaRequest
    | catalog_service_pb2.CreateAuditoriumRequest
    | showtime_service_pb2.CreateShowtimeRequest
)


def once(request: ChangingRequest, rpc: str, answer_type: type[A]) -> Once[A] | None:
    """Give what a call is recorded under, or None if the caller gave it no request_id.

    Args:
        request: The request; its content is all of it but the request_id, whose case does not matter.
        rpc: The method, such as "cinema.v1.BookingService/CreateBooking".
        answer_type: What the application answers, a dataclass.
    """
    if not request.request_id:
        return None
    content = type(request)()
    content.MergeFrom(request)  # type: ignore[arg-type] # both are of one type, which mypy can't tell of a union
    content.ClearField("request_id")
    digest = hashlib.sha256(content.SerializeToString(deterministic=True)).digest()
    return Once(RequestKey(caller().user_id, rpc, request.request_id.lower()), digest, answer_type)
