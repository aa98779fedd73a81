"""The health check of `cinema health`."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cinema_grpc.addresses import host_and_port
from cinema_grpc.config import BadSettings, Settings, variable

TIMEOUT_SECONDS = 5.0
DIRECT = [("grpc.enable_http_proxy", 0)]
"""By no proxy, whatever `http_proxy` says: its health, and its loopback addresses, are not those that are meant."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How a client speaks TLS with the server.

    Attributes:
        ca: File with the certificates that it trusts, in PEM.
        server_name: The name that the server's certificate has to be for; "" for the host of the address.
        certificate, key: Files with the client's own certificate and its key, if it has one.
    """

    ca: Path
    server_name: str = ""
    certificate: Path | None = None
    key: Path | None = None

    def channel(self, address: str) -> grpc.aio.Channel:
        """Open a channel.

        Raises:
            OSError: A file can't be read.
        """
        own = [None if each is None else each.read_bytes() for each in (self.key, self.certificate)]
        credentials = grpc.ssl_channel_credentials(self.ca.read_bytes(), *own)
        named = [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []
        return grpc.aio.secure_channel(address, credentials, [*DIRECT, *named])


async def health_of(address: str, trust: Trust | None = None) -> str:
    """Return the health of the server at an address, such as "SERVING", or why it does not respond.

    Args:
        address: HOST:PORT.
        trust: How to speak TLS; None for plaintext.

    Raises:
        OSError: A file of `trust` can't be read.
    """
    async with grpc.aio.insecure_channel(address, DIRECT) if trust is None else trust.channel(address) as channel:
        try:
            response = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            if trust is None:
                speaks_tls = await _speaks_tls(address)
                return (
                    "speaking TLS: name the file with its certificate authority by --ca" if speaks_tls else _no(error)
                )
            return f"{_no(error)}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


def local_health_address(settings: Settings) -> tuple[str, Trust | None]:
    """Return the address at which a server with these settings answers health checks from its own machine, and how.

    Raises:
        BadSettings: The server needs client certificates and has no health address, or its certificate can't be read.
    """
    address = on_this_machine(settings.health_address or settings.listen_address)
    if settings.health_address is not None or settings.tls_certificate is None:
        return address, None
    if settings.tls_client_ca is not None:
        raise BadSettings(
            f"{variable('health_address')}: must be set where clients need certificates, such as to 127.0.0.1:50052; "
            "or name ADDRESS, --ca, --cert and --key"
        )
    return address, Trust(settings.tls_certificate, name_in(settings.tls_certificate))


def on_this_machine(address: str) -> str:
    """Return the address at which a server that listens on an address is called from its own machine."""
    host, _, port = address.rpartition(":")
    loopback = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 # nosec B104
    return f"{loopback.get(host, host)}:{port}"


def name_in(certificate: Path) -> str:
    """Return a name or an address that a server's certificate is for; "" if it has none.

    Others, such as an email address or the URI of SPIFFE, are no names of a server.

    Raises:
        BadSettings: The file has no certificate.
    """
    from cryptography import x509  # noqa: PLC0415 (probes run often, and most need no TLS)

    try:
        names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return ""
    except (OSError, ValueError) as error:
        raise BadSettings(f"{variable('tls_certificate')}: {certificate} has no certificate: {error}") from error
    servers = (each for each in names.value if isinstance(each, x509.DNSName | x509.IPAddress))
    return next((str(each.value).replace("*", "any") for each in servers), "")


def _no(error: grpc.aio.AioRpcError) -> str:
    return f"not answering ({error.code().name})"


async def _speaks_tls(address: str) -> bool:
    """Return whether a server completes a TLS handshake; who it is does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, port = host_and_port(address)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return False
    # Without a polite end, for which the server may let us wait. uvloop complains of a socket that is open at the end.
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
    return True
