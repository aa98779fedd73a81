"""The standard health service: whether the server takes calls, as a whole and for each of its services.

gRPC's own servicer is not used: it tells one watcher after the other, so that one client which never reads keeps the
others, and whoever has news, waiting for ever.
"""
# ruff: noqa: N802 (the names are those of the protos)

import asyncio
from collections.abc import Iterable
from typing import Any

from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckResponse

from cinema_grpc.transport.handlers import Context

SERVICE = "grpc.health.v1.Health"
CHECK = f"/{SERVICE}/Check"
OVERALL = ""
SECONDS_TO_BE_TOLD = 1.0
"""How long news may take to be written to all who watch; one who does not read hears none."""


class Health:
    """Answers the calls of grpc.health.v1.Health. Until told otherwise, nothing is served."""

    def __init__(self, services: Iterable[str]) -> None:
        """Set up.

        Args:
            services: The full names of the services that are reported on.
        """
        self._names = frozenset({OVERALL, *services})
        self._status = HealthCheckResponse.NOT_SERVING
        self._change = asyncio.Event()
        self._being_told: set[object] = set()

    async def set_serving(self, *, serving: bool) -> None:
        """Say whether calls are taken; when this returns, the news is on its way to those who watch, and who read."""
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        if status != self._status:
            self._status = status
            self._change.set()
            self._change = asyncio.Event()
            await asyncio.sleep(0)  # the watchers' turn
            end = asyncio.get_running_loop().time() + SECONDS_TO_BE_TOLD
            while self._being_told and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 (many come and go)
                await asyncio.sleep(0.001)

    async def Check(self, request: Any, context: Context) -> Any:
        """Tell how a service is."""
        if request.service not in self._names:
            await context.abort(StatusCode.NOT_FOUND, "there is no such service")
        return HealthCheckResponse(status=self._status)

    async def Watch(self, request: Any, context: Context) -> None:
        """Tell how a service is, now and whenever that changes."""
        told = None
        while True:
            change = self._change
            status = self._status if request.service in self._names else HealthCheckResponse.SERVICE_UNKNOWN
            if status != told:
                self._being_told.add(context)
                try:
                    await context.write(HealthCheckResponse(status=status))
                finally:
                    self._being_told.discard(context)
                told = status
                continue  # there may be news since
            await change.wait()
