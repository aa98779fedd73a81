"""Where a call comes from."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from urllib.parse import unquote

IPV6_PREFIX = 64
"""What one household is given of IPv6 at least, and may change within at will (RFC 6177)."""
KNOWN_CLIENTS = 8_192
"""How many connections the network is remembered of; to find it out takes some 5 us."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where a call comes from.

    Attributes:
        connection: The peer as gRPC names it, such as "ipv4:192.0.2.1:50412".
        network: The client network, such as "192.0.2.1" or "2001:db8::/64".
    """

    connection: str
    network: str


@lru_cache(KNOWN_CLIENTS)
def client_of(peer: str) -> Client:
    """Return the client for a peer as gRPC names it."""
    return Client(peer, place_of(peer))


def place_of(peer: str) -> str:
    """Give what all of one caller's connections have in common: an IPv4 address, or the /64 network of an IPv6 one.

    Args:
        peer: As gRPC has it, such as "ipv4:192.0.2.1:50412" or "ipv6:%5B2001:db8::1%5D:50412"; anything else, such as a
            Unix socket, is given as it is.
    """
    scheme, _, rest = unquote(peer).partition(":")
    if scheme not in {"ipv4", "ipv6"}:
        return peer
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return peer
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped is not None:
        return str(mapped or address)
    return str(ip_network((address, IPV6_PREFIX), strict=False))
