"""The stand-in for Stripe in a thread of its own, for servers that are processes."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.stripe.server import StripeServer


@contextmanager
def stand_in() -> Iterator[StripeServer]:
    """Serve the stand-in. Its account may be changed from the test's thread while no request is under way."""
    server, started, ended = StripeServer(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        await server.start()
        started.set()
        await ended.wait()
        await server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()
