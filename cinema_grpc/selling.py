"""The catalog, the box office, payments and tickets, built from the settings."""

from dataclasses import dataclass
from functools import partial

from cinema_grpc.adapters.database.backlog_reader import SqlBacklogReader
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.desk_reader import SqlDeskReader
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.database.refund_reader import SqlRefundReader
from cinema_grpc.adapters.database.sales_reader import SqlSalesReader
from cinema_grpc.adapters.database.ticket_reader import SqlTicketReader
from cinema_grpc.adapters.ticket_codes import SignedCodes
from cinema_grpc.application.backlog import BacklogWatch
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.cache import ShowtimeCache
from cinema_grpc.application.box_office.preview import Preview
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.counter import Counter
from cinema_grpc.application.desk import Desk
from cinema_grpc.application.door import Door
from cinema_grpc.application.events import EventFeed
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.application.sales_report import SalesReports
from cinema_grpc.application.scheduling import Scheduling
from cinema_grpc.application.seat_watch import SeatWatch
from cinema_grpc.application.tickets import TicketIssuer
from cinema_grpc.config import Settings
from cinema_grpc.identity import Identity
from cinema_grpc.instruments import Instruments
from cinema_grpc.key_reload import KeyReload, read_ticket_keys
from cinema_grpc.payment_provider import PaymentProvider
from cinema_grpc.transport.booking_servicer import encode_action, encode_confirmed
from cinema_grpc.transport.seat_maps import encode_frame
from cinema_grpc.transport.server import Application


@dataclass(frozen=True, slots=True)
class Tickets:
    """The codes of tickets, and what reads their keys again when these change."""

    codes: SignedCodes
    key_reload: KeyReload


@dataclass(frozen=True, slots=True)
class Selling:
    """The parts that sell.

    Attributes:
        application: The services that are called.
        store, cache, box_office: Decide who gets a seat.
        payments, refunds: Settle payments, and pay refunds.
        event_store: Stores the event feed.
        tickets: The codes of tickets, and their keys.
        backlog: What waits in the database, for metrics.
    """

    application: Application
    store: SqlBoxOfficeStore
    cache: ShowtimeCache
    box_office: BoxOffice
    payments: Payments
    refunds: Refunds
    event_store: SqlEventStore
    tickets: Tickets
    backlog: BacklogWatch


def build_tickets(settings: Settings, jwt_secret: bytes | None) -> Tickets:
    """Build what makes and checks the codes of tickets.

    Raises:
        BadSettings: The keys of tickets can't be read or used.
    """
    read = partial(read_ticket_keys, settings, jwt_secret)
    keys = read()
    codes = SignedCodes(keys)
    return Tickets(codes, KeyReload("ticket keys", read, codes.use_keys, keys))


def build_selling(
    settings: Settings,
    database: Database,
    identity: Identity,
    tickets: Tickets,
    provider: PaymentProvider,
    instruments: Instruments,
) -> Selling:
    """Build the parts that sell."""
    hold_for, price_rule, grace = settings.hold_for, provider.price_rule, settings.payment_grace
    driver, longest_wait = database.driver, settings.longest_wait_seconds
    store, cache = SqlBoxOfficeStore(database), ShowtimeCache()
    box_office = BoxOffice(store, cache, driver.waiting_tasks, longest_wait, instruments.tracing)
    preview = Preview(store, cache)
    listings = Listings(SqlListingsReader(database), store, cache, None if driver.shared else database.clock)
    seat_watch = SeatWatch(listings, cache, encode_frame, database.clock, store.versions if driver.shared else None)

    payment_store, gateway, problems = SqlPaymentStore(database), provider.gateway, instruments.problems
    issuer = TicketIssuer(tickets.codes)
    saga = PaymentSaga(box_office, gateway, encode_confirmed, grace, encode_action, issuer)
    payments = Payments(payment_store, saga, problems.note_payment_overdue)
    refunds = Refunds(payment_store, box_office, gateway, grace, problems.note_refund_given_up)
    reader = SqlBookingReader(database)
    bookings = Bookings(box_office, reader, payments, hold_for, settings.hold_limits)

    event_store = SqlEventStore(database)
    event_feed = EventFeed(event_store)
    for note_commit in (seat_watch.note_commit, refunds.note_commit, bookings.note_commit, event_feed.note_commit):
        box_office.on_commit(note_commit)
    box_office.on_commit(instruments.sales.note_commit)
    application = Application(
        accounts=identity.accounts,
        sessions=identity.sessions,
        tokens=identity.tokens,
        change_limit=ChangeLimit(settings.changes_per_minute),
        catalog=Catalog(
            SqlCatalogStore(database, listings.forget_catalog_revision), price_rule, event_feed.note_commit
        ),
        listings=listings,
        scheduling=Scheduling(box_office, preview, listings, hold_for, price_rule),
        seat_watch=seat_watch,
        bookings=bookings,
        counter=Counter(box_office, bookings, identity.account_store.find, issuer, provider.unit_of),
        desk=Desk(box_office, reader, SqlDeskReader(database), SqlRefundReader(database), identity.account_store),
        door=Door(box_office, preview, SqlTicketReader(database), reader, tickets.codes),
        event_feed=event_feed,
        sales_reports=SalesReports(SqlSalesReader(database)),
    )
    return Selling(
        application=application,
        store=store,
        cache=cache,
        box_office=box_office,
        payments=payments,
        refunds=refunds,
        event_store=event_store,
        tickets=tickets,
        backlog=BacklogWatch(SqlBacklogReader(database, event_store)),
    )
