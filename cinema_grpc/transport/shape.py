"""Refuses malformed requests: bytes that are no message, and breaches of the protos' rules."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from protovalidate import Validator, Violation

from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest, violations_of
from cinema_grpc.domain.text import NAME, RATING, SYNOPSIS, TextRule
from cinema_grpc.transport.call import current_call
from cinema_grpc.transport.errors import MOST_VIOLATIONS
from cinema_grpc.transport.handlers import refusing_garbage
from cinema_grpc.transport.page_tokens import decode, query_of
from cinema_grpc.transport.parsing import parse_moment, parse_span
from cinema_grpc.transport.phrasing import describe_count, describe_violation, rules_of

T = TypeVar("T")

Further = Callable[[Any], Awaitable[Sequence[FieldViolation]]]
"""Finds what breaks a rule that the protos don't say; it takes any request of its type, however malformed."""

TIMES: Mapping[str, Callable[[Any, str], object]] = {
    "google.protobuf.Timestamp": parse_moment,
    "google.protobuf.Duration": parse_span,
}


TEXTS: Mapping[str, TextRule] = {
    "full_name": NAME,
    "name": NAME,
    "title": NAME,
    "rating": RATING,
    "synopsis": SYNOPSIS,
}
"""The fields that hold text for people, in whichever request."""

SHORT = 1_000
"""A request of so few bytes has no list so long that checking its entries takes long."""

VALIDATOR = Validator()
"""Keeps the rules that it has compiled, for all servers of the process."""


class RequestCheck(NamedTuple):
    """How the requests of a method are checked.

    Attributes:
        read: Reads a request, and returns it with what is wrong with it; raises InvalidRequest for no message.
        refuse: Raises InvalidRequest for a request with which something is wrong.
    """

    read: Callable[[bytes], tuple[Any, Sequence[FieldViolation]]]
    refuse: Callable[[Any, Sequence[FieldViolation]], Awaitable[None]]


def request_checks(
    services: Iterable[ServiceDescriptor], further: Mapping[str, Further] | None = None
) -> dict[str, RequestCheck]:
    """Return the checks of every method of the services, by its full name.

    To compile the rules takes some milliseconds for each type of request.

    Args:
        services: The services whose requests are checked.
        further: By the full name of a method, what else it refuses requests for. It is asked only about a request that
            is refused anyway, so that the answer names every bad field; the method checks well-formed ones.
    """
    checks = {}
    for service in services:
        for method in service.methods:
            name = f"/{service.full_name}/{method.name}"
            refuse = partial(_refuse, further=(further or {}).get(name))
            checks[name] = RequestCheck(_check(method.input_type, VALIDATOR), refuse)
    return checks


def _check(
    request_type: Descriptor, validator: Validator
) -> Callable[[bytes], tuple[Message, Sequence[FieldViolation]]]:
    """Make what reads a type of request, and finds what is wrong with it; it raises InvalidRequest for no message."""
    message_class = GetMessageClass(request_type)
    parse = refusing_garbage(message_class.FromString)
    lists = _lists_in(request_type)
    times = tuple(
        (field.name, TIMES[field.message_type.full_name])
        for field in request_type.fields
        if field.message_type and field.message_type.full_name in TIMES
    )

    texts = tuple((field.name, TEXTS[field.name]) for field in request_type.fields if field.name in TEXTS)

    def check(raw: bytes) -> tuple[Message, Sequence[FieldViolation]]:
        message: Message = parse(raw)
        if len(raw) > SHORT:
            message.DiscardUnknownFields()  # the call may wait, and they would stay in memory
        overlong = _cut(message, lists) if len(raw) > SHORT else ()
        broken = validator.collect_violations(message)
        unreadable = _unreadable(message, times) if times else []
        if texts:
            unreadable += _bad_texts(message, texts)
        if not (overlong or broken or unreadable):
            return message, ()
        if not overlong and (overlong := _cut(message, lists)):  # of a short request
            broken = validator.collect_violations(message)
        # There may be thousands, of which the answer names no more than that.
        some = _first_of_each(broken, _top_field)[: MOST_VIOLATIONS + 1]
        return message, _merged(overlong, [describe_violation(request_type, each) for each in some], unreadable)

    validator.collect_violations(message_class())
    return check


async def _refuse(request: Any, violations: Sequence[FieldViolation], *, further: Further | None) -> None:
    """Refuse a malformed request; the error names what the method itself would refuse, too.

    Raises:
        InvalidRequest.
    """
    more: Sequence[FieldViolation] = ()
    if further is not None:
        try:
            more = await further(request)
        except CinemaError:
            more = ()  # such as StorageUnavailable: the request is malformed in any case
    if "page_token" in request.DESCRIPTOR.fields_by_name and request.page_token:
        caller = current_call.get().caller
        query = query_of(request, caller.user_id if caller else "")
        more = [*more, *violations_of(lambda: decode(query, request.page_token))]
    raise InvalidRequest(*_first_of_each(_merged(violations, more), lambda each: _top(each.field)))


def _merged(*findings: Sequence[FieldViolation]) -> list[FieldViolation]:
    """Put findings together, without those whose field, or a message or an entry of it, an earlier one names."""
    merged: list[FieldViolation] = []
    named: set[str] = set()
    for some in findings:
        kept = [each for each in some if not _is_named(each.field, named)]
        named |= {each.field for each in kept}
        named |= {each.field.rpartition("[")[0] for each in kept if each.field.endswith("]")}
        merged += kept
    return merged


def _is_named(field: str, named: set[str]) -> bool:
    ends = [place for place, character in enumerate(field) if character in ".["]
    return any(field[:end] in named for end in [*ends, len(field)])


def _first_of_each(found: Sequence[T], top: Callable[[T], str]) -> list[T]:
    """Sort so that each field of the request comes once before any comes a second time: an answer has little room."""
    seen: Counter[str] = Counter()
    turns = []
    for each in found:
        seen[top(each)] += 1
        turns.append(seen[top(each)])
    return [each for _, each in sorted(zip(turns, found, strict=True), key=lambda pair: pair[0])]


def _top_field(violation: Violation) -> str:
    field = violation.proto.field
    return str(field.elements[0].field_name) if field is not None and field.elements else ""


def _top(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


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


def _cut(message: Any, lists: tuple[_List, ...], path: str = "") -> list[FieldViolation]:
    """Empty lists that are too long, before a rule for their entries is checked a million times, and return which."""
    overlong = []
    for each in lists:
        entries = getattr(message, each.name)
        if len(entries) > each.most:
            problem = f"{describe_count(each.field)}, not {len(entries):,}"
            overlong.append(FieldViolation(f"{path}{each.name}", problem))
            del entries[:]
        elif each.lists:
            for number, entry in enumerate(entries):
                overlong += _cut(entry, each.lists, f"{path}{each.name}[{number}].")
    return overlong


def _bad_texts(message: Any, texts: Iterable[tuple[str, TextRule]]) -> list[FieldViolation]:
    """Find texts that break the rules of the domain, which the protos can't express."""
    problems = ((name, rule.problem(getattr(message, name))) for name, rule in texts)
    return [FieldViolation(name, problem) for name, problem in problems if problem is not None]


def _unreadable(message: Any, times: Iterable[tuple[str, Callable[[Any, str], object]]]) -> list[FieldViolation]:
    """Find moments and spans that say nothing we could keep."""
    found = []
    for name, parse in times:
        if message.HasField(name):
            found += violations_of(partial(parse, getattr(message, name), name))
    return found
