"""Known bugs of tickets and of the door."""

from tests.mutations.mutation import APPLICATION, AUDIT, DATABASE, DOMAIN, TRANSPORT, mutation

CODES = "cinema_grpc/adapters/ticket_codes.py"
FORGERIES = "tests/adapters/test_ticket_codes.py::test_forgeries"

MUTATIONS = (
    mutation(
        "a ticket lets in two",
        f"{DOMAIN}/door.py",
        "        raise GateClosed(terms.showtime_id, open_time, terms.end_time)\n    _check_not_redeemed(shown)\n",
        "        raise GateClosed(terms.showtime_id, open_time, terms.end_time)\n",
        "tests/domain/test_door.py::TestRedeeming",
    ),
    mutation(
        "a customer cancels a seat and gets in",
        f"{DOMAIN}/cancellation.py",
        "    check_cancellable_by_customer(booking, chosen)\n",
        "",
        "tests/domain/test_door.py::TestCancelling",
    ),
    mutation(
        "a gate stays open at the end",
        f"{DOMAIN}/door.py",
        "open_time <= now < terms.end_time",
        "open_time <= now <= terms.end_time",
        "tests/domain/test_door.py::TestRedeeming",
    ),
    mutation(
        "a report that is sent again is a conflict",
        f"{DOMAIN}/door.py",
        "known.get(key := (each.ticket_id, each.redeem_time,",
        "known.get(key := (each.ticket_id, each.record_time,",
        "tests/rpc/test_offline_doors.py::test_a_repeat_gets_the_same_response",
        "tests/rpc/test_offline_doors.py::test_a_recorded_redemption_counts",
    ),
    mutation(
        "a report of several bookings is stored under one key",
        f"{APPLICATION}/door.py",
        '    return replace(call, key=call.key._replace(rpc=f"{call.key.rpc}/{booking_id}"))',
        "    return call if booking_id else None",
        "tests/rpc/test_offline_doors.py::test_a_repeat_gets_the_same_response",
    ),
    mutation(
        "a page of the door's list ends before its last booking",
        f"{DATABASE}/ticket_reader.py",
        "booking_id=after.booking_id, limit=limit + 1",
        "booking_id=after.booking_id, limit=limit",
        "tests/rpc/test_door_list.py::test_pages_of_any_size",
    ),
    mutation(
        "a forged page token of the door's list reaches the database",
        f"{TRANSPORT}/door_messages.py",
        "    if found is None or int(found[1]) > LAST_REVISION:\n",
        "    if found is None:\n",
        "tests/rpc/test_malformed.py::test_a_forged_page_token",
    ),
    mutation(
        "a conflict lets its customer cancel once the other redemption is reversed",
        f"{DOMAIN}/ticket.py",
        "            standing.setdefault(each.ticket_id, each)\n",
        "            pass\n",
        "tests/domain/test_door.py::TestReversing",
        "tests/rpc/test_door.py::TestReversing",
    ),
    mutation(
        "the feed does not say that a conflict took the place of a reversed redemption",
        f"{DOMAIN}/events.py",
        "        if each.redemption_id in standing or each.reversal is not None\n",
        "        if each.kind.value == 'ADMITTED'\n",
        "tests/domain/test_events.py::TestTheDoor",
        "tests/rpc/test_door.py::TestReversing",
    ),
    mutation(
        "a reversed redemption still stands in the tables",
        f"{DATABASE}/redemption_rows.py",
        '            rows["reversed_redemptions"].append({"redemption_id": each.redemption_id, **_reversing(each)})\n',
        "            pass\n",
        "tests/rpc/test_door.py::TestReversing",
    ),
    mutation(
        "the audit takes any redemption for one of its booking",
        f"{DATABASE}/door_invariants.py",
        "WHERE ticket.booking_id <> redemption.booking_id",
        "WHERE ticket.booking_id IS NULL",
        AUDIT,
    ),
    mutation(
        "the signature of something else is one of a ticket",
        CODES,
        "key.public.verify(signature, CONTEXT + content)",
        "key.public.verify(signature, content)",
        FORGERIES,
    ),
    mutation(
        "a malformed code is genuine if it is signed",
        CODES,
        "            read_content(data[:-SIGNATURE_BYTES])\n",
        "",
        FORGERIES,
    ),
    mutation(
        "three characters of a code may stand for too much",
        CODES,
        "    if max(values, default=0) > 0xFFFF:\n        raise MalformedCode\n",
        "    values = [value & 0xFFFF for value in values]\n",
        "tests/adapters/test_ticket_codes.py::test_three_characters_have_one_value",
    ),
    mutation(
        "any ticket of a seat counts as the latest one",
        f"{APPLICATION}/door.py",
        "            if ticket.code == code:",
        "            if ticket.seat == seat:",
        "tests/rpc/test_door.py::TestRedeeming::test_a_void_ticket_of_a_seat_that_was_sold_again",
    ),
)
