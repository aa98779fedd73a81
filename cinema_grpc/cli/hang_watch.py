"""Ends a worker whose event loop hangs, so that its supervisor replaces it."""

import asyncio
import faulthandler
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SECONDS_UNTIL_HUNG = 30.0
"""How long the event loop may be busy with one thing. The longest known takes about a second."""


@asynccontextmanager
async def exit_if_hung() -> AsyncIterator[None]:
    """Exit the process with 1 if the event loop hangs, after the stacks of all threads were written to standard error.

    A thread of faulthandler's watches, which needs no Python: so it also ends a loop within an extension. It is as safe
    as being killed at any moment.
    """
    task = asyncio.create_task(_show_life(), name="hang watch")
    try:
        yield
    finally:
        task.cancel()
        faulthandler.cancel_dump_traceback_later()


async def _show_life() -> None:
    while True:
        faulthandler.dump_traceback_later(SECONDS_UNTIL_HUNG, exit=True, file=sys.__stderr__ or 2)
        await asyncio.sleep(SECONDS_UNTIL_HUNG / 4)
