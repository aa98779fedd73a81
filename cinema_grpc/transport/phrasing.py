"""What is wrong with a field, in words: the path of a broken rule of the protos, and what would be right."""

from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from protovalidate import Violation

from cinema_grpc.domain.errors import FieldViolation


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """Give the rules that the protos set for a field."""
    rules: validate_pb2.FieldRules = field.GetOptions().Extensions[validate_pb2.field]
    return rules


def describe_violation(request_type: Descriptor, violation: Violation) -> FieldViolation:
    """Tell which field of a request breaks a rule, and what would be right.

    The library's words are replaced where they read badly, such as "must be at least 1 characters".
    """
    proto = violation.proto
    path = ""
    message_type: Any = request_type
    field: Any = None
    rules = validate_pb2.FieldRules()
    for element in proto.field.elements if proto.field is not None else ():
        field = message_type.fields_by_name[element.field_name]
        message_type = field.message_type
        rules = rules_of(field)
        path += f".{element.field_name}" if path else str(element.field_name)
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
            rules = rules.repeated.items
    return FieldViolation(path, _phrase(str(proto.rule_id), field, rules) or str(proto.message))


def describe_count(field: FieldDescriptor) -> str:
    """Say how many entries a list may have."""
    rules = rules_of(field).repeated
    return f"must have {_range(rules.min_items, rules.max_items)} entries"


def _phrase(rule_id: str, field: FieldDescriptor, rules: validate_pb2.FieldRules) -> str | None:
    phrase = None
    match rule_id.split("."):
        case ["required"]:
            phrase = "must be set"
        case ["string", "min_len" | "max_len"]:
            phrase = f"must be {_range(rules.string.min_len, rules.string.max_len)} characters"
        case ["string", "uuid"]:
            phrase = 'must be empty or a UUID, such as "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d"'
        case ["repeated", "min_items" | "max_items"]:
            phrase = describe_count(field)
        case ["repeated", "unique"]:
            phrase = "must not have an entry twice"
        case ["enum", "defined_only"] if field.enum_type is not None:
            names = [value.name for value in field.enum_type.values if value.number]
            phrase = f"must be {', '.join(names[:-1])} or {names[-1]}, or unset"
        case ["int32", "gte"] if rules.int32.gte == 0:
            phrase = "must not be negative"
        case ["int32", "gte_lte"]:
            phrase = f"must be {rules.int32.gte:,} to {rules.int32.lte:,}"
        case ["int64", "gte_lte"]:
            phrase = f"must be {rules.int64.gte:,} to {rules.int64.lte:,}"
        case ["duration", "gte_lte"]:
            phrase = f"must be {_span(rules.duration.gte.seconds)} to {_span(rules.duration.lte.seconds)}"
    return phrase


def _range(low: int, high: int) -> str:
    if not high:
        return f"at least {low:,}"
    return f"{low:,} to {high:,}" if low else f"at most {high:,}"


def _span(seconds: int) -> str:
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} seconds"
