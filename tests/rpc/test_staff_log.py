"""The security log of what staff do: who, what, for whom and why."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import pytest
from cinema.v1 import auth_service_pb2, booking_pb2, box_office_service_pb2, showtime_pb2
from structlog.testing import capture_logs

from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.transport.contract import SECURITY_LOGGED
from tests.faults import failing
from tests.rpc.conftest import App, new_id, refusal
from tests.rpc.gates import offline, open_showtime, record, redeem, reverse, sold
from tests.rpc.hang_ups import hang_up
from tests.rpc.test_access import FOR_STAFF

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def logged(call: Awaitable[Any]) -> list[dict[str, Any]]:
    """Make a call, and return its lines in the security log, but for the use of the role."""
    with capture_logs() as lines:
        await call
    said = [dict(line) for line in lines if line.get("logger") == "cinema.security"]
    assert said[0]["event"] == "rights of staff used"
    assert len({(line["user_id"], line["method"], line["request_id"]) for line in said}) == 1
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in said)
    return said[1:]


async def user_id(app: App, metadata: Any) -> str:
    answer = await app.auth.GetCurrentUser(auth_service_pb2.GetCurrentUserRequest(), metadata=metadata)
    return answer.user.user_id


async def test_sales_and_voids(app: App) -> None:
    """For whom and why; a repeat is logged again, under the same key."""
    showtime_id = (await app.showtime()).showtime_id
    staff, customer = await user_id(app, await app.staff()), await user_id(app, await app.customer())
    fields: dict[str, Any] = {"customer_user_id": customer, "reason": "a birthday", "request_id": new_id()}
    for _ in range(2):
        (line,) = await logged(app.sell(showtime_id, "A1", "A2", tender=booking_pb2.TENDER_COMPLIMENTARY, **fields))
        assert (line["event"], line["user_id"], line["customer_user_id"]) == ("seats sold", staff, customer)
        assert (line["showtime_id"], line["tender"], line["reason"]) == (showtime_id, "COMPLIMENTARY", "a birthday")
        assert (line["idempotency_key"], bool(line["booking_id"])) == (fields["request_id"], True)
    (line,) = await logged(app.void(line["booking_id"], "A2", percent=30, reason="unwell"))
    assert (line["event"], line["user_id"], line["customer_user_id"]) == ("booking voided", staff, customer)
    assert (line["seats"], line["refund_percent"], line["reason"]) == ("A2", 30, "unwell")
    (line,) = await logged(app.sell(showtime_id, "B1", "B2"))
    assert (line["customer_user_id"], "idempotency_key" in line) == (staff, False)


async def test_changes_of_showtimes(app: App) -> None:
    """But for previews, which change nothing."""
    showtime_id = (await app.showtime()).showtime_id
    changes = {"seat_gap_policy": showtime_pb2.SEAT_GAP_POLICY_ALLOW}
    for preview in (
        app.block(showtime_id, "A1", validate_only=True),
        app.update_showtime(showtime_id, changes=changes, validate_only=True),
        app.cancel_showtime(showtime_id, validate_only=True),
    ):
        assert await logged(preview) == []
    (line,) = await logged(app.block(showtime_id, "A1", "A2", release=["B1"], reason="for guests"))
    assert (line["event"], line["showtime_id"], line["reason"]) == ("seat blocks set", showtime_id, "for guests")
    assert (line["seats"], line["released"]) == ("A1,A2", "B1")
    (line,) = await logged(app.block(showtime_id, release=["A1"]))
    assert (line["seats"], line["released"], line["reason"]) == ("", "A1", "")
    (line,) = await logged(app.update_showtime(showtime_id, changes=changes, reason="asked for"))
    assert (line["event"], line["showtime_id"], line["reason"]) == ("showtime changed", showtime_id, "asked for")
    assert line["fields"] == "seat_gap_policy"
    (line,) = await logged(app.cancel_showtime(showtime_id, reason="a leak"))
    assert (line["event"], line["showtime_id"], line["reason"]) == ("showtime cancelled", showtime_id, "a leak")


async def test_what_doors_did_offline(app: App) -> None:
    """A line for each redemption, without its code; also for a code that nothing knows."""
    showtime_id = (await open_showtime(app)).showtime_id
    (ticket,) = (await sold(app, showtime_id, "A1")).tickets
    lines = await logged(record(app, offline(ticket.code), offline("forged"), offline(ticket.code, "south")))
    assert {line["event"] for line in lines} == {"offline redemption recorded"}
    assert [(line["outcome"], line["ticket_id"], line["gate"], line["other_gates"]) for line in lines] == [
        ("ACCEPTED", ticket.ticket_id, "north", ""),
        ("CONFLICT", ticket.ticket_id, "south", "north"),
        ("UNKNOWN_TICKET", "", "north", ""),
    ]
    assert ticket.code not in repr(lines)


async def test_bookings_of_a_report_that_fails_later(app: App) -> None:
    """What was recorded by then is noted."""
    showtime_id = (await open_showtime(app)).showtime_id
    tickets = [(await sold(app, showtime_id, seat)).tickets[0] for seat in ("A1", "A2")]
    inserted = 0

    def second(statement: str) -> bool:
        nonlocal inserted
        inserted += statement.startswith("INSERT INTO redemption")
        return inserted > 1

    with failing(app.server.database, second), capture_logs() as lines:
        error = await refusal(record(app, *(offline(each.code) for each in tickets)))
    assert error.reason == StorageUnavailable.reason
    noted = [line["ticket_id"] for line in lines if line["event"] == "offline redemption recorded"]
    assert noted == [tickets[0].ticket_id]


async def test_what_a_call_has_changed_is_noted_though_its_caller_hangs_up(app: App) -> None:
    """Else staff could refund a booking without a trace."""
    showtime_id = (await open_showtime(app)).showtime_id
    sale = await app.sell(showtime_id, "A1", "A2")
    first, second = sale.tickets
    await redeem(app, showtime_id, first)

    async def settle() -> None:
        (refund,) = (await app.read(sale.booking_id, by="staff")).refunds
        request = box_office_service_pb2.SettleRefundRequest(refund_id=refund.refund_id, note="in cash")
        await app.box_office.SettleRefund(request, metadata=await app.staff())

    changes: dict[str, tuple[Coroutine[Any, Any, Any], str]] = {
        "BoxOfficeService/SellSeats": (app.sell(showtime_id, "B1", "B2"), "seats sold"),
        "TicketService/ReverseRedemption": (reverse(app, first.ticket_id), "redemption reversed"),
        "TicketService/RecordRedemptions": (record(app, offline(second.code)), "offline redemption recorded"),
        "BoxOfficeService/VoidBooking": (app.void(sale.booking_id, "A1", percent=100), "booking voided"),
        "BoxOfficeService/SettleRefund": (settle(), "refund settled by hand"),
        "ShowtimeService/SetSeatBlocks": (app.block(showtime_id, "A6"), "seat blocks set"),
        "ShowtimeService/UpdateShowtime": (
            app.update_showtime(showtime_id, changes={"seat_gap_policy": showtime_pb2.SEAT_GAP_POLICY_ALLOW}),
            "showtime changed",
        ),
        "ShowtimeService/CancelShowtime": (app.cancel_showtime(showtime_id), "showtime cancelled"),
    }
    assert {f"/cinema.v1.{method}" for method in changes} == SECURITY_LOGGED
    for call, event in changes.values():
        assert await hang_up(app, "UPDATE showtime", asyncio.create_task(call)) == [event]


async def test_every_method_of_staff(app: App) -> None:
    """Is logged as a use of their rights, also if it is refused; and so is a customer who tries."""
    staff, customer = await app.staff(), await app.customer()
    for method in FOR_STAFF:
        for metadata, expected in ((staff, ("rights of staff used", None)), (customer, ("refused", "ROLE_REQUIRED"))):
            call = app.send(method, b"", metadata)
            with capture_logs() as lines:
                await (call if metadata == staff and method.endswith("ListRefunds") else refusal(call))
            line = next(line for line in lines if line.get("logger") == "cinema.security")
            assert (line["event"], line.get("reason"), line["method"]) == (*expected, method)
            assert line["user_id"] == await user_id(app, metadata)
