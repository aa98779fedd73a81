"""The server's TLS certificate: read from files, checked, and reloaded when they change."""

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

SECONDS_BETWEEN_RETRIES = 10.0
"""Seconds until unusable files that did not change are read again: the certificate may have become valid."""


class BadCertificate(Exception):
    """A file can't be used for TLS; the message says why, in one line.

    Attributes:
        setting: The setting that names the file, without its prefix.
    """

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Paths of the files, all in PEM.

    Attributes:
        certificate: The server's certificate, followed by the intermediate certificates.
        key: The private key, not encrypted.
        client_ca: The authorities of client certificates; None if clients need no certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def version(self) -> Version:
        """Return a value that changes when a file, its permissions or the target of a symbolic link change.

        Raises:
            OSError: A file does not exist.
        """
        stats = [path.stat() for path in (self.certificate, self.key, self.client_ca) if path is not None]
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in stats)


class Certificates:
    """The certificate that is in use.

    Attributes:
        valid_until: The end of its validity.
    """

    def __init__(self, files: CertificateFiles) -> None:
        """Read the files.

        Raises:
            BadCertificate: A file can't be read, they do not belong together, or the certificate is not valid now.
        """
        self._files = files
        self._version: Version = ()
        with suppress(OSError):  # reading reports it
            self._version = files.version()
        self._first, self._names, self.valid_until = _read(files)
        self._unusable: Version = ()
        self._retry_time = 0.0

    @property
    def described(self) -> dict[str, str]:
        """Its names and the end of its validity, for the log."""
        return {"names": ", ".join(self._names), "valid_until": self.valid_until.isoformat()}

    def credentials(self) -> grpc.ServerCredentials:
        """Return gRPC's credentials of a port. gRPC speaks TLS 1.2 and 1.3."""
        return grpc.dynamic_ssl_server_credentials(
            self._first,
            self._read_if_changed,  # type: ignore[arg-type] # None means no change, which the types leave out
            require_client_authentication=self._files.client_ca is not None,
        )

    def _read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the configuration of new connections; None if it did not change.

        gRPC calls this before each handshake, on a thread of its own. While the files are half written or do not belong
        together, the previous certificate stays in use.
        """
        version: Version = ()
        with suppress(OSError):  # reading reports it
            # Before the files are read, so that what is written meanwhile is noticed at the next handshake.
            version = self._files.version()
        if version == self._version or (version == self._unusable and time.monotonic() < self._retry_time):
            return None
        try:
            read, self._names, self.valid_until = _read(self._files)
        except BadCertificate as error:
            self._unusable, self._retry_time = version, time.monotonic() + SECONDS_BETWEEN_RETRIES
            logger.warning("changed certificate files can't be used; the certificate stays as it was", why=str(error))
            return None
        self._version = version
        logger.info("certificate reloaded", **self.described)
        return read


def _read(files: CertificateFiles) -> tuple[grpc.ServerCertificateConfiguration, list[str], datetime]:
    """Return gRPC's configuration, the names in the certificate, and the end of its validity."""
    chain, key = _content(files.certificate, CERTIFICATE), _content(files.key, KEY)
    roots = None if files.client_ca is None else _content(files.client_ca, CLIENT_CA)
    certificate = _certificates(chain, files.certificate, CERTIFICATE)[0]
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= datetime.now(UTC) < end:
        raise BadCertificate(
            CERTIFICATE,
            f"the certificate in {files.certificate} is valid from {start.isoformat()} until {end.isoformat()}, "
            "but not now; renew it",
        )
    _check_key(key, certificate, files)
    if roots is not None and files.client_ca is not None:
        _certificates(roots, files.client_ca, CLIENT_CA)
    return grpc.ssl_server_certificate_configuration([(key, chain)], roots), _names(certificate), end


def _check_key(key: bytes, certificate: x509.Certificate, files: CertificateFiles) -> None:
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError as error:
        raise BadCertificate(KEY, f"the key in {files.key} is encrypted; store it without a passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate(KEY, f"{files.key} holds no private key in PEM") from error
    if not isinstance(private, RSAPrivateKey | EllipticCurvePrivateKey):
        raise BadCertificate(KEY, f"the key in {files.key} must be an RSA or ECDSA key, which all clients support")
    if private.public_key() != certificate.public_key():
        raise BadCertificate(KEY, f"the key in {files.key} does not belong to the certificate in {files.certificate}")


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
