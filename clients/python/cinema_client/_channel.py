"""How to reach a server."""

import ipaddress
import json
from typing import Any
from urllib.parse import urlsplit

import grpc

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    # Finds lost connections under a stream that has nothing to send. The server allows a ping every 10 s. Its answer is
    # awaited for a minute unless ping_timeout_ms is set; keepalive_timeout_ms did not shorten that with grpcio 1.85.
    # Both together are less than the 30 s within which RefreshTokens may be repeated after its answer was lost.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
)
"""Options of every channel: calls go to all addresses of a name in turn."""


def options(target: str) -> tuple[tuple[str, Any], ...]:
    """Return the options of a channel to a target.

    One to this machine goes through no proxy of HTTP, whatever `http_proxy` says: what is sent without TLS would leave
    the machine, and reach a server on that of the proxy.
    """
    return (*OPTIONS, ("grpc.enable_http_proxy", 0)) if is_loopback(target) else OPTIONS


def is_loopback(target: str) -> bool:
    """Return whether a target, such as `localhost:50051` or `dns:///[::1]:50051`, is this machine."""
    host = urlsplit(f"//{target.rpartition('/')[2]}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def credentials(
    target: str,
    root_certificates: bytes | None,
    certificate_chain: bytes | None,
    private_key: bytes | None,
    *,
    plaintext: bool | None,
) -> grpc.ChannelCredentials | None:
    """Return the credentials of a channel with TLS; None for one without.

    Raises:
        ValueError: Certificates for a channel without TLS, or a client certificate without its key.
    """
    if (certificate_chain is None) != (private_key is None):
        raise ValueError("certificate_chain and private_key need each other.")
    has_certificates = root_certificates is not None or certificate_chain is not None
    if plaintext is None:
        plaintext = not has_certificates and is_loopback(target)
    if not plaintext:
        return grpc.ssl_channel_credentials(root_certificates, private_key, certificate_chain)
    if has_certificates:
        raise ValueError("root_certificates and certificate_chain are for TLS: leave them out, or set plaintext=False.")
    return None
