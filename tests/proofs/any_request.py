"""Requests of every kind for every method, made from the descriptors: sound, odd, or bytes that are almost one."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

Likely = Mapping[str, Sequence[Any]]
"""For the name of a field, values that are sound there."""
INTEGERS = (0, 1, -1, 2, 10, 199, 201, 10**6, 2**31 - 1, -(2**31))
LONG_INTEGERS = (*INTEGERS, 10**12, 10**12 + 1, 2**63 - 1, -(2**63), 253_402_300_799, 253_402_300_800)
NANOS = (0, 1, 1_000, 999_999_000, 999_999_999, 10**9, -1)
TEXTS = (
    *("", " ", "\0", "\n", "a\0b", "A1", "a1", "A0", "ß", "\u202e", "%s%n", "🎬"),
    *("🎬" * 70, "é" * 201, "x" * 65, "x" * 5_001),
)
LENGTHS = (0, 1, 2, 10, 11, 60, 61, 201, 2_001)
LARGEST = 20_000
ALTERNATIVES: Mapping[str, Sequence[str]] = {
    "CreateShowtimeRequest": ("price", "prices"),
    "CreateBookingRequest": ("seats", "choices", "best"),
    "UpdateHoldRequest": ("seats", "choices"),
    "SellSeatsRequest": ("seats", "choices"),
    "FindBookingsRequest": ("booking_id", "ticket_code", "username", "email", "showtime_id"),
}
"""Fields of which a sound message has one."""


class AnyRequest:
    """Makes requests; the same source of chance makes the same."""

    def __init__(self, chance: random.Random, likely: Likely) -> None:
        self._chance = chance
        self._likely = likely

    def make(self, kind: Descriptor) -> bytes:
        """Make a request: half of them messages of the right type, the other half such messages, damaged."""
        raw = self._message(kind).SerializeToString()[:LARGEST]
        return raw if self._chance.random() < 0.5 else self._damaged(raw)

    def _message(self, kind: Descriptor) -> Message:
        message: Message = GetMessageClass(kind)()
        left_out = set(ALTERNATIVES.get(kind.name, ()))
        if left_out:
            left_out.remove(self._chance.choice(ALTERNATIVES[kind.name]))
        for field in kind.fields:
            odd = self._chance.random() < 0.2
            if field.name in left_out and not odd:
                continue
            if odd and self._chance.random() < 0.3:
                continue
            if field.is_repeated:
                length = (
                    self._chance.choice(LENGTHS) if odd and self._chance.random() < 0.3 else self._chance.randint(1, 3)
                )
                value = self._value(field, odd=odd)
                values = [value] * length if length > 3 else [self._value(field, odd=odd) for _ in range(length)]
                getattr(message, field.name).extend(values)
            elif field.message_type is not None:
                getattr(message, field.name).CopyFrom(self._value(field, odd=odd))
            else:
                setattr(message, field.name, self._value(field, odd=odd))
        return message

    def _value(self, field: FieldDescriptor, *, odd: bool) -> Any:
        kind = field.message_type
        if kind is not None and kind.file.package == "cinema.v1":
            return self._message(kind)
        if not odd:
            return self._chance.choice(self._likely[field.name])
        return self._odd(field)

    def _odd(self, field: FieldDescriptor) -> Any:
        """Make a value that is hardly ever sound."""
        if field.message_type is not None:
            makers: Mapping[str, Callable[[], Message]] = {
                "FieldMask": lambda: FieldMask(paths=self._chance.choices(TEXTS, k=self._chance.randint(0, 3))),
                "Timestamp": lambda: Timestamp(
                    seconds=self._chance.choice(LONG_INTEGERS), nanos=self._chance.choice(NANOS)
                ),
                "Duration": lambda: Duration(
                    seconds=self._chance.choice(LONG_INTEGERS), nanos=self._chance.choice(NANOS)
                ),
            }
            return makers[field.message_type.name]()
        if field.type == FieldDescriptor.TYPE_STRING:
            if self._chance.random() < 0.5:
                return self._chance.choice(TEXTS)
            return "".join(chr(self._chance.choice((self._chance.randrange(128), self._chance.randrange(0xD800))))
                           for _ in range(self._chance.randrange(300)))  # fmt: skip
        return self._chance.choice(LONG_INTEGERS if field.type == FieldDescriptor.TYPE_INT64 else INTEGERS)

    def _damaged(self, raw: bytes) -> bytes:
        """Cut bytes off, put others in, change some, repeat some, or wrap them in a field of their own."""
        chance = self._chance
        for _ in range(chance.randint(1, 3)):
            start, stop = sorted((chance.randint(0, len(raw)), chance.randint(0, len(raw))))
            way = chance.randrange(6)
            if way == 0:
                raw = raw[:start]
            elif way == 1:
                raw = raw[:start] + chance.randbytes(chance.randint(1, 12)) + raw[start:]
            elif way == 2:
                raw = raw[:start] + raw[stop:]
            elif way == 3:
                raw = (raw[:stop] + raw[start:])[:LARGEST]
            elif way == 4 and raw:
                changed = bytearray(raw)
                changed[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
                raw = bytes(changed)
            else:
                tag = chance.randint(1, 20) << 3 | chance.randrange(8)
                raw = raw[:start] + bytes([tag & 0x7F, chance.randrange(128)]) + raw[start:]
        return raw
