"""The details that errors carry on the wire, as expectations of tests."""

from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, PreconditionFailure, QuotaFailure, ResourceInfo, RetryInfo

from cinema_grpc.domain.errors import CinemaError

Expected = Callable[[CinemaError], Message]
"""Returns the detail that an error must carry."""


def bad_request(*fields: tuple[str, str]) -> Expected:
    violations = [BadRequest.FieldViolation(field=field, description=text) for field, text in fields]
    return lambda _error: BadRequest(field_violations=violations)


def precondition(subject: str) -> Expected:
    return lambda error: PreconditionFailure(
        violations=[
            PreconditionFailure.Violation(type=error.reason, subject=subject, description=error.message),
        ]
    )


def resource(resource_type: str, name: str) -> Expected:
    return lambda error: ResourceInfo(
        resource_type=f"cinema.v1.{resource_type}", resource_name=name, description=error.message
    )


def quota(metric: str, value: int, subject: str) -> Expected:
    return lambda error: QuotaFailure(
        violations=[
            QuotaFailure.Violation(
                subject=subject,
                description=error.message,
                api_service="cinema.v1",
                quota_metric=metric,
                quota_value=value,
            )
        ]
    )


def retry(seconds: int) -> Expected:
    return lambda _error: RetryInfo(retry_delay=Duration(seconds=seconds))
