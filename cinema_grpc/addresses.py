"""Checks of host names and HOST:PORT addresses, without resolving or connecting."""

import re
from ipaddress import AddressValueError, IPv6Address, ip_address

LARGEST_PORT = 65_535
LONGEST_NAME = 253
"""Maximum length of a DNS name (RFC 1035, 2.3.4, without the root's length byte)."""
NAME = re.compile(r"[A-Za-z0-9._-]+")


def is_port(text: str, least: int = 1) -> bool:
    """Return whether a text is a TCP port: a decimal number up to 65535."""
    return text.isascii() and text.isdigit() and len(text) <= 5 and least <= int(text) <= LARGEST_PORT


def is_ipv6(text: str) -> bool:
    """Return whether a text is an IPv6 address, without brackets; a zone may follow, as in fe80::1%eth0."""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def is_host_name(text: str) -> bool:
    """Return whether a text is an IPv4 address or a host name, with no label empty or too long."""
    try:
        ascii_name = text.encode("idna").decode()
    except UnicodeError:
        return False
    return NAME.fullmatch(ascii_name) is not None and len(ascii_name) <= LONGEST_NAME


def is_loopback(host: str) -> bool:
    """Return whether a host, an IPv6 one without brackets, is this machine by its loopback interface."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(address: str) -> str:
    """Return an address if it is HOST:PORT, with IPv6 in brackets. Port 0 means any free port.

    Raises:
        ValueError: The address has another form.
    """
    host, _, port = address.rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    if not (is_port(port, least=0) and (is_ipv6(host[1:-1]) if in_brackets else is_host_name(host))):
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:50051, or [::1]:50051 for IPv6")
    return address


def host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of HOST:PORT, an IPv6 host without its brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
