"""The standard health service: whether the server takes calls, as a whole and for each of its services."""
# ruff: noqa: N802 (the names are those of the protos)

import asyncio
from collections.abc import Iterable
from typing import Any

from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListResponse

SERVICE = "grpc.health.v1.Health"
CHECK = f"/{SERVICE}/Check"
LIST = f"/{SERVICE}/List"
OVERALL = ""


class Health:
    """A servicer of grpc.health.v1.Health: gRPC's own, and the List method that it lacks."""

    def __init__(self, services: Iterable[str]) -> None:
        """Set up; until told otherwise the services are unknown and the server is serving.

        Args:
            services: The full names of the services that are reported on.
        """
        self._names = (OVERALL, *services)
        self._servicer = aio.HealthServicer()
        self.Check = self._servicer.Check
        self.Watch = self._servicer.Watch

    async def List(self, _request: object, context: object) -> Any:
        """Tell how every service is."""
        statuses = {name: await self.Check(HealthCheckRequest(service=name), context) for name in self._names}
        return HealthListResponse(statuses=statuses)

    async def set_serving(self, *, serving: bool) -> None:
        """Say whether calls are taken; when this returns, whoever watches has been sent the news."""
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self._servicer.set(name, status)
            # A watcher holds the name's lock while it sends, and locks are had in turn: the second comes after all.
            await asyncio.sleep(0)
            await self._servicer.set(name, status)
