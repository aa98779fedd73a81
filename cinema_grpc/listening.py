"""What the server needs to listen, by the settings: certificates, limits, and the limit on open files."""

import resource
import socket
from contextlib import suppress
from dataclasses import fields

import structlog

from cinema_grpc.adapters.signing_keys import key_files
from cinema_grpc.addresses import host_and_port
from cinema_grpc.config import PREFIX, BadSettings, Settings, variable
from cinema_grpc.files import readable_by_all
from cinema_grpc.transport.certificates import (
    CERTIFICATE,
    CLIENT_CA,
    KEY,
    BadCertificate,
    CertificateFiles,
    Certificates,
)
from cinema_grpc.transport.limits import Limits
from cinema_grpc.transport.server import CannotListen

logger = structlog.get_logger()


def read_certificates(settings: Settings) -> Certificates | None:
    """Read the TLS certificates; return None if the server does not speak TLS.

    Raises:
        BadSettings: A file is not valid, or other machines would be served without TLS and PLAINTEXT is not set.
    """
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if certificate is None:
        for name, path in ((KEY, key), (CLIENT_CA, client_ca)):
            if path is not None:
                raise BadSettings(f"{PREFIX}{name}: has no effect without {PREFIX}{CERTIFICATE}; set that too")
        if not (settings.plaintext or settings.loopback_only):
            raise BadSettings(
                f"{PREFIX}LISTEN_ADDRESS: {settings.listen_address} can be reached from other machines: set "
                f"{PREFIX}{CERTIFICATE} and {PREFIX}{KEY}, or {PREFIX}PLAINTEXT=yes on a network that you trust"
            )
        return None
    if key is None:
        raise BadSettings(f"{PREFIX}{KEY}: must be set too, as {PREFIX}{CERTIFICATE} is")
    if settings.plaintext:
        raise BadSettings(
            f"{PREFIX}PLAINTEXT: must not be set where {PREFIX}{CERTIFICATE} is, since all calls need TLS then"
        )
    try:
        return Certificates(CertificateFiles(certificate, key, client_ca))
    except BadCertificate as error:
        raise BadSettings(f"{PREFIX}{error.setting}: {error}") from error


def check_addresses(settings: Settings) -> None:
    """Check that the addresses can be listened on, before anything is changed that the server would need.

    Raises:
        BadSettings: One can't: it is taken, or no address of this machine's.
    """
    for name in ("listen_address", "health_address", "metrics_address"):
        address = getattr(settings, name)
        if address is not None:
            try:
                family, *_, found = socket.getaddrinfo(*host_and_port(address), type=socket.SOCK_STREAM)[0]
                socket.create_server(found, family=family).close()
            except OSError as error:
                raise BadSettings(f"{variable(name)}: {CannotListen(address)}") from error


def warn_of_readable_keys(settings: Settings) -> None:
    """Log a warning for each private key that every user of this machine may read.

    They are not refused, since Kubernetes mounts secrets with mode 0644 by default.
    """
    files = [] if settings.tls_key is None else [settings.tls_key]
    for keys in (settings.signing_keys, settings.ticket_keys):
        files += [] if keys is None else key_files(keys)
    files += [] if settings.stripe_secret_key_file is None else [settings.stripe_secret_key_file]
    for file in files:
        if readable_by_all(file):
            logger.warning("every user of this machine may read a private key; run chmod 600 on it", file=str(file))


def limits_of(settings: Settings) -> Limits:
    """Return the limits of clients."""
    return Limits(**{field.name: getattr(settings, field.name) for field in fields(Limits)})


def allow_open_files() -> None:
    """Raise the limit on open files to the hard limit; each connection is a file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems report a hard limit that they refuse
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
