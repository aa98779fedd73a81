"""Refuses malformed requests: bytes that are no message, and breaches of the protos' rules."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from protovalidate import Validator

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.transport.errors import MOST_VIOLATIONS
from cinema_grpc.transport.handlers import Deserializer, refusing_garbage
from cinema_grpc.transport.parsing import parse_moment, parse_span
from cinema_grpc.transport.phrasing import describe_count, describe_violation, rules_of

TIMES: Mapping[str, Callable[[Any, str], object]] = {
    "google.protobuf.Timestamp": parse_moment,
    "google.protobuf.Duration": parse_span,
}


SHORT = 1_000
"""A request of so few bytes has no list so long that checking its entries takes long."""

VALIDATOR = Validator()
"""Keeps the rules that it has compiled, for all servers of the process."""


def request_checks(services: Iterable[ServiceDescriptor]) -> dict[str, Deserializer]:
    """Make what reads and checks a request, for every method of the services by its full name.

    Each raises InvalidRequest. To compile the rules takes some milliseconds for each type of request.
    """
    return {
        f"/{service.full_name}/{method.name}": _check(method.input_type, VALIDATOR)
        for service in services
        for method in service.methods
    }


def _check(request_type: Descriptor, validator: Validator) -> Deserializer:
    """Make what reads and checks a type of request; it raises InvalidRequest."""
    message_class = GetMessageClass(request_type)
    parse = refusing_garbage(message_class.FromString)
    lists = _lists_in(request_type)
    times = tuple(
        (field.name, TIMES[field.message_type.full_name])
        for field in request_type.fields
        if field.message_type and field.message_type.full_name in TIMES
    )

    def check_lists(message: Message) -> None:
        if overlong := list(_overlong(message, lists)):
            raise InvalidRequest(*overlong)

    def check(raw: bytes) -> Message:
        message: Message = parse(raw)
        if len(raw) > SHORT:
            check_lists(message)
        broken = validator.collect_violations(message)
        unreadable = list(_unreadable(message, times)) if times else []
        if broken or unreadable:
            check_lists(message)
            violations = [describe_violation(request_type, each) for each in broken[: MOST_VIOLATIONS + 1]]
            named = {each.field for each in violations}
            raise InvalidRequest(*violations, *(each for each in unreadable if each.field not in named))
        return message

    validator.collect_violations(message_class())
    return check


@dataclass(frozen=True, slots=True)
class _List:
    """A list in a request, how many entries it may have, and the lists in its entries."""

    field: FieldDescriptor
    name: str
    most: int
    lists: tuple["_List", ...]


def _lists_in(message_type: Descriptor) -> tuple[_List, ...]:
    """Find the lists in a type of request.

    Raises:
        ValueError: The protos set no bound to one.
    """
    found = []
    for field in message_type.fields:
        if field.is_repeated:
            most = rules_of(field).repeated.max_items
            if not most:
                raise ValueError(f"{field.full_name} needs a max_items")
            found.append(_List(field, field.name, most, _lists_in(field.message_type) if field.message_type else ()))
    return tuple(found)


def _overlong(message: Any, lists: tuple[_List, ...], path: str = "") -> Iterator[FieldViolation]:
    """Find lists that are too long, before a rule for their entries is checked a million times."""
    for each in lists:
        entries = getattr(message, each.name)
        if len(entries) > each.most:
            yield FieldViolation(f"{path}{each.name}", f"{describe_count(each.field)}, not {len(entries):,}")
        elif each.lists:
            for number, entry in enumerate(entries):
                yield from _overlong(entry, each.lists, f"{path}{each.name}[{number}].")


def _unreadable(message: Any, times: Iterable[tuple[str, Callable[[Any, str], object]]]) -> Iterator[FieldViolation]:
    """Find moments and spans that say nothing we could keep."""
    for name, parse in times:
        if message.HasField(name):
            try:
                parse(getattr(message, name), name)
            except InvalidRequest as error:
                yield from error.violations
