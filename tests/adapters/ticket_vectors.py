"""Test vectors for codes of tickets: valid ones and forgeries. `python -m tests.adapters.ticket_vectors` writes both.

The keys are made of well-known seeds, so that some forgeries can be signed: those that this service would never issue.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha512
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cinema_grpc.adapters.signing_keys import SigningKey
from cinema_grpc.adapters.ticket_codes import CONTEXT, SignedCodes, decode_base45, encode_base45, key_id
from cinema_grpc.application.tickets import TicketContent
from tests.adapters.forgeries import signing_key

FILE = Path(__file__).parents[2] / "examples/tickets/vectors.json"
CURRENT, EARLIER, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes(range(n, n + 32))) for n in (0, 32, 64))
ORDER = 2**252 + 27742317777372353535851937790883648493
"""The order of the group of Ed25519."""
TICKET, OTHER_TICKET = "019aa001-0000-7000-8000-000000000001", "019aa001-0000-7000-8000-000000000002"
SHOWTIME, OTHER_SHOWTIME = "019aa000-0000-7000-8000-00000000000a", "019aa000-0000-7000-8000-00000000000b"
START = datetime(2026, 5, 1, 19, 0, tzinfo=UTC)
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC)

ADMISSIONS = (
    TicketContent(TICKET, SHOWTIME, "A1", START, "adult"),
    TicketContent(OTHER_TICKET, SHOWTIME, "A2", START, "student"),
    TicketContent(TICKET, OTHER_SHOWTIME, "Z999", FIRST, "a"),
    TicketContent(TICKET, SHOWTIME, "AA12", LAST, "a-1"),
    TicketContent(TICKET, SHOWTIME, "AZ200", START, "over-65"),
    TicketContent(TICKET, SHOWTIME, "ZZ999", START + timedelta(microseconds=999_999), "family-of-4-or-5-9"),
    TicketContent(TICKET, SHOWTIME, "BC7", START, "friend-of-the-cinema-since-1999z"),
)


def vectors() -> dict[str, Any]:
    """Return the keys as ListTicketKeys does, valid codes with what they say, and forgeries by name."""
    keys = [signing_key(CURRENT), signing_key(EARLIER)]
    valid = [_valid(SignedCodes(keys), each) for each in ADMISSIONS]
    valid.append(_valid(SignedCodes(keys[::-1]), ADMISSIONS[0]))
    return {
        "keys": [key.jwk for key in keys],
        "valid": valid,
        "forgeries": [{"name": name, "code": code} for name, code in _forgeries(keys)],
    }


def _valid(codes: SignedCodes, said: TicketContent) -> dict[str, Any]:
    is_cut = len(said.ticket_type) > 18
    return {
        "code": codes.issue(said),
        "ticket_id": said.ticket_id,
        "showtime_id": said.showtime_id,
        "seat": said.seat,
        "start_seconds": int(said.start_time.timestamp()),
        "ticket_type": said.ticket_type[:17] if is_cut else said.ticket_type,
        "ticket_type_is_cut_off": is_cut,
    }


def _signed(content: bytes, private: Ed25519PrivateKey = CURRENT, context: bytes = CONTEXT) -> str:
    return encode_base45(content + private.sign(context + content))


def _forgeries(keys: list[SigningKey]) -> Iterator[tuple[str, str]]:
    code, other = (SignedCodes(keys).issue(each) for each in ADMISSIONS[:2])
    data, theirs = decode_base45(code), decode_base45(other)
    yield from _texts(code)
    yield from _altered(data, theirs)
    yield from _signed_by_others(data[:-64], keys)
    yield from _never_issued(data[:-64])


def _texts(code: str) -> Iterator[tuple[str, str]]:
    """Texts that are not the code, though they look like it."""
    yield "empty", ""
    yield "a code from before there were keys", "kX2nq0bT1mVw5sYz8aLrQg"
    yield "lower case", code.lower()
    yield "a space before", " " + code
    yield "a space after", code + " "
    yield "three spaces after", code + "   "
    yield "a line break after", code + "\n"
    yield "the last character is missing", code[:-1]
    yield "the last three characters are missing", code[:-3]
    yield "the first three characters are missing", code[3:]
    yield "twice", code + code
    yield "a character that is not in the alphabet", "_" + code[1:]
    yield "a digit of full width", "\uff10" + code[1:]
    yield "a NUL inside", code[:30] + "\x00" + code[31:]
    yield "three characters beyond 65535", ":::" + code[3:]
    yield "base64", b64encode(decode_base45(code)).decode()
    yield "the signature alone", encode_base45(decode_base45(code)[-64:])


def _altered(data: bytes, theirs: bytes) -> Iterator[tuple[str, str]]:
    """Codes with a bit changed, and with parts of another one."""
    places = {
        "the version": 0,
        "the row": 2,
        "the seat": 3,
        "the key id": 4,
        "the ticket": 21,
        "the showtime": 37,
        "the start": 41,
        "the ticket type": 43,
        "the first half of the signature": 60,
        "the second half of the signature": 80,
    }
    for name, place in places.items():
        yield f"a bit of {name}", encode_base45(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    yield "the signature of another ticket", encode_base45(data[:-64] + theirs[-64:])
    yield "a signature of zeros", encode_base45(data[:-64] + bytes(64))
    scalar = int.from_bytes(data[-32:], "little") + ORDER
    yield "the signature with the order of the group added", encode_base45(data[:-32] + scalar.to_bytes(32, "little"))
    yield "the signature with its halves exchanged", encode_base45(data[:-64] + data[-32:] + data[-64:-32])


def _signed_by_others(content: bytes, keys: list[SigningKey]) -> Iterator[tuple[str, str]]:
    """Codes with a signature that is not one of this content by its key."""
    unknown = key_id(signing_key(STRANGER).kid)
    yield "a stranger's key, under the id of ours", _signed(content, STRANGER)
    yield "a stranger's key, under its own id", _signed(content[:4] + unknown + content[6:], STRANGER)
    yield "our earlier key, under the id of the current one", _signed(content, EARLIER)
    yield "our key, under the id of the earlier one", _signed(content[:4] + key_id(keys[1].kid) + content[6:])
    yield "signed without the prefix", _signed(content, context=b"")
    yield "signed with another prefix", _signed(content, context=b"cinema.v1 token\0")
    yield "signed as a digest", encode_base45(content + CURRENT.sign(CONTEXT + sha512(content).digest()))
    yield "signed as text", encode_base45(content + CURRENT.sign(CONTEXT + encode_base45(content).encode()))


def _never_issued(content: bytes) -> Iterator[tuple[str, str]]:
    """Codes with a valid signature whose content is malformed."""
    yield "version 1", _signed(b"\x01" + content[1:])
    yield "version 3", _signed(b"\x03" + content[1:])
    for name, seat in (("row 0", 1), ("number 0", 1_000), ("row 703", 703_001)):
        yield f"a seat of {name}", _signed(content[:1] + seat.to_bytes(3) + content[4:])
    for name, packed in (
        ("no ticket type", b""),
        ("a ticket type of half a pair", b"\x00"),
        ("a ticket type of zeros", b"\x00\x00"),
        ("a ticket type with a pair of padding", (1_600).to_bytes(2) + b"\x00\x00"),
        ("a ticket type with padding inside", (1_600 + 1).to_bytes(2)),
        ("a ticket type that begins with a digit", (27 * 1_600).to_bytes(2)),
        ("a ticket type with a character beyond the alphabet", (1_600 + 39 * 40).to_bytes(2)),
        ("a ticket type with a pair beyond 63999", b"\xff\xff"),
        ("a ticket type of seven pairs", (1_600 + 40 + 1).to_bytes(2) * 7),
    ):
        signed = content[:42] + packed
        yield name, _signed(signed) if len(packed) % 2 == 0 else encode_base45(signed + CURRENT.sign(signed)[:-1])


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(vectors(), indent=2) + "\n")
