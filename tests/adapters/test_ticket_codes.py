"""Codes of tickets: the vectors of docs/tickets.md, and what holds for all codes."""

import json
from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from cinema_grpc.adapters.ticket_codes import (
    MalformedCode,
    SignedCodes,
    decode_base45,
    encode_base45,
    key_id,
    random_code,
    read_content,
    write_content,
)
from cinema_grpc.application.tickets import TicketContent
from tests.adapters.forgeries import P256, signing_key
from tests.adapters.ticket_vectors import CURRENT, EARLIER, FILE, SHOWTIME, START, TICKET, vectors

VECTORS = vectors()
CODES = SignedCodes([signing_key(CURRENT), signing_key(EARLIER)])
VALID, FORGERIES = VECTORS["valid"], VECTORS["forgeries"]
TYPES = st.from_regex(r"\A[a-z][a-z0-9-]{0,31}\Z")
SEATS = st.from_regex(r"\A[A-Z]{1,2}[1-9][0-9]{0,2}\Z")
SIGNER = b"\x12\x34"


def test_the_vectors_are_up_to_date() -> None:
    assert json.loads(FILE.read_text()) == VECTORS


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: f"{vector['seat']} {vector['ticket_type']}")
def test_valid_codes(vector: dict[str, object]) -> None:
    code = str(vector["code"])
    assert CODES.is_genuine(code)
    said = read_content(decode_base45(code)[:-64])
    assert (said.ticket_id, said.showtime_id, said.seat) == (
        vector["ticket_id"],
        vector["showtime_id"],
        vector["seat"],
    )
    assert said.start_time.timestamp() == vector["start_seconds"]
    assert said.ticket_type.rstrip("~") == vector["ticket_type"]
    assert said.ticket_type.endswith("~") == vector["ticket_type_is_cut_off"]


def test_there_are_forgeries_of_forty_kinds() -> None:
    assert len({each["name"] for each in FORGERIES}) == len({each["code"] for each in FORGERIES}) >= 40


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery["name"])
def test_forgeries(forgery: dict[str, str]) -> None:
    assert not CODES.is_genuine(forgery["code"])


@given(seat=SEATS, ticket_type=TYPES, start=st.datetimes(datetime(1970, 1, 1), datetime(2106, 1, 1)))  # noqa: DTZ001
def test_content_says_what_was_written(seat: str, ticket_type: str, start: datetime) -> None:
    start = start.replace(tzinfo=UTC)
    content = write_content(TicketContent(TICKET, SHOWTIME, seat, start, ticket_type), SIGNER)
    said = read_content(content)
    cut = ticket_type if len(ticket_type) <= 18 else ticket_type[:17] + "~"
    assert said == TicketContent(TICKET, SHOWTIME, seat, start.replace(microsecond=0), cut)
    assert write_content(said._replace(ticket_type=ticket_type), SIGNER) == content


@given(seat=SEATS, ticket_type=TYPES)
def test_the_seat_is_read_from_the_head_of_a_code(seat: str, ticket_type: str) -> None:
    assert SignedCodes([]).seat_of(issued(seat, ticket_type)) == (SHOWTIME, seat)


@pytest.mark.parametrize("code", ["", "A", "0" * 60, "x" * 200, encode_base45(b"\2" + bytes(40))])
def test_a_malformed_code_names_no_seat(code: str) -> None:
    assert SignedCodes([]).seat_of(code) is None


def issued(seat: str, ticket_type: str) -> str:
    content = write_content(TicketContent(TICKET, SHOWTIME, seat, START, ticket_type), SIGNER)
    return encode_base45(content + CURRENT.sign(content))


@given(
    seat=SEATS,
    ticket_type=TYPES,
    identifiers=st.tuples(st.uuids(), st.uuids()),
    signer=st.binary(min_size=2, max_size=2),
)
@settings(max_examples=20)
def test_every_code_fits_a_qr_code_of_version_7(
    seat: str, ticket_type: str, identifiers: tuple[UUID, UUID], signer: bytes
) -> None:
    """And none begins or ends with a space, which a scanner might cut off, whatever the key and the signature."""
    ticket = TicketContent(str(identifiers[0]), str(identifiers[1]), seat, START, ticket_type)
    content = write_content(ticket, signer)
    code = encode_base45(content + CURRENT.sign(content))
    assert code == code.strip()
    picture = segno.make_qr(code, error="m", boost_error=False)
    assert (picture.mode, int(picture.version) <= 7) == ("alphanumeric", True)


def test_no_random_code_looks_like_an_option() -> None:
    """Where there are no keys: `cinema redeem SHOWTIME -X...` would be taken for one."""
    assert not any(random_code().startswith("-") for _ in range(2_000))


def test_no_first_or_last_character_is_a_space() -> None:
    """The first two bytes are the version and the row, at most 10; the last character stands for 2,025 and more."""
    assert all(encode_base45(bytes(pair))[0] != " " for pair in product([2], range(11)))
    assert all(encode_base45(value.to_bytes(2))[2] != " " for value in range(0x10000))


@given(st.binary().filter(lambda data: len(data) % 2 == 0))
def test_base45_is_undone(data: bytes) -> None:
    assert decode_base45(encode_base45(data)) == data


@pytest.mark.parametrize("text", ["GGW", ":::", "a00", "0", "00", "\uff10\uff10\uff10", "\x00\x00\x00"])
def test_three_characters_have_one_value(text: str) -> None:
    """GGW is 65,536: the first that two bytes do not have (RFC 9285, 4.1)."""
    with pytest.raises(MalformedCode):
        decode_base45(text)


def test_base45_of_rfc_9285() -> None:
    assert encode_base45(b"Hello!!"[:6]) == "%69 VD92E"
    assert encode_base45(b"ietf!!"[:4]) == "QED8WE"


def test_keys_must_be_ed25519() -> None:
    with pytest.raises(ValueError, match="Ed25519"):
        SignedCodes([signing_key(P256)])
    assert key_id(signing_key(CURRENT).kid) != key_id(signing_key(EARLIER).kid)
