"""Keys and pictures of tickets, over a real channel."""

from base64 import urlsafe_b64decode
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import segno
from cinema.v1 import ticket_service_pb2 as pb
from cinema.v1.user_pb2 import SigningKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from structlog.testing import capture_logs

from cinema_grpc.adapters.ticket_codes import CONTEXT, decode_base45, read_content
from cinema_grpc.application.tickets import TicketContent
from cinema_grpc.config import BadSettings
from tests.adapters.forgeries import P256, pem, public_pem
from tests.builders import NOW
from tests.rpc.app import App
from tests.rpc.conftest import running
from tests.rpc.gates import START, open_showtime, redeem, sold
from tests.rpc.refusals import refusal

ONE, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


async def published(app: App) -> list[SigningKey]:
    return list((await app.tickets.ListTicketKeys(pb.ListTicketKeysRequest())).keys)


def verified(code: str, keys: list[SigningKey]) -> TicketContent:
    """Return what a code says, verified only with the published keys."""
    data = decode_base45(code)
    content, signature = data[:-64], data[-64:]
    (key,) = (key for key in keys if urlsafe_b64decode(key.kid + "==")[:2] == content[4:6])
    assert (key.kty, key.crv, key.alg, key.use) == ("OKP", "Ed25519", "EdDSA", "sig")
    Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key.x + "==")).verify(signature, CONTEXT + content)
    return read_content(content)


async def draw(app: App, booking_id: str, ticket_id: str, by: str = "ada", **fields: Any) -> pb.RenderTicketResponse:
    request = pb.RenderTicketRequest(booking_id=booking_id, ticket_id=ticket_id, **fields)
    metadata = await app.staff() if by == "staff" else await app.customer(by)
    return await app.tickets.RenderTicket(request, metadata=metadata)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_security_log_says_whose_ticket_staff_have_drawn(app: App) -> None:
    """The list of tickets has no codes, so they could be copied without a trace."""
    booking = await sold(app, (await open_showtime(app)).showtime_id, "A1", "A2")
    ticket_id = booking.tickets[0].ticket_id
    await app.staff()
    with capture_logs() as logs:
        await draw(app, booking.booking_id, ticket_id)
        assert not [line for line in logs if line["event"] == "ticket shown"]
        await draw(app, booking.booking_id, ticket_id, by="staff")
    (line,) = [line for line in logs if line["event"] == "ticket shown"]
    assert (line["logger"], line["ticket_id"], line["booking_id"]) == ("cinema.security", ticket_id, booking.booking_id)
    assert line["customer_user_id"] == booking.user_id
    assert booking.tickets[0].code not in repr(logs)


async def test_a_door_verifies_a_code_offline(app: App) -> None:
    showtime = await open_showtime(app)
    for booking in (
        await sold(app, showtime.showtime_id, "A1", "A2"),
        await app.sell(showtime.showtime_id, "B7", "B8"),
    ):
        for ticket in booking.tickets:
            content = TicketContent(ticket.ticket_id, showtime.showtime_id, ticket.seat, START, "standard")
            assert verified(ticket.code, await published(app)) == content


async def test_keys_of_tickets_do_not_sign_tokens(app: App) -> None:
    assert len(await published(app)) == 1
    assert not (await published(app))[0].y


async def test_a_rotation(database_url: str, tmp_path: Path) -> None:
    """Codes of each step stay good at the door, and can be verified while their key is listed."""
    file = tmp_path / "keys.pem"
    steps = [pem(ONE), pem(OTHER) + public_pem(ONE), pem(OTHER)]
    file.write_bytes(steps[0])
    async with running(database_url, ticket_keys=file) as app:
        showtime_id = (await open_showtime(app)).showtime_id
        codes: list[str] = []
        for number, (step, seats) in enumerate(zip(steps, (("A1", "A2"), ("A3", "A4"), ("A5", "A6")), strict=True)):
            file.write_bytes(step)
            await app.server._selling.tickets.key_reload.run_pass()
            codes += [ticket.code for ticket in (await sold(app, showtime_id, *seats)).tickets]
            for code in codes if number < 2 else codes[2:]:
                assert verified(code, await published(app))
        for code in codes:
            await redeem(app, showtime_id, code=code)


