"""Forgetting what is kept for a time only: what calls with a request_id came to, sessions, and tries to sign in."""

from datetime import timedelta
from functools import partial

from cinema_grpc.application.ports import OldRecords

SECONDS_BETWEEN_PASSES = 60.0
REQUESTS_KEPT_FOR = timedelta(hours=24)
"""What callers can rely on."""
ROWS_A_BATCH = 250
"""How many go in one transaction: so few that nobody who buys waits for it."""


class Forgetting:
    """Has old records forgotten, a few at a time, in turn with those who are buying."""

    def __init__(self, records: OldRecords) -> None:
        self._records = records

    async def run_pass(self) -> None:
        """Forget all that are old enough.

        Raises:
            StorageUnavailable.
        """
        requests = partial(self._records.forget_requests, REQUESTS_KEPT_FOR)
        for forget in (requests, self._records.forget_sessions, self._records.forget_sign_ins):
            while await forget(ROWS_A_BATCH) == ROWS_A_BATCH:
                pass
