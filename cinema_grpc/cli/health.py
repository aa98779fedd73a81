"""The health check of `cinema health`."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cinema_grpc.config import BadSettings, Settings, variable

TIMEOUT_SECONDS = 5.0


async def health_of(address: str) -> str:
    """Return the health of the server at an address, such as "SERVING", or why it does not respond."""
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            response = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            return f"not answering ({error.code().name})"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


def local_health_address(settings: Settings) -> str:
    """Return the address at which a server with these settings answers health checks from its own machine.

    Raises:
        BadSettings: The server speaks TLS and has no health address.
    """
    if settings.health_address is None and settings.tls_certificate is not None:
        raise BadSettings(f"{variable('health_address')}: must be set where there is TLS, such as to 127.0.0.1:50052")
    host, _, port = (settings.health_address or settings.listen_address).rpartition(":")
    loopback = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 # nosec B104
    return f"{loopback.get(host, host)}:{port}"
