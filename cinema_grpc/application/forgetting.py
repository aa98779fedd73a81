"""Forgetting what calls with a request_id came to, once nobody repeats them any more."""

from datetime import timedelta

from cinema_grpc.application.ports import RequestStore

SECONDS_BETWEEN_PASSES = 60.0
KEPT_FOR = timedelta(hours=24)
"""What callers can rely on."""
REQUESTS_A_BATCH = 250
"""How many go in one transaction: so few that nobody who buys waits for it."""


class Forgetting:
    """Has old requests forgotten, a few at a time, in turn with those who are buying."""

    def __init__(self, store: RequestStore) -> None:
        self._store = store

    async def run_pass(self) -> None:
        """Forget all that are old enough.

        Raises:
            StorageUnavailable.
        """
        while await self._store.forget(KEPT_FOR, REQUESTS_A_BATCH) == REQUESTS_A_BATCH:
            pass