async def test_named_keys_sign_and_the_one_of_the_secret_still_verifies(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(ONE))
    async with running(database_url) as app:
        showtime_id = (await open_showtime(app)).showtime_id
        before = (await sold(app, showtime_id, "A1", "A2")).tickets[0].code
        derived = (await published(app))[0]
    async with running(database_url, ticket_keys=file) as app:
        keys = await published(app)
        assert [key == derived for key in keys] == [False, True]
        assert verified(before, keys)


async def test_without_any_key_codes_are_random(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem(P256))
    async with running(database_url, secret=None, signing_keys=tmp_path) as app:
        assert await published(app) == []
        showtime_id = (await open_showtime(app)).showtime_id
        ticket = (await sold(app, showtime_id, "A1", "A2")).tickets[0]
        assert len(ticket.code) == 22
        await redeem(app, showtime_id, ticket)
        later = (await sold(app, showtime_id, "A3", "A4")).tickets[0]
    async with running(database_url) as app:  # with a key: codes of before stay good
        assert len(await published(app)) == 1
        await app.sign_in("staff")
        await redeem(app, showtime_id, later)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (pem(P256), "a P-256 key; keys must be Ed25519"),
        (pem(ONE), "a key of CINEMA_SIGNING_KEYS"),
        (b"", "no key in PEM"),
    ],
    ids=["P-256", "of tokens", "none"],
)
async def test_unfit_keys_prevent_the_start(database_url: str, tmp_path: Path, keys: bytes, problem: str) -> None:
    (tmp_path / "tokens.pem").write_bytes(pem(ONE))
    (tmp_path / "tickets.pem").write_bytes(keys)
    with pytest.raises(BadSettings, match=f"^CINEMA_TICKET_KEYS: .*{problem}"):
        async with running(database_url, signing_keys=tmp_path / "tokens.pem", ticket_keys=tmp_path / "tickets.pem"):
            raise AssertionError("the server has started")


async def test_a_signed_code_of_no_ticket(app: App) -> None:
    """As one of a ticket whose commit was lost in a failover."""
    showtime_id = (await open_showtime(app)).showtime_id
    codes = app.server._selling.tickets.codes
    code = codes.issue(TicketContent(str(uuid4()), showtime_id, "A1", START, "standard"))
    assert (await refusal(redeem(app, showtime_id, code=code))).reason == "TICKET_NOT_FOUND"


class TestPictures:
    async def test_they_show_the_code(self, app: App) -> None:
        booking = await sold(app, (await open_showtime(app)).showtime_id, "A1", "A2")
        ticket = booking.tickets[0]
        expected = segno.make_qr(ticket.code, error="m", boost_error=False)
        assert (expected.designator, expected.mode) == ("7-M", "alphanumeric")
        for kind, media_type in (("svg", "image/svg+xml"), ("png", "image/png")):
            drawn = await draw(app, booking.booking_id, ticket.ticket_id, format=f"TICKET_FORMAT_{kind.upper()}")
            picture = BytesIO()
            expected.save(picture, kind=kind, scale=8)
            assert (drawn.image, drawn.media_type) == (picture.getvalue(), media_type)
        assert (await draw(app, booking.booking_id, ticket.ticket_id, by="staff")).media_type == "image/svg+xml"

    async def test_only_for_the_owner_and_for_staff(self, app: App) -> None:
        booking = await sold(app, (await open_showtime(app)).showtime_id, "A1", "A2")
        ticket_id = booking.tickets[0].ticket_id
        assert (await refusal(draw(app, booking.booking_id, ticket_id, by="bob"))).reason == "NOT_BOOKING_OWNER"
        assert (await refusal(draw(app, booking.booking_id, "none"))).reason == "TICKET_NOT_FOUND"
        assert (await refusal(draw(app, "none", ticket_id))).reason == "BOOKING_NOT_FOUND"
        assert (await refusal(draw(app, "", ""))).fields == ["booking_id", "ticket_id"]


async def test_a_moved_showtime(app: App) -> None:
    """Its codes stay good, and say the start for which they were issued."""
    showtime = await open_showtime(app)
    ticket = (await sold(app, showtime.showtime_id, "A1", "A2")).tickets[0]
    later: datetime = START + timedelta(minutes=10)
    await app.update_showtime(showtime.showtime_id, changes={"start_time": later}, reason="the projector is slow")
    assert verified(ticket.code, await published(app)).start_time == START
    assert NOW < START
    await redeem(app, showtime.showtime_id, ticket)
