"""Request validation: rejects bytes that are no message, and requests that break the rules of the protos."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

from cinema.buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from protovalidate import Validator, Violation

from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest, violations_of
from cinema_grpc.domain.text import GATE, NAME, RATING, REASON, SYNOPSIS, TextRule
from cinema_grpc.transport.call import current_call
from cinema_grpc.transport.errors import MAX_VIOLATIONS
from cinema_grpc.transport.page_tokens import decode, query_of
from cinema_grpc.transport.parsing import parse_duration, parse_moment

Deserializer = Callable[[bytes], Any]
Violations = Sequence[FieldViolation]
DomainCheck = Callable[[Any], Violations | Awaitable[Violations]]
"""Finds violations of rules that the protos can't express; accepts any request of its type, however malformed."""

TIMES: Mapping[str, Callable[[Any, str], object]] = {
    "google.protobuf.Timestamp": parse_moment,
    "google.protobuf.Duration": parse_duration,
}
TEXTS: Mapping[str, TextRule] = {
    "full_name": NAME,
    "name": NAME,
    "title": NAME,
    "rating": RATING,
    "synopsis": SYNOPSIS,
    "note": NAME,
    "reason": REASON,
    "gate": GATE,
}
"""The rules for text fields that people read, by field name, in every request.

A request with an update_mask may leave any of them empty; those that it names are checked by `parse_changes`.
"""

ALTERNATIVES: Mapping[str, Sequence[str]] = {
    "cinema.v1.CreateShowtimeRequest": ("price", "prices"),
    "cinema.v1.CreateBookingRequest": ("seats", "choices", "best"),
    "cinema.v1.SellSeatsRequest": ("seats", "choices"),
    "cinema.v1.RedeemTicketRequest": ("code", "ticket_id"),
}
"""By full name of a request, fields of which exactly one must be set."""

SHORT = 1_000
"""Requests may keep this many bytes of unknown fields in memory while they wait."""

EMPTY = "must be at least 1 characters"
"""What protovalidate says of an empty text with `min_len: 1`."""

VALIDATOR = Validator()
"""Caches compiled rules, for all servers of the process."""


class RequestCheck(NamedTuple):
    """How the requests of a method are validated.

    Attributes:
        read: Parses a request, and returns it with its violations; raises InvalidRequest for bytes that are no message.
        refuse: Raises InvalidRequest for a request with violations.
    """

    read: Callable[[bytes], tuple[Any, Sequence[FieldViolation]]]
    refuse: Callable[[Any, Sequence[FieldViolation]], Awaitable[None]]


def request_checks(
    services: Iterable[ServiceDescriptor], domain_checks: Mapping[str, DomainCheck] | None = None
) -> dict[str, RequestCheck]:
    """Return the checks of all methods, by full method name. Compiles the rules: some milliseconds a request type.

    Args:
        services: The services whose requests are validated.
        domain_checks: By full method name, additional checks. They run only for requests that are refused anyway, so
            that the error names every bad field; for well-formed requests the method itself makes them.

    Raises:
        ValueError: A repeated field in the protos has no max_items.
    """
    checks = {}
    for service in services:
        for method in service.methods:
            name = f"/{service.full_name}/{method.name}"
            refuse = partial(_refuse, domain_check=(domain_checks or {}).get(name))
            checks[name] = RequestCheck(_reader(method.input_type), refuse)
    return checks


