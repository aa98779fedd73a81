"""The background tasks of a server, built from its parts."""

from dataclasses import dataclass
from functools import partial

from cinema_grpc.adapters.database import retention
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application import events, expiry, payments
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.backlog import SECONDS_BETWEEN_READINGS
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.principals import SECONDS_BETWEEN_EVICTIONS
from cinema_grpc.config import Settings
from cinema_grpc.identity import Identity
from cinema_grpc.key_reload import SECONDS_BETWEEN_RELOADS
from cinema_grpc.selling import Selling


@dataclass(frozen=True, slots=True)
class BackgroundTasks:
    """The background tasks of a server.

    Attributes:
        expire_holds, recover_payments, pay_refunds, delete_expired, delete_events: Work on what is stored.
        watch_keys: Reads signing keys that have changed.
        to_run: All tasks that run with these settings and this database.
    """

    expire_holds: BackgroundTask
    recover_payments: BackgroundTask
    pay_refunds: BackgroundTask
    delete_expired: BackgroundTask
    delete_events: BackgroundTask
    watch_keys: BackgroundTask
    to_run: list[BackgroundTask]


def build_tasks(settings: Settings, database: Database, identity: Identity, selling: Selling) -> BackgroundTasks:
    """Build the background tasks. None runs before it is started."""
    expire = HoldExpiry(selling.store, selling.box_office).run_pass
    expire_holds = BackgroundTask("hold expiry", expire, expiry.SECONDS_BETWEEN_PASSES, expiry.LONGEST_PAUSE)
    recover = selling.payments.recover
    recover_payments = BackgroundTask("payment recovery", recover, payments.SECONDS_BETWEEN_RECOVERIES)
    expired = partial(retention.delete_expired, database)
    delete_expired = BackgroundTask("retention", expired, retention.SECONDS_BETWEEN_PASSES)
    old = partial(events.delete_old_events, selling.event_store, settings.event_retention)
    delete_events = BackgroundTask("event retention", old, retention.SECONDS_BETWEEN_PASSES)
    watch_keys = BackgroundTask("signing keys", identity.key_reload.run_pass, SECONDS_BETWEEN_RELOADS)

    to_run = [expire_holds, recover_payments, selling.refunds.task, delete_expired]
    event_feed = selling.application.event_feed
    to_run += [*selling.application.seat_watch.tasks, event_feed.position_watch, delete_events]
    if database.driver.shared:
        to_run.append(event_feed.sequencer)
    evict = identity.accounts.principals.evict_revoked
    to_run.append(BackgroundTask("disabled accounts", evict, SECONDS_BETWEEN_EVICTIONS))
    if settings.signing_keys is not None:
        to_run.append(watch_keys)
    if settings.ticket_keys is not None:
        to_run.append(BackgroundTask("ticket keys", selling.tickets.key_reload.run_pass, SECONDS_BETWEEN_RELOADS))
    if settings.metrics_address is not None:
        to_run.append(BackgroundTask("backlog", selling.backlog.run_pass, SECONDS_BETWEEN_READINGS))
    return BackgroundTasks(
        expire_holds, recover_payments, selling.refunds.task, delete_expired, delete_events, watch_keys, to_run
    )
