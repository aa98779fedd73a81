"""Callers who hang up while their call runs a statement."""

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any, Protocol

from structlog.testing import capture_logs

from tests.faults import failing
from tests.rpc.conftest import App

USE = "rights of staff used"


class Cancellable(Protocol):
    """A call, or a task that makes one."""

    def cancel(self) -> object:
        """Hang up."""
        ...


async def hang_up(app: App, statement: str, call: Cancellable) -> list[Any]:
    """Cancel a call while it runs a statement, and return its lines in the security log, but for the use of a role."""
    asked, let_go = threading.Event(), threading.Event()

    def hold_up(text: str) -> bool:
        if text.startswith(statement):
            asked.set()
            let_go.wait(30)
        return False

    async with asyncio.timeout(30):
        with capture_logs() as lines, failing(app.server.database, hold_up):
            await asyncio.to_thread(asked.wait, 30)
            call.cancel()
            while "CANCELLED" not in [line.get("code") for line in lines]:  # noqa: ASYNC110 (a log has no event)
                await asyncio.sleep(0.001)
            let_go.set()
            while not (said := [each for each in lines if _counts(each)]):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    if isinstance(call, Awaitable):
        await asyncio.gather(call, return_exceptions=True)
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in said)
    return [line["event"] for line in said]


def _counts(line: Any) -> bool:
    return bool(line.get("logger") == "cinema.security" and line["event"] != USE)
