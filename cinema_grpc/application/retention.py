"""Retention: deletes stored responses, sessions and sign-in records that have expired."""

from datetime import timedelta
from functools import partial

from cinema_grpc.application.ports import RetentionStore

SECONDS_BETWEEN_PASSES = 60.0
RESPONSES_KEPT_FOR = timedelta(hours=24)
"""How long a repeated request_id returns the stored response. Clients rely on it."""
ROWS_A_BATCH = 250
"""Rows deleted in one transaction: few enough not to delay bookings."""


async def delete_expired(store: RetentionStore) -> None:
    """Delete all expired records, in small batches.

    Raises:
        StorageUnavailable: The database can't be reached.
        Overloaded: The queue to the database is too long.
    """
    delete_stored_responses = partial(store.delete_stored_responses, RESPONSES_KEPT_FOR)
    for delete in (delete_stored_responses, store.delete_sessions, store.delete_sign_ins):
        while await delete(ROWS_A_BATCH) == ROWS_A_BATCH:
            pass
