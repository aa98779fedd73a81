"""Ends a worker whose event loop hangs, so that its supervisor replaces it."""

import asyncio
import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

SECONDS_UNTIL_HUNG = 30.0
"""How long the event loop may be busy with one thing. The longest known takes about a second."""


@contextmanager
def exit_if_hung() -> Iterator[None]:
    """Exit the process with 1 if the event loop hangs, after the stacks of all threads were written to standard error.

    The thread of faulthandler does not need the GIL, so it also ends a process that hangs in C code. That is as safe as
    being killed at any moment.
    """
    with Path(os.devnull).open("w") if sys.__stderr__ is None else nullcontext(sys.__stderr__) as file:
        task = asyncio.create_task(_reset_timer(file), name="hang watch")
        try:
            yield
        finally:
            task.cancel()
            faulthandler.cancel_dump_traceback_later()


async def _reset_timer(file: TextIO) -> None:
    while True:
        faulthandler.dump_traceback_later(SECONDS_UNTIL_HUNG, exit=True, file=file)
        await asyncio.sleep(SECONDS_UNTIL_HUNG / 4)
