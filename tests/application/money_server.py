"""The part of a server process that sells seats: to customers, at the counter, and for showtimes that change."""

import pickle
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.desk_reader import SqlDeskReader
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.adapters.database.refund_reader import SqlRefundReader
from cinema_grpc.adapters.database.sales_reader import SqlSalesReader
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.box_office.preview import Preview
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.counter import Counter
from cinema_grpc.application.desk import Desk
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.payment_ports import PaymentGateway
from cinema_grpc.application.sales_report import SalesReports
from cinema_grpc.application.scheduling import Scheduling
from tests.application.commands import RANDOM_TICKETS
from tests.application.paying import Replica


@dataclass
class Server:
    """A server process, as far as it deals with seats and money."""

    replica: Replica
    bookings: Bookings
    counter: Counter
    scheduling: Scheduling
    desk: Desk
    reports: SalesReports


def start_server(url: str, clock: Clock, provider: PaymentGateway, hold_for: timedelta) -> Server:
    """Start a server at a database."""
    database, cache = Database(url, clock), ShowtimeCache()
    store = SqlBoxOfficeStore(database)
    box_office = BoxOffice(store, cache, waiting_tasks=database.driver.waiting_tasks)
    box_office.start()
    replica, reader = Replica(database, box_office, provider), SqlBookingReader(database)
    accounts = SqlAccountStore(database)
    bookings = Bookings(box_office, reader, replica.payments, hold_for)
    box_office.on_commit(bookings.note_commit)
    listings = Listings(SqlListingsReader(database), store, cache)
    return Server(
        replica,
        bookings,
        Counter(box_office, bookings, accounts.find, RANDOM_TICKETS),
        Scheduling(box_office, Preview(store, cache), listings, hold_for),
        Desk(box_office, reader, SqlDeskReader(database), SqlRefundReader(database), accounts),
        SalesReports(SqlSalesReader(database)),
    )


async def stop_server(server: Server) -> None:
    """End a server, with payments under way."""
    await server.replica.die()
    await server.replica.box_office.stop()
    await server.replica.database.close()


def encode_all(*what: Any) -> bytes:
    """Encode a response; `commands.decode` decodes it."""
    return pickle.dumps(what)
