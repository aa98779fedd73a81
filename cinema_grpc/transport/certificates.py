"""The server's TLS certificate: read from files, checked, and read anew when they have changed."""

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cinema_grpc.files import read_regular

CERTIFICATE, KEY, CLIENT_CA = "TLS_CERTIFICATE", "TLS_KEY", "TLS_CLIENT_CA"

logger = structlog.get_logger()

Version = tuple[tuple[int, ...], ...]

SECONDS_TO_LOOK_AGAIN = 10.0
"""After how long files that could not be used are looked at again, though they are still the same."""


class BadCertificate(Exception):
    """A file is none that TLS can be spoken with; the message says why, in one line.

    Attributes:
        setting: The setting that names the file, without its prefix.
    """

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of a server's identity, all in PEM.

    Attributes:
        certificate: The server's certificate, then those between it and its authority's.
        key: Its private key, not encrypted.
        client_ca: The authorities whose certificates clients have to show, or None if clients need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def version(self) -> Version:
        """Give what changes when a file is written or replaced, also by a symbolic link, or others may read it.

        Raises:
            OSError: One can't be found.
        """
        stats = [path.stat() for path in (self.certificate, self.key, self.client_ca) if path is not None]
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in stats)


class Certificates:
    """What a server shows to its clients, and asks of them.

    Attributes:
        described: For the log, whom the certificate names and until when it is valid.
    """

    def __init__(self, files: CertificateFiles) -> None:
        """Read the files.

        Raises:
            BadCertificate: One can't be read, they do not belong together, or the certificate is not valid now.
        """
        self._files = files
        self._version: Version = ()
        with suppress(OSError):  # which reading tells better
            self._version = files.version()
        self._first, self.described = _read(files)
        self._refused: Version = ()
        self._look_again = 0.0

    def credentials(self) -> grpc.ServerCredentials:
        """Make what a port speaks TLS with: versions 1.2 and 1.3, as gRPC has it."""
        return grpc.dynamic_ssl_server_credentials(
            self._first,
            self._read_if_changed,  # type: ignore[arg-type] # None stands for no change, which the types leave out
            require_client_authentication=self._files.client_ca is not None,
        )

    def _read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Give what new connections get from now on, or None if that is the same as before.

        gRPC asks before each handshake, on a thread of its own. Looking at the files is cheap. While they are half
        written, or one of them is still the old one, the certificate that was good before stays in use.
        """
        version: Version = ()
        with suppress(OSError):  # one is missing, which reading tells better
            # Looked at before the files are read: what is written meanwhile is seen the next time.
            version = self._files.version()
        if version == self._version or (version == self._refused and time.monotonic() < self._look_again):
            return None
        try:
            read, self.described = _read(self._files)
        except BadCertificate as error:
            # It may be usable later as it is: when it becomes valid, say.
            self._refused, self._look_again = version, time.monotonic() + SECONDS_TO_LOOK_AGAIN
            logger.warning("the certificate's files have changed but can't be used; it stays as it was", why=str(error))
            return None
        self._version = version
        logger.info("the certificate was read anew", **self.described)
        return read


def _read(files: CertificateFiles) -> tuple[grpc.ServerCertificateConfiguration, dict[str, str]]:
    """Read and check the files; give what gRPC wants to have, and what the log says of it."""
    chain, key = _content(files.certificate, CERTIFICATE), _content(files.key, KEY)
    roots = None if files.client_ca is None else _content(files.client_ca, CLIENT_CA)
    certificate = _certificates(chain, files.certificate, CERTIFICATE)[0]
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= datetime.now(UTC) < end:
        raise BadCertificate(
            CERTIFICATE,
            f"the certificate in {files.certificate} is valid from {start.isoformat()} until {end.isoformat()}, "
            "and not now; renew it",
        )
    _check_key(key, certificate, files)
    if roots is not None and files.client_ca is not None:
        _certificates(roots, files.client_ca, CLIENT_CA)
    described = {"names": ", ".join(_names(certificate)), "valid_until": end.isoformat()}
    return grpc.ssl_server_certificate_configuration([(key, chain)], roots), described


def _check_key(key: bytes, certificate: x509.Certificate, files: CertificateFiles) -> None:
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError as error:
        raise BadCertificate(KEY, f"the key in {files.key} is encrypted; store it without a passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate(KEY, f"{files.key} holds no private key in PEM") from error
    if not isinstance(private, RSAPrivateKey | EllipticCurvePrivateKey):
        raise BadCertificate(KEY, f"the key in {files.key} has to be of RSA or ECDSA, which all clients know")
    if private.public_key() != certificate.public_key():
        raise BadCertificate(KEY, f"the key in {files.key} is not that of the certificate in {files.certificate}")


def _certificates(content: bytes, path: Path, setting: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise BadCertificate(setting, f"{path} holds no certificate in PEM") from error


def _content(path: Path, setting: str) -> bytes:
    try:
        return read_regular(path, private=setting == KEY)
    except OSError as error:
        raise BadCertificate(setting, f"can't read {path}: {error.strerror}") from error


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [certificate.subject.rfc4514_string()]
    return [str(each.value) for each in names]
