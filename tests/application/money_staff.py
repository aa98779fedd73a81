"""What staff do in the world of bookings and money."""

from dataclasses import astuple
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from cinema_grpc.application.counter import CounterSale
from cinema_grpc.application.scheduling import Execution, WantedBlock
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.pricing import PriceLine, PriceList
from cinema_grpc.domain.sale import Tender
from cinema_grpc.domain.showtime_changes import Impact, ShowtimeChanges
from cinema_grpc.domain.terms import SeatBlockKind
from tests.application.actions import action
from tests.application.commands import encode
from tests.application.money_server import encode_all
from tests.application.money_world import FIRST, HOLD, NUMBERS, REPLICAS, SEATS, World, any_booking, has_bookings, parts
from tests.application.naive_bookings import PRICES, Held, Show

SHOWS = st.integers(0, 1)
BOOKINGS_BEFORE_A_CANCELLATION = 4
"""Of a showtime: nothing is sold after it."""
BOB = "bob"
"""A customer, and the staff of this cinema."""


class Staff(World):
    """Sells at the counter, voids bookings, settles refunds, and changes showtimes."""

    @action(
        4,
        number=SHOWS,
        first=FIRST,
        seats=st.integers(1, 3),
        tender=st.sampled_from(Tender),
        at=REPLICAS,
    )
    def sell(self, number: int, first: int, seats: int, tender: Tender, at: int) -> None:
        show, labels, now = self.shows[number], tuple(SEATS[first : first + seats]), self.clock.now()
        sale = CounterSale(Selection(labels), tender, "ada", reason="a reason")
        refusal = show.closed(now) or ("SEATS_UNAVAILABLE" if self.taken(show, now) & set(labels) else None)
        answer = self._twice(
            at, "SellSeats", lambda server, call: server.counter.sell(BOB, show.name, sale, call, encode)
        )
        if refusal is not None:
            assert answer == refusal
            return
        self.claim(show, labels, now)
        free = tender is Tender.COMPLIMENTARY
        prices = {seat: 0 if free else show.price_of(seat, "adult") for seat in labels}
        held = Held(answer.booking_id, "ada", show, prices, now, now, counter=True)
        held.confirm(now)
        self.held.append(held)

    @action(
        4,
        has_bookings,
        held=any_booking,
        number=NUMBERS,
        singly=st.booleans(),
        percent=st.sampled_from([0, 33, 50, 100]),
        at=REPLICAS,
    )
    def void(self, held: Held, number: int, singly: bool, percent: int, at: int) -> None:
        for seats in parts(held.active[-number:], singly=singly):
            self._void(held, seats, percent, at)

    def _void(self, held: Held, seats: tuple[str, ...], percent: int, at: int) -> None:
        now, status = self.clock.now(), held.now(self.clock.now())
        answer = self._twice(
            at,
            "VoidBooking",
            lambda server, call: server.counter.void(BOB, held.name, seats, percent, "a reason", call, encode),
        )
        if status in {"EXPIRED", "CANCELLED"}:
            assert answer == "BOOKING_NOT_CANCELLABLE"
        elif now >= held.show.end:
            assert answer == "SHOWTIME_ENDED"
        elif held.attempt is not None:
            assert answer == "PAYMENT_IN_PROGRESS"
        else:
            held.give_up(seats, percent, now)

    @action(1, at=REPLICAS)
    def settle_refund(self, at: int) -> None:
        """Pay the oldest refund of a counter sale that is open."""
        desk = self.servers[at].desk
        found = self._do(desk.list_refunds("", RefundStatus.PENDING, "", 100)).entries
        by_hand = [each.refund for each in found if each.sale is not None]
        if by_hand:
            self._do(desk.settle_refund(BOB, by_hand[-1].refund_id, "paid", None, lambda _: b"done"))

    @action(
        2,
        number=SHOWS,
        seat=st.sampled_from(SEATS),
        minutes=st.sampled_from([None, 5, 600]),
        release=st.booleans(),
        at=REPLICAS,
    )
    def block(self, number: int, seat: str, minutes: int | None, release: bool, at: int) -> None:
        if release:
            self._release(number, seat, at)
            return
        show, now = self.shows[number], self.clock.now()
        until = None if minutes is None else now + timedelta(minutes=minutes)
        owned = self.taken(show, now) - show.blocked_at(now)
        block = WantedBlock((seat,), SeatBlockKind.HOUSE, "guests", until)
        answer = self._twice(
            at,
            "SetSeatBlocks",
            lambda server, call: server.scheduling.set_blocks(
                show.name, block, (), Execution(BOB, call), lambda _, blocks: encode_all(len(blocks))
            ),
        )
        if (closed := show.closed(now)) is not None:
            assert answer == closed
        elif until is not None and until > show.start:
            assert answer == "INVALID_REQUEST"
        elif seat in owned:
            assert answer == "SEATS_UNAVAILABLE"
        else:
            self.claim(show, (seat,), now)
            show.blocked[seat] = until

    def _release(self, number: int, seat: str, at: int) -> None:
        show = self.shows[number]
        answer = self._answer(
            self.servers[at].scheduling.set_blocks(
                show.name, None, (seat,), Execution(BOB), lambda _, blocks: encode_all(len(blocks))
            )
        )
        if (closed := show.closed(self.clock.now())) is not None:
            assert answer == closed
        else:
            show.blocked.pop(seat, None)

    @action(1, number=SHOWS, minutes=st.sampled_from([-600, -10, 10, 20, 1_500]), at=REPLICAS)
    def move(self, number: int, minutes: int, at: int) -> None:
        """Move the start; sales, holds and refunds move with it."""
        show, now = self.shows[number], self.clock.now()
        start = show.start + timedelta(minutes=minutes)
        answer = self._twice(
            at,
            "UpdateShowtime",
            lambda server, call: server.scheduling.update(
                show.name, ShowtimeChanges(start), Execution(BOB, call), lambda _, impact: encode_all(impact)
            ),
        )
        if (closed := show.closed(now)) is not None:
            assert answer == closed
            return
        if start <= now:
            assert answer == "INVALID_REQUEST"
            return
        for held in self.held:
            if held.show is show and held.now(now) == "RESERVED":
                held.until = max(held.until, held.made + HOLD) if held.until == show.start else held.until
                held.until = held.until if held.attempt else min(held.until, start)
        show.moves.append((now, show.start))
        show.start = start

    @action(1, number=SHOWS, percent=st.sampled_from([0, 50, 99, 200]), at=REPLICAS)
    def change_prices(self, number: int, percent: int, at: int) -> None:
        """What is claimed already keeps its price."""
        show, now = self.shows[number], self.clock.now()
        prices = {key: amount * percent // 100 for key, amount in PRICES.items()}
        lines = [PriceLine(category, type_, Money("EUR", prices[category, type_])) for category, type_ in prices]
        changes = ShowtimeChanges(prices=PriceList(lines))
        answer = self._twice(
            at,
            "UpdateShowtime",
            lambda server, call: server.scheduling.update(
                show.name, changes, Execution(BOB, call), lambda _, impact: encode_all(impact)
            ),
        )
        if (closed := show.closed(now)) is not None:
            assert answer == closed
        else:
            show.prices = prices

    def a_show(self) -> st.SearchStrategy[int]:
        """Choose a showtime, more often one with bookings of which parts were given up."""
        partly = [self.shows.index(each.show) for each in self.held if each.gone and each.status == "CONFIRMED"]
        return st.sampled_from([0, 1, *(3 * partly)])

    @action(
        2,
        lambda staff: len(staff.held) >= BOOKINGS_BEFORE_A_CANCELLATION,
        number=lambda staff: staff.a_show(),
        seconds=st.sampled_from([0, 0, 0, 601]),
        at=REPLICAS,
    )
    def cancel_showtime(self, number: int, seconds: int, at: int) -> None:
        """Preview, and do what the preview showed, or nothing."""
        show = self.shows[number]

        def cancel(server: Any, execution: Execution) -> Any:
            return server.scheduling.cancel(
                show.name, "a power cut", execution, lambda listed, impact: encode_all(listed.revision, impact)
            )

        preview = self._answer(cancel(self.servers[at], Execution(BOB, validate_only=True)))
        if (closed := show.closed(self.clock.now())) is not None:
            assert preview == closed
            return
        revision, impact = preview
        self.clock.advance(timedelta(seconds=seconds))
        now = self.clock.now()
        answer = self._twice(
            1 - at,
            "CancelShowtime",
            lambda server, call: cancel(server, Execution(BOB, call, expected_revision=revision)),
        )
        if show.closed(now) is not None:
            assert answer == show.closed(now)
        elif isinstance(answer, str):
            assert answer == "SHOWTIME_CHANGED"
            lapsed = [
                each for each in self.held if each.show is show and each.status == "RESERVED" and each.until <= now
            ]
            assert lapsed
        else:
            assert answer[1] == impact
            self._note_cancelled(show, impact)

    def _note_cancelled(self, show: Show, impact: Impact) -> None:
        now = self.clock.now()
        affected = [each for each in self.held if each.show is show and each.now(now) in {"RESERVED", "CONFIRMED"}]
        confirmed = [each for each in affected if each.status == "CONFIRMED"]
        seats, paying = sum(len(each.active) for each in affected), sum(each.attempt is not None for each in affected)
        refunded = sum(each.price - each.refunded for each in confirmed)
        counts = (len(confirmed), len(affected) - len(confirmed), paying, seats, 0)
        assert astuple(impact)[:5] == counts
        assert impact.refund_total.minor_units == refunded
        for each in affected:
            each.give_up(each.active, 100, now, rest=True)
        show.cancelled, show.blocked = True, {}
