"""The door: lets calls in together that arrive one by one, so that they are handled one right after the other."""

import asyncio
from contextvars import Context

from cinema_grpc.application.line import until_quiet


class Door:
    """Where calls wait for those that arrive with them.

    What gRPC does to bring a call in and what handles it would take turns in the processor's caches, which have no room
    for both, and each would cost several times what it costs by itself. So calls wait here until no more come, and are
    then handled in a row. One that comes alone waits for a few turns of the event loop.
    """

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._opening: asyncio.Task[None] | None = None

    def enter(self) -> "asyncio.Future[None]":
        """Give what is done when the door opens; those who wait come in in the order in which they came."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            self._opening = asyncio.create_task(self._open(), name="the door", context=Context())
        return future

    async def _open(self) -> None:
        try:
            await until_quiet(lambda: len(self._waiting))
        finally:  # if this is ended, too: nobody else would open the door
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():  # whoever hung up meanwhile is done
                    future.set_result(None)
