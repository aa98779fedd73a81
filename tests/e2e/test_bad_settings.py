"""Wrong settings: each stops the server at its start, with one line that says what is wrong."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.certificates import Authority, write
from tests.e2e.conftest import SECRET, run, run_here

BAD: tuple[tuple[str, str, str], ...] = (
    ("LISTEN_ADDRESS", "nowhere", "HOST:PORT"),
    ("LISTEN_ADDRESS", "127.0.0.1:70000", "HOST:PORT"),
    ("LISTEN_ADDRESS", "127.0.0.1", "HOST:PORT"),
    ("LISTEN_ADDRESS", "192.0.2.1:0", "set CINEMA_TLS_CERTIFICATE and CINEMA_TLS_KEY, or CINEMA_PLAINTEXT=yes"),
    ("LISTEN_ADDRESS", "0.0.0.0:0", "can be reached from other machines"),
    ("LISTEN_ADDRESS", "[::]:0", "can be reached from other machines"),
    ("LISTEN_ADDRESS", "cinema.example:0", "can be reached from other machines"),
    ("LISTEN_ADDRESS", "unix:/tmp/socket:0", "HOST:PORT"),
    ("LISTEN_ADDRESS", "::1:50051", "[::1]:50051 for IPv6"),
    ("LISTEN_ADDRESS", "db..example:50051", "HOST:PORT"),
    ("HEALTH_ADDRESS", "50052", "HOST:PORT"),
    ("HEALTH_ADDRESS", "192.0.2.1:50052", "can't listen on 192.0.2.1:50052"),
    ("METRICS_ADDRESS", "9464", "HOST:PORT"),
    ("METRICS_ADDRESS", "192.0.2.1:9464", "can't listen on 192.0.2.1:9464"),
    ("TLS_CERTIFICATE", "no-such-file.pem", "can't read no-such-file.pem"),
    ("TLS_CERTIFICATE", "garbage.pem", "holds no certificate in PEM"),
    ("TLS_CERTIFICATE", "expired.pem", "renew it"),
    ("TLS_CERTIFICATE", "/dev/zero", "Not a regular file"),
    ("TLS_CERTIFICATE", "pipe", "Not a regular file"),
    ("TLS_CERTIFICATE", "large.pem", "Larger than"),
    ("TLS_KEY", "/dev/stdin", "Not a regular file"),
    ("TLS_KEY", "writable.pem", "Other users can change it (mode 0666); run chmod 600"),
    ("TLS_KEY", "", "must be set too, as CINEMA_TLS_CERTIFICATE is"),
    ("TLS_KEY", "no-such-file.pem", "can't read no-such-file.pem"),
    ("TLS_KEY", "garbage.pem", "holds no private key in PEM"),
    ("TLS_KEY", "another-key.pem", "does not belong to the certificate"),
    ("TLS_CLIENT_CA", ".", "can't read ."),
    ("TLS_CLIENT_CA", "/dev/random", "Not a regular file"),
    ("SIGNING_KEYS", "pipe", "Not a regular file"),
    ("SIGNING_KEYS", "/dev/zero", "Not a regular file"),
    ("SIGNING_KEYS", "writable.pem", "Other users can change it"),
    ("DATABASE_URL", "sqlite+aiosqlite:///pipe", "of the wrong kind"),
    ("PLAINTEXT", "yes", "must not be set where CINEMA_TLS_CERTIFICATE is"),
    ("PLAINTEXT", "perhaps", "bool"),
    ("DATABASE_URL", "cinema.db", "sqlite+aiosqlite:///cinema.db"),
    ("DATABASE_URL", "sqlite:///cinema.db", "sqlite+aiosqlite:///"),
    ("DATABASE_URL", "mysql+aiomysql://localhost/cinema", "sqlite+aiosqlite:///"),
    ("DATABASE_URL", "sqlite+aiosqlite://", "must name a file"),
    ("DATABASE_URL", "sqlite+aiosqlite:///:memory:", "must name a file"),
    ("DATABASE_URL", "sqlite+aiosqlite:///no/such/folder/cinema.db", "make it first"),
    ("DATABASE_URL", "postgresql+asyncpg://cinema@localhost", "must name a database"),
    ("DATABASE_URL", "postgresql+asyncpg://cinema@/c?host=a,b,c&port=1,2", "names 3 hosts and 2 ports"),
    (
        "DATABASE_URL",
        "postgresql+asyncpg://c@db/c?sslmode=verify-full&sslrootcert=no.pem",
        "as sslrootcert that can't be read",
    ),
    ("DATABASE_URL", "postgresql+asyncpg://cinema@db/c?connect_timeout=0", "whole number of seconds"),
    ("DATABASE_URL", "postgresql+asyncpg://cinema:a/b@db/cinema", "/ is %2F"),
    ("DATABASE_URL", "sqlite+aiosqlite:///a?b.db", "has a ?"),
    ("DATABASE_POOL_SIZE", "2", "greater than or equal to 8"),
    ("LONGEST_WAIT_SECONDS", "0", "greater than or equal to 0.001"),
    ("LARGEST_REQUEST_BYTES", "1", "greater than or equal to 65536"),
    ("LARGEST_METADATA_BYTES", "1k", "integer"),
    ("CALLS_AT_ONCE", "0", "greater than or equal to 1"),
    ("CALLS_PER_CONNECTION", "-1", "greater than or equal to 1"),
    ("CONNECTION_AGE_SECONDS", "0", "greater than or equal to 1"),
    ("CONNECTION_IDLE_SECONDS", "inf", "86400"),
    ("PING_SECONDS", "0", "greater than or equal to 1"),
    ("KEEPALIVE_SECONDS", "never", "number"),
    ("HOLD_SECONDS", "ten", "number"),
    ("HOLD_SECONDS", "1e-9", "greater than or equal to 1"),
    ("HOLD_SECONDS", "nan", "86400"),
    ("HOLD_SECONDS", "100000", "86400"),
    ("PAYMENT_GRACE_SECONDS", "0", "greater than or equal to 0.01"),
    ("SIGN_IN_LONGEST_DELAY_SECONDS", "1e-9", "greater than or equal to 1"),
    ("SIMULATED_PAYMENTS_LOSE_ANSWER", "2", "less than or equal to 1"),
    ("REFRESH_GRACE_SECONDS", "-1", "greater than or equal to 0"),
    ("JWT_SECRET", "", "openssl rand -hex 32"),
    ("JWT_SECRET", "x" * 31, "32 bytes"),
    ("JWT_SECRET", "x" * 32, "easy to guess"),
    ("JWT_SECRET", "changeme" * 8, "easy to guess"),
    ("LOG_FORMAT", "xml", "'console' or 'json'"),
    ("LOG_LEVEL", "loud", "'info'"),
    ("REFLECTION", "perhaps", "bool"),
    ("SHUTDOWN_SECONDS", "-1", "greater than or equal to 0"),
    ("LISTEN_ADRESS", "127.0.0.1:0", "is not a setting; CINEMA_LISTEN_ADDRESS is"),
    ("HOLD_SECOND", "600", "is not a setting; CINEMA_HOLD_SECONDS is"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    """A folder with good and bad certificate files, and the settings of the good ones."""
    folder, authority = tmp_path_factory.mktemp("certificates"), Authority()
    good = write(folder, *authority.issue())
    (folder / "garbage.pem").write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
    (folder / "expired.pem").write_bytes(authority.issue(days=-1)[1])
    (folder / "large.pem").write_bytes(b"x" * (1024 * 1024 + 1))
    os.mkfifo(folder / "pipe")
    (folder / "writable.pem").write_bytes(authority.issue()[0])
    (folder / "writable.pem").chmod(0o666)
    (folder / "another-key.pem").write_bytes(authority.issue()[0])
    return folder, {f"CINEMA_{name.upper()}": str(path) for name, path in good.items()}


@pytest.mark.parametrize(("name", "value", "hint"), BAD)
def test_a_bad_setting(files: tuple[Path, Mapping[str, str]], name: str, value: str, hint: str) -> None:
    """The line names the setting and what is right. It shows no secret."""
    folder, good_files = files
    settings = {"CINEMA_JWT_SECRET": SECRET}
    if name.startswith("TLS_") or (name, value) == ("PLAINTEXT", "yes"):
        settings |= good_files
    ended = run_here(folder, "serve", **{**settings, f"CINEMA_{name}": value})
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"cinema: CINEMA_{name}: ")
    assert hint in line
    assert name != "JWT_SECRET" or not value or value not in line
    assert ended.stdout == ""


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    """Kubernetes sets such variables for a service that is called cinema."""
    others = {"CINEMA_PORT": "tcp://10.0.0.1:50051", "CINEMA_SERVICE_HOST": "10.0.0.1", "CINEMA_STAFF_PASSWORD": "x"}
    ended = run(tmp_path, "health", "127.0.0.1:1", **others)
    assert (ended.returncode, ended.stdout) == (1, "127.0.0.1:1 is not answering (UNAVAILABLE)\n")