def rejecting_malformed(deserialize: Deserializer) -> Deserializer:
    """Make a deserializer raise InvalidRequest for bytes that it can't parse; gRPC would report an internal error."""

    def parse(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError:
            raise InvalidRequest(FieldViolation("", "the bytes are not a message of the expected type")) from None

    return parse


@cache
def _reader(request_type: Descriptor) -> Callable[[bytes], tuple[Message, Sequence[FieldViolation]]]:
    message_class = GetMessageClass(request_type)
    parse = rejecting_malformed(message_class.FromString)
    lists = _lists_in(request_type)
    times = [
        (field.name, TIMES[field.message_type.full_name])
        for field in request_type.fields
        if field.message_type and field.message_type.full_name in TIMES
    ]
    texts = [(field.name, TEXTS[field.name]) for field in request_type.fields if field.name in TEXTS]
    is_update = "update_mask" in request_type.fields_by_name
    alternatives = ALTERNATIVES.get(request_type.full_name, ())

    def read(raw: bytes) -> tuple[Message, Sequence[FieldViolation]]:
        message: Message = parse(raw)
        if len(raw) > SHORT:
            # What the message does not show, such as unknown fields, would stay in memory with it while the call waits.
            message.DiscardUnknownFields()
            if len(raw) - message.ByteSize() > SHORT:
                message = parse(message.SerializeToString())
        ambiguous = _bad_alternatives(message, alternatives) if alternatives else ()
        overlong = _clear_overlong(message, lists) if lists else ()
        broken = VALIDATOR.collect_violations(message)
        sent = [(name, rule) for name, rule in texts if getattr(message, name)] if is_update else texts
        others = [*_bad_times(message, times), *_bad_texts(message, sent)] if times or texts else ()
        if not (ambiguous or overlong or broken or others):
            return message, ()
        return message, _merged(ambiguous, overlong, _described(broken), others)

    VALIDATOR.collect_violations(message_class())
    return read


async def _refuse(request: Any, violations: Sequence[FieldViolation], *, domain_check: DomainCheck | None) -> None:
    more: Sequence[FieldViolation] = ()
    if domain_check is not None:
        try:
            found = domain_check(request)
            more = await found if isinstance(found, Awaitable) else found
        except CinemaError:
            more = ()  # such as StorageUnavailable: the request is malformed in any case
    has_token = "page_token" in request.DESCRIPTOR.fields_by_name and request.page_token
    if has_token and not any(each.field == "page_token" for each in violations):
        principal = current_call.get().principal
        query = query_of(request, principal.user_id if principal else "")
        more = [*more, *violations_of(lambda: decode(query, request.page_token))]
    raise InvalidRequest(*_fields_in_turn(_merged(violations, more)))


def _described(broken: Sequence[Violation]) -> list[FieldViolation]:
    """Describe violations, of which there may be thousands, but no more than the error has room for, and one."""
    seen: Counter[str] = Counter()
    described = []
    for each in broken:
        top = each.proto.field.elements[0].field_name if each.proto.field and each.proto.field.elements else ""
        seen[top] += 1
        if seen[top] <= MAX_VIOLATIONS + 1:
            described.append(FieldViolation(_path(each), _description(each)))
    return _fields_in_turn(described)[: MAX_VIOLATIONS + 1]


def _description(violation: Violation) -> str:
    text = str(violation.proto.message)
    return "must not be empty" if text == EMPTY else text


def _path(violation: Violation) -> str:
    path = ""
    field = violation.proto.field
    for element in field.elements if field is not None else ():
        path += f".{element.field_name}" if path else str(element.field_name)
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    return path


def _merged(*findings: Sequence[FieldViolation]) -> list[FieldViolation]:
    """Concatenate findings, without violations of fields that an earlier finding names, or that are part of such."""
    merged: list[FieldViolation] = []
    named: set[str] = set()
    for violations in findings:
        kept = [each for each in violations if not _is_named(each.field, named)]
        named |= {each.field for each in kept}
        named |= {each.field.rpartition("[")[0] for each in kept if each.field.endswith("]")}
        merged += kept
    return merged


def _is_named(field: str, named: set[str]) -> bool:
    ends = [index for index, character in enumerate(field) if character in ".["]
    return any(field[:end] in named for end in [*ends, len(field)])


def _fields_in_turn(violations: Sequence[FieldViolation]) -> list[FieldViolation]:
    """Sort so that each field of the request comes once before any comes a second time: an error has little room."""
    seen: Counter[str] = Counter()
    turns = []
    for each in violations:
        top = each.field.partition(".")[0].partition("[")[0]
        seen[top] += 1
        turns.append(seen[top])
    return [each for _, each in sorted(zip(turns, violations, strict=True), key=lambda pair: pair[0])]


@dataclass(frozen=True, slots=True)
class _List:
    """A repeated field, its max_items, and the repeated fields of its items; or a message, without max_items."""

    name: str
    max_items: int | None
    lists: tuple["_List", ...]


def _lists_in(message_type: Descriptor) -> tuple[_List, ...]:
    found = []
    for field in message_type.fields:
        parts = field.message_type
        inner = _lists_in(parts) if parts is not None and parts.file.package == message_type.file.package else ()
        if field.is_repeated:
            max_items = field.GetOptions().Extensions[validate_pb2.field].repeated.max_items
            if not max_items:
                raise ValueError(f"{field.full_name} needs a max_items")
            found.append(_List(field.name, max_items, inner))
        elif inner:
            found.append(_List(field.name, None, inner))
    return tuple(found)


def _clear_overlong(message: Any, lists: tuple[_List, ...], path: str = "") -> list[FieldViolation]:
    """Empty the lists that are too long, so that their items are not validated, and return their violations."""
    overlong = []
    for each in lists:
        if each.max_items is None:
            if message.HasField(each.name):
                overlong += _clear_overlong(getattr(message, each.name), each.lists, f"{path}{each.name}.")
            continue
        items = getattr(message, each.name)
        if len(items) > each.max_items:
            problem = f"must contain no more than {each.max_items} item(s)"
            overlong.append(FieldViolation(f"{path}{each.name}", problem))
            del items[:]
        elif each.lists:
            for index, item in enumerate(items):
                overlong += _clear_overlong(item, each.lists, f"{path}{each.name}[{index}].")
    return overlong


def _bad_alternatives(message: Any, fields: Sequence[str]) -> list[FieldViolation]:
    """Return a violation for each of the fields, unless exactly one is set."""
    if sum(field.name in fields for field, _ in message.ListFields()) == 1:
        return []
    problem = f"exactly one of {', '.join(fields[:-1])} and {fields[-1]} must be set"
    return [FieldViolation(field, problem) for field in fields]


def _bad_texts(message: Any, texts: Iterable[tuple[str, TextRule]]) -> list[FieldViolation]:
    problems = ((name, rule.problem(getattr(message, name))) for name, rule in texts)
    return [FieldViolation(name, problem) for name, problem in problems if problem is not None]


def _bad_times(message: Any, times: Iterable[tuple[str, Callable[[Any, str], object]]]) -> list[FieldViolation]:
    return violations_of(
        *(partial(parse, getattr(message, name), name) for name, parse in times if message.HasField(name))
    )
