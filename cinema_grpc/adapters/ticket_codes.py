"""The codes of tickets: signed with Ed25519, and written in base45 for a QR code of version 7. See docs/tickets.md."""

import re
import secrets
import string
import struct
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cinema_grpc.adapters.signing_keys import SigningKey
from cinema_grpc.application.account_ports import JsonWebKey
from cinema_grpc.application.tickets import TicketContent

CONTEXT = b"cinema.v1 ticket\0"
"""What is signed begins with it, so that no signature of a ticket is one of anything else."""
VERSION = 2
"""The first byte. With a seat after it, no code begins with a space."""
KEY_ID_BYTES, SEAT_BYTES, START_BYTES, SIGNATURE_BYTES = 2, 3, 4, 64
HEAD_BYTES = 1 + SEAT_BYTES + KEY_ID_BYTES + 16 + 16
HEAD_CHARACTERS = HEAD_BYTES * 3 // 2
"""Of the head, which ends with the showtime. Its bytes are an even number, so no character reaches beyond it."""
FIXED_BYTES = HEAD_BYTES + START_BYTES
MAX_TYPE_PAIRS = 6
"""Three characters of a ticket type in two bytes; as many pairs as a QR code of version 7-M has room for."""

BASE45 = string.digits + string.ascii_uppercase + " $%*+-./:"
_DIGITS = {digit: value for value, digit in enumerate(BASE45)}
TYPE_CHARACTERS = "\0" + string.ascii_lowercase + string.digits + "-" + "~"
"""A ticket type is padded with the first, and ends with the last if it was cut off."""
_SEAT = re.compile(r"([A-Z]{1,2})([1-9][0-9]{0,2})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_START = 2**32 - 1


class MalformedCode(Exception):
    """A text is not the code of a ticket."""


class SignedCodes:
    """Issues and verifies codes. Fulfils TicketCodes."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """Set the keys, the signing one first. Without any, codes are random.

        Raises:
            ValueError: A key is not an Ed25519 key, or the first has no private part.
        """
        self.use_keys(keys)

    def use_keys(self, keys: Sequence[SigningKey]) -> None:
        """Replace the keys, the signing one first.

        Raises:
            ValueError: As for the constructor.
        """
        if any(not isinstance(key.public, Ed25519PublicKey) for key in keys):
            raise ValueError("codes of tickets are signed with Ed25519 keys")
        self._private = keys[0].private if keys else None
        if keys and not isinstance(self._private, Ed25519PrivateKey):
            raise ValueError("the first key has no private part")
        self._keys = tuple(keys)

    def public_keys(self) -> list[JsonWebKey]:
        """Return the public keys, the signing one first."""
        return [key.jwk for key in self._keys]

    def issue(self, ticket: TicketContent) -> str:
        """Return the code of a ticket."""
        if not isinstance(self._private, Ed25519PrivateKey):
            return random_code()
        content = write_content(ticket, key_id(self._keys[0].kid))
        return encode_base45(content + self._private.sign(CONTEXT + content))

    def seat_of(self, code: str) -> tuple[str, str] | None:
        """Return the showtime_id and the seat that a code names, unchecked; None if it is malformed."""
        try:
            head = decode_base45(code[:HEAD_CHARACTERS])
            if len(head) < HEAD_BYTES or head[0] != VERSION:
                return None
            return str(UUID(bytes=head[-16:])), _seat_label(int.from_bytes(head[1 : 1 + SEAT_BYTES]))
        except MalformedCode:
            return None

    def is_genuine(self, code: str) -> bool:
        """Return whether a code is well-formed and has a valid signature of one of the keys."""
        try:
            data = decode_base45(code)
            read_content(data[:-SIGNATURE_BYTES])
        except MalformedCode:
            return False
        content, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        signer = content[1 + SEAT_BYTES :][:KEY_ID_BYTES]
        return any(_verifies(key, content, signature) for key in self._keys if key_id(key.kid) == signer)


def random_code() -> str:
    """Return a code of 128 random bits, which only this service can check.

    None begins with "-", which commands such as `cinema redeem` would take for an option.
    """
    while (code := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return code


def key_id(kid: str) -> bytes:
    """Return how codes name a key: by the first bytes of its thumbprint."""
    return urlsafe_b64decode(kid + "=" * (-len(kid) % 4))[:KEY_ID_BYTES]


def write_content(ticket: TicketContent, signer: bytes) -> bytes:
    """Return what a code says, without the signature."""
    seconds = (ticket.start_time - _EPOCH) // timedelta(seconds=1)
    return b"".join(
        (
            bytes([VERSION]),
            _seat_number(ticket.seat).to_bytes(SEAT_BYTES),
            signer,
            UUID(ticket.ticket_id).bytes,
            UUID(ticket.showtime_id).bytes,
            min(max(seconds, 0), _LAST_START).to_bytes(START_BYTES),
            _pack_type(ticket.ticket_type),
        )
    )


def read_content(content: bytes) -> TicketContent:
    """Return what a code says; its start in whole seconds, and a long ticket type cut off.

    Raises:
        MalformedCode: `write_content` never returns it.
    """
    packed = content[FIXED_BYTES:]
    if len(content) <= FIXED_BYTES or len(packed) % 2 or len(packed) > 2 * MAX_TYPE_PAIRS or content[0] != VERSION:
        raise MalformedCode
    rest = content[1 + SEAT_BYTES + KEY_ID_BYTES :]
    return TicketContent(
        str(UUID(bytes=rest[:16])),
        str(UUID(bytes=rest[16:32])),
        _seat_label(int.from_bytes(content[1 : 1 + SEAT_BYTES])),
        _EPOCH + timedelta(seconds=int.from_bytes(rest[32 : 32 + START_BYTES])),
        _unpack_type(packed),
    )


def _verifies(key: SigningKey, content: bytes, signature: bytes) -> bool:
    if not isinstance(key.public, Ed25519PublicKey):
        return False
    try:
        key.public.verify(signature, CONTEXT + content)
    except InvalidSignature:
        return False
    return True


def _seat_number(label: str) -> int:
    """Return a seat as a number: 1,000 for each row (A is 1, Z 26, AA 27, ZZ 702), and the number in the row."""
    match = _SEAT.fullmatch(label)
    if match is None:
        raise ValueError(f"{label!r} is no seat")
    row = 0
    for letter in match[1]:
        row = row * 26 + ord(letter) - ord("A") + 1
    return row * 1_000 + int(match[2])


def _seat_label(seat: int) -> str:
    row, number = divmod(seat, 1_000)
    if not 1 <= row <= 702 or number == 0:
        raise MalformedCode
    tens, ones = divmod(row - 1, 26)
    letters = string.ascii_uppercase
    return f"{letters[tens - 1] if tens else ''}{letters[ones]}{number}"


def _pack_type(name: str) -> bytes:
    longest = 3 * MAX_TYPE_PAIRS
    shown = name if len(name) <= longest else name[: longest - 1] + "~"
    shown += "\0" * (-len(shown) % 3)
    packed = bytearray()
    for position in range(0, len(shown), 3):
        first, second, third = (TYPE_CHARACTERS.index(each) for each in shown[position : position + 3])
        packed += (first * 1_600 + second * 40 + third).to_bytes(2)
    return bytes(packed)


def _unpack_type(packed: bytes) -> str:
    text = ""
    for position in range(0, len(packed), 2):
        value = int.from_bytes(packed[position : position + 2])
        digits = value // 1_600, value // 40 % 40, value % 40
        if any(each >= len(TYPE_CHARACTERS) for each in digits):
            raise MalformedCode
        text += "".join(TYPE_CHARACTERS[each] for each in digits)
    name = text.rstrip("\0")
    if not re.fullmatch(r"[a-z][a-z0-9-]*~?", name) or len(text) - len(name) > 2:
        raise MalformedCode
    return name


def encode_base45(data: bytes) -> str:
    """Return an even number of bytes in base45 (RFC 9285)."""
    text = []
    for position in range(0, len(data), 2):
        rest, first = divmod(int.from_bytes(data[position : position + 2]), 45)
        third, second = divmod(rest, 45)
        text += [BASE45[first], BASE45[second], BASE45[third]]
    return "".join(text)


def decode_base45(text: str) -> bytes:
    """Return the bytes of a text in base45, of which there is an even number.

    Raises:
        MalformedCode.
    """
    digits = [_DIGITS.get(each, -1) for each in text]
    if len(digits) % 3 or -1 in digits:
        raise MalformedCode
    thirds = digits[::3], digits[1::3], digits[2::3]
    values = [low + middle * 45 + high * 2_025 for low, middle, high in zip(*thirds, strict=True)]
    if max(values, default=0) > 0xFFFF:
        raise MalformedCode
    return struct.pack(f">{len(values)}H", *values)
