"""Reading bookings, as they are now."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import load_bookings
from cinema_grpc.adapters.database.database import Database, uninterrupted
from cinema_grpc.adapters.database.prepared import select_by
from cinema_grpc.application.ports import FoundBooking
from cinema_grpc.domain.booking import Booking, BookingStatus

_BOOKING = schema.booking.c
_SHOWTIME_OF = select_by(schema.booking, ("booking_id",), "showtime_id")


class SqlBookingReader:
    """Reads bookings. Fulfils the port BookingReader."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @uninterrupted
    async def find(self, booking_id: str) -> FoundBooking | None:
        """Read a booking, or None if there is none of that name."""
        async with self._database.reading() as connection:
            now = await self._database.now(connection)
            bookings = await load_bookings(connection, select(schema.booking).where(_BOOKING.booking_id == booking_id))
            if not bookings:
                return None
            of_showtime = schema.showtime.c.showtime_id == bookings[0].showtime_id
            start = await connection.execute(select(schema.showtime.c.start_time).where(of_showtime))
            return FoundBooking(bookings[0], start.scalar_one(), now)

    async def showtime_of(self, booking_id: str) -> str | None:
        """Tell to which showtime a booking belongs, or None if there is none of that name."""
        _, (found,) = await self._database.peek(lambda _now: [(_SHOWTIME_OF, [{"booking_id": booking_id}])])
        return found[0][0] if found else None

    @uninterrupted
    async def of_user(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> list[Booking]:
        """Read a user's bookings as they are now, newest first, from the one after `after` on ("" for the first)."""
        async with self._database.reading() as connection:
            now = await self._database.now(connection)
            query = select(schema.booking).where(_BOOKING.user_id == user_id)
            if showtime_id:
                query = query.where(_BOOKING.showtime_id == showtime_id)
            if status is not None:
                query = query.where(_has_status(status, now))
            if after:
                query = query.where(_BOOKING.booking_id < after)
            bookings = await load_bookings(connection, query.order_by(_BOOKING.booking_id.desc()).limit(limit))
        return [booking.as_of(now) for booking in bookings]


def _has_status(status: BookingStatus, now: datetime) -> ColumnElement[bool]:
    """Test for a status as it reads now: a hold that is over is EXPIRED, written down or not."""
    written = _BOOKING.status == status.value
    over = _BOOKING.hold_expire_time <= now
    if status is BookingStatus.RESERVED:
        return and_(written, ~over)
    if status is BookingStatus.EXPIRED:
        return or_(written, and_(_BOOKING.status == BookingStatus.RESERVED.value, over))
    return written
