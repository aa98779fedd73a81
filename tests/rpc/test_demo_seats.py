"""The seats that the demo sells, holds and keeps, over a real channel: what a newcomer sees first."""

from datetime import timedelta

from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from cinema_grpc.cli import demo
from cinema_grpc.cli.demo_data import AUDITORIUMS, TICKET_TYPES, DemoAuditorium
from cinema_grpc.cli.demo_secrets import DemoSecrets
from cinema_grpc.domain.catalog import Auditorium
from tests.builders import NOW
from tests.rpc.app import App, moment

TWO_DAYS = timedelta(days=2)
SECRETS = DemoSecrets("a customer's password", "a password of staff", "a secret that signs nothing")
STATES = {"h": "HELD", "g": "BLOCKED", "x": "BLOCKED"}


async def first_shown(app: App) -> dict[str, showtime_pb2.Showtime]:
    """Return the first showtime of each auditorium from two days on, by the name of the auditorium."""
    request = pb.ListShowtimesRequest(start_time_from=moment(NOW + TWO_DAYS), page_size=20)
    found: dict[str, showtime_pb2.Showtime] = {}
    for showtime in (await app.showtimes.ListShowtimes(request)).showtimes:
        found.setdefault(showtime.auditorium_name, showtime)
    return found


def drawn(auditorium: DemoAuditorium) -> dict[str, str]:
    """Return the states that the seat map of an auditorium asks for."""
    return {seat: STATES.get(letters[0], "SOLD") for letters, group in auditorium.groups() for seat in group}


class TestTheFirstSeatMap:
    async def test_it_is_as_it_was_drawn(self, app: App) -> None:
        """In each auditorium: no rule refused a sale, a hold or a block, and seats for calls to paste are free.

        Each has three areas, four ticket types, and wheelchair spaces with companion seats.
        """
        filled = await demo.fill(app.server, SECRETS)
        assert filled is not None
        shown = await first_shown(app)
        assert filled.showtime.showtime_id in {showtime.showtime_id for showtime in shown.values()}
        assert shown.keys() == {auditorium.name for auditorium in AUDITORIUMS}
        for auditorium in AUDITORIUMS:
            showtime = shown[auditorium.name]
            states = await app.seat_states(showtime.showtime_id)
            assert states == drawn(auditorium)
            assert set(states.values()) == {"SOLD", "HELD", "BLOCKED"}
            assert not states.keys() & {"A1", "A2", "B1", "B2", "C1", "C2"}
            plan = await app.server.catalog.get(Auditorium, showtime.auditorium_id)
            assert {line.category for line in showtime.prices} == plan.categories
            assert len(plan.categories) == 3
            assert {line.ticket_type for line in showtime.prices} == set(TICKET_TYPES)
            assert [space for space in plan.wheelchair_spaces if space.companion_seats]

    async def test_a_second_start_changes_no_seat(self, app: App) -> None:
        await demo.fill(app.server, SECRETS)
        shown = [showtime.showtime_id for showtime in (await first_shown(app)).values()]
        before = [await app.read_showtime(each) for each in shown]
        again = await demo.fill(app.server, SECRETS)
        assert again is not None
        assert [await app.read_showtime(each) for each in shown] == before
        app.clock.advance(timedelta(days=1))
        later = await demo.fill(app.server, SECRETS)
        assert later is not None
        assert later.showtime.start_time > again.showtime.start_time
        assert await app.seat_states(later.showtime.showtime_id)
