"""Which server a command calls, and how: the values of --server and --ca."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cinema_grpc.addresses import check_address

DEFAULT = "127.0.0.1:50051"
PLAINTEXT, TLS = "http://", "https://"


# ruff: noqa: PLC0415 (loading ssl takes longer than all else here, and most commands do without)


class BadServer(ValueError):
    """The server or the certificates that a command was given can't be used."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server.

    Attributes:
        address: HOST:PORT.
        plaintext: Whether to call it without TLS.
        root_certificates: The certificates to trust it by, in PEM; None without TLS, or if the system has none.
    """

    address: str
    plaintext: bool
    root_certificates: bytes | None = None

    @property
    def url(self) -> str:
        """The address with its scheme. Tokens are kept by it, so those got by TLS never travel without."""
        return f"{PLAINTEXT if self.plaintext else TLS}{self.address}"


def parse_server(text: str, ca: Path | None) -> Server:
    """Return the server of --server and --ca.

    Args:
        text: HOST:PORT, which means TLS unless HOST is loopback; or with http:// for plaintext or https:// for TLS.
        ca: A file with the certificates to trust, in PEM. Means TLS. None for those of the system.

    Raises:
        BadServer: The text has another form, or the file can't be read or has no certificates.
    """
    scheme, address = next(
        ((each, text.removeprefix(each)) for each in (PLAINTEXT, TLS) if text.startswith(each)), ("", text)
    )
    address = address.removesuffix("/") if scheme else address
    try:
        check_address(address)
    except ValueError as error:
        raise BadServer(f"--server: {error}; http:// or https:// may stand before it") from error
    if scheme == PLAINTEXT and ca is not None:
        raise BadServer("--ca: needs TLS, and --server says http://")
    if scheme == PLAINTEXT or (not scheme and ca is None and _is_loopback(address)):
        return Server(address, plaintext=True)
    return Server(address, plaintext=False, root_certificates=_read_certificates(ca) if ca else system_roots())


def system_roots() -> bytes | None:
    """Return the certificates that this system trusts, in PEM; None if it has no list of them."""
    import ssl

    file = ssl.get_default_verify_paths().cafile  # SSL_CERT_FILE, or OpenSSL's own
    if file:
        return Path(file).read_bytes()
    found = ssl.create_default_context().get_ca_certs(binary_form=True)  # such as Windows' store
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode() or None


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _read_certificates(file: Path) -> bytes:
    import ssl

    try:
        content = file.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise BadServer(f"--ca: {file} must have certificates in PEM") from error
    except OSError as error:
        raise BadServer(f"--ca: can't read {file}: {error.strerror or error}") from error
    return content
