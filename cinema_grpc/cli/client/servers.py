"""Which server a command calls, and how: the values of --server, --ca, --cert and --key."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cinema_grpc.addresses import check_address, host_and_port, is_loopback

DEFAULT = "127.0.0.1:50051"
PLAINTEXT, TLS = "http://", "https://"
HASHED = f"{'[0-9a-f]' * 8}.[0-9]*"
"""How OpenSSL names the files of certificates in a folder."""


# ruff: noqa: PLC0415 (loading ssl takes longer than all else here, and most commands do without)


class BadInput(ValueError):
    """What a command was given can't be used: an option, an argument, or a line of standard input."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM that options name. Any of them means TLS.

    Attributes:
        ca: The certificates to trust; None for those of the system.
        cert: The certificate to show the server; None for none.
        key: The private key of `cert`.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def given(self) -> list[str]:
        """Return the options that were given."""
        files = {"--ca": self.ca, "--cert": self.cert, "--key": self.key}
        return [option for option, file in files.items() if file is not None]


@dataclass(frozen=True, slots=True)
class Server:
    """A server.

    Attributes:
        address: HOST:PORT.
        plaintext: Whether to call it without TLS.
        root_certificates: The certificates to trust it by, in PEM; None without TLS, or if the system has none.
        certificate_chain: The certificate to show it, in PEM; None for none.
        private_key: The key of that, in PEM; None for none.
    """

    address: str
    plaintext: bool
    root_certificates: bytes | None = None
    certificate_chain: bytes | None = None
    private_key: bytes | None = None

    @property
    def url(self) -> str:
        """The address with its scheme. Tokens are kept by it, so those got by TLS never travel without."""
        return f"{PLAINTEXT if self.plaintext else TLS}{self.address}"


def parse_server(text: str, files: TlsFiles) -> Server:
    """Return the server of --server, --ca, --cert and --key.

    Args:
        text: HOST:PORT, which means TLS unless HOST is loopback; or with http:// for plaintext or https:// for TLS.
        files: The files of the other options.

    Raises:
        BadInput: The text has another form, or a file can't be read or has other content.
    """
    scheme = next(filter(text.startswith, (PLAINTEXT, TLS)), "")
    address = text.removeprefix(scheme).removesuffix("/" if scheme else "")
    try:
        check_address(address)
    except ValueError as error:
        raise BadInput(f"--server: {error}; http:// or https:// may stand before it") from error
    given = files.given()
    if scheme == PLAINTEXT and given:
        raise BadInput(f"{given[0]}: needs TLS, and --server says http://")
    if scheme == PLAINTEXT or (not scheme and not given and is_loopback(host_and_port(address)[0])):
        return Server(address, plaintext=True)
    roots = _read_certificates(files.ca) if files.ca else system_roots()
    return Server(address, False, roots, *_read_own_certificate(files))  # noqa: FBT003 (plaintext)


def system_roots() -> bytes | None:
    """Return the certificates that this system trusts, in PEM; None if it has no list of them."""
    import ssl

    paths = ssl.get_default_verify_paths()  # SSL_CERT_FILE and SSL_CERT_DIR, or OpenSSL's own
    named = [Path(paths.cafile).read_bytes()] if paths.cafile else []
    if paths.capath and (not named or "SSL_CERT_DIR" in os.environ):  # some systems have a folder only
        for each in sorted(Path(paths.capath).glob(HASHED)):
            with suppress(OSError):  # OpenSSL skips it too
                named.append(each.read_bytes())
    if any(named):
        return b"\n".join(named)
    found = ssl.create_default_context().get_ca_certs(binary_form=True)  # such as Windows' store
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode() or None


def _read_certificates(file: Path) -> bytes:
    import ssl

    content = _read("--ca", file)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise BadInput(f"--ca: {file} must have certificates in PEM") from error
    return content


def _read_own_certificate(files: TlsFiles) -> tuple[bytes | None, bytes | None]:
    """Return the certificate to show the server, and its key."""
    import ssl

    if files.cert is None and files.key is None:
        return None, None
    if files.cert is None or files.key is None:
        raise BadInput("--cert and --key need each other")
    chain, key = _read("--cert", files.cert), _read("--key", files.key)
    try:
        # Without a password OpenSSL would ask for that of an encrypted key, which gRPC can't read.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(files.cert, files.key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise BadInput(
            f"--cert, --key: {files.cert} must have a certificate, and {files.key} its private key without a password, "
            "both in PEM"
        ) from error
    return chain, key


def _read(option: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{option}: can't read {file}: {error.strerror or error}") from error
