"""The standard health service, grpc.health.v1: whether the server and each of its services are serving.

gRPC's own servicer notifies one watcher after the other, so a client that never reads would block the other watchers
and the shutdown.
"""
# ruff: noqa: N802 (the names are those of the protos)

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2 import HealthCheckResponse

from cinema_grpc.transport.handlers import Context, Handler, handlers_of
from cinema_grpc.transport.health_list import HealthListRequest, HealthListResponse

SERVICE = "grpc.health.v1.Health"
CHECK, LIST = f"/{SERVICE}/Check", f"/{SERVICE}/List"
OVERALL = ""
LIVENESS = "liveness"
"""The name for probes that restart a process which does not answer: it is always SERVING, and not listed."""
SECONDS_TO_NOTIFY = 1.0
"""Longest wait for a status to be written to all watchers; one that does not read may miss it."""


class Health:
    """Servicer of grpc.health.v1.Health. Nothing but LIVENESS is serving until `set_serving`."""

    def __init__(self, services: Iterable[str]) -> None:
        """Set up.

        Args:
            services: Full names of the services.
        """
        self._names = frozenset({OVERALL, *services})
        self._status = HealthCheckResponse.NOT_SERVING
        self._change = asyncio.Event()
        self._notifying: set[object] = set()

    async def set_serving(self, *, serving: bool) -> None:
        """Set the status, and wait until it is on its way to all watchers that read."""
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        if status != self._status:
            self._status = status
            self._change.set()
            self._change = asyncio.Event()
            await asyncio.sleep(0)  # lets the watchers run
            end = asyncio.get_running_loop().time() + SECONDS_TO_NOTIFY
            while self._notifying and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 (many come and go)
                await asyncio.sleep(0.001)

    async def Check(self, request: Any, context: Context) -> Any:
        """Return the status of a service."""
        status = self._status_of(request.service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(StatusCode.NOT_FOUND, "there is no service of this name")
        return HealthCheckResponse(status=status)

    async def List(self, _request: object, _context: object) -> Any:
        """Return the status of the server and of each service."""
        return HealthListResponse(statuses={name: HealthCheckResponse(status=self._status) for name in self._names})

    async def Watch(self, request: Any, context: Context) -> None:
        """Write the status of a service, now and after each change."""
        written = None
        while True:
            change = self._change
            status = self._status_of(request.service)
            if status != written:
                self._notifying.add(context)
                try:
                    await context.write(HealthCheckResponse(status=status))
                finally:
                    self._notifying.discard(context)
                written = status
                continue  # it may have changed since
            await change.wait()

    def _status_of(self, name: str) -> HealthCheckResponse.ServingStatus.ValueType:
        if name == LIVENESS:
            return HealthCheckResponse.SERVING
        return self._status if name in self._names else HealthCheckResponse.SERVICE_UNKNOWN


def health_handlers(service_health: Health) -> dict[str, Handler]:
    """Return the handlers of the service by full name of the method."""
    handlers = handlers_of(health_pb2.DESCRIPTOR.services_by_name["Health"], service_health)
    handlers[LIST] = grpc.unary_unary_rpc_method_handler(
        service_health.List, HealthListRequest.FromString, HealthListResponse.SerializeToString
    )
    return handlers
